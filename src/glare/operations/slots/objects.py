"""Removing objects of stores after the transaction that let go of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from glare.db import blobs as blob_rows
from glare.domain.blob import Managed
from glare.domain.moment import HOUR, MINUTE
from glare.errors import GlareError, Unavailable
from glare.operations.services import Services

_log = logging.getLogger(__name__)

_RETRY_FIRST: Final = MINUTE
_RETRY_LAST: Final = 6 * HOUR


def remove_doomed(services: Services, objects: Sequence[Managed]) -> None:
    """Remove these objects now, where a transaction has doomed them. Failures are left to the sweep."""
    try:
        with services.db.look() as connection:
            due = blob_rows.doomed(
                connection, services.clock(), max(100, len(objects)), [location.object for location in objects]
            )
        _remove(services, due)
    except GlareError:
        _log.warning("objects are left to the sweep", extra={"objects": len(objects)}, exc_info=True)


def remove_due(services: Services, limit: int) -> int:
    """Remove up to `limit` objects that no row needs any more; returns how many were due."""
    with services.db.look() as connection:
        due = blob_rows.doomed(connection, services.clock(), limit)
    _remove(services, due)
    return len(due)


def _remove(services: Services, due: Sequence[blob_rows.Doomed]) -> None:
    """Take these, remove them from their stores, then forget them: in this order, so that nobody brings an object back
    that is being removed, and whoever dies in between leaves a row that is taken again.
    """
    if not due:
        return
    now, gone = services.clock(), []
    away: set[str] = set()  # What is out of reach for one object is not waited for again for the next.
    for doomed in services.db.transact(lambda connection: blob_rows.claim_doomed(connection, due, now, _wait)):
        store = services.stores.get(doomed.location.store)
        try:
            if store is None:
                raise GlareError(f"Store '{doomed.location.store}' is not configured here.")
            if store.name in away:
                raise GlareError(f"Store '{store.name}' did not answer a moment ago.")
            store.delete(doomed.location.object)
            gone.append(doomed.id)
        except Exception as failed:  # noqa: BLE001 - the others go all the same
            if isinstance(failed, Unavailable):
                away.add(doomed.location.store)
            _log.warning(
                "object could not be removed",
                extra={"store": doomed.location.store, "object": doomed.location.object, "reason": str(failed)},
                exc_info=None if isinstance(failed, GlareError) else failed,
            )
    if gone:
        services.db.transact(lambda connection: blob_rows.removed(connection, gone))


def _wait(tries: int) -> int:
    """How long (microseconds) an object that was taken so many times before is left alone."""
    return min(_RETRY_FIRST << min(tries, 16), _RETRY_LAST)
