"""The patrol: the background reads all stored bytes again, so that damage is found before a reader comes, and repaired
while there is an equal blob.

It reads one object of a store at a time, at a rate, in the order of slots, on whichever node holds the store's lease.
How far it has come is kept block by block: who goes on reads nothing twice.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from glare.db import fsck as rows
from glare.db import patrols
from glare.db.fsck import StoredBlob
from glare.digest import block_count
from glare.domain.blob import Damage
from glare.domain.moment import MINUTE, SECOND
from glare.errors import BlobDamaged, GlareError, NotFound, StoreFull, StoreReadOnly, Unavailable
from glare.operations import damage, putting_off
from glare.operations.reading.block_digests import BlockDigests
from glare.operations.reading.checked_object import CheckedObject, Recorded
from glare.operations.upkeep.fsck import Stopped, Throttle
from glare.operations.upkeep.repair import repair

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from glare.operations.services import Services
    from glare.stores.base import Store

_log = logging.getLogger(__name__)

_PAGE: Final = 100
_SAVE_EVERY: Final = 5.0
_LEASE: Final = MINUTE


class Outcome(StrEnum):
    """What may come of reading one blob again."""

    EQUAL = "equal"
    DIFFERS = "differs"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    REPAIRED = "repaired"


def patrol(services: Services, stop: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
    """Go on with the rounds that are due, until they are through or `stop` is set. A store that is not at its place is
    left to the next time.
    """
    if not services.rules.patrol.interval:
        return
    for store in services.stores.values():
        _patrol_store(services, store, stop, clock)
        if stop.is_set():
            return


def _patrol_store(services: Services, store: Store, stop: threading.Event, clock: Callable[[], float]) -> None:
    rules, now, holder = services.rules.patrol, services.clock(), uuid.uuid4().hex
    interval = int(rules.interval * SECOND)

    def claim(connection: Connection) -> patrols.Round | None:
        return patrols.claim(connection, store.name, holder, now, now + _LEASE, interval)

    claimed = services.db.transact(claim)
    if claimed is None:
        return
    try:
        _Round(services, store, claimed, Throttle(rules.rate, stop, clock)).go_on()
    except Unavailable as failed:
        services.db.transact(lambda connection: patrols.release(connection, claimed, None))
        _log.warning("the patrol waits", extra={"store": store.name, "reason": failed.message})


class _LeaseLost(Exception):
    """Another node goes on with the round."""


class _Round:
    """A round through one store."""

    def __init__(self, services: Services, store: Store, at: patrols.Round, throttle: Throttle) -> None:
        self._services = services
        self._store = store
        self._at = at
        self._throttle = throttle
        self._saved_at = time.monotonic()

    def go_on(self) -> None:
        """Read what is left of the round, and let go of it."""
        finished = None
        try:
            self._require_store()
            self._look_at_all()
            finished = self._services.clock()
        except Stopped:
            pass
        except _LeaseLost:
            return
        self._services.db.transact(lambda connection: patrols.release(connection, self._at, finished))
        if finished is not None and self._at.counts:
            _log.info("the patrol is through", extra={"store": self._store.name, **self._at.counts})

    def _require_store(self) -> None:
        """Raises `Unavailable` where the store cannot be read. One that takes no data can."""
        try:
            with suppress(StoreFull, StoreReadOnly):
                self._store.check()
        except Unavailable:
            raise
        except GlareError as failed:
            raise Unavailable(failed.message) from failed

    def _look_at_all(self) -> None:
        while True:
            with self._services.db.read() as connection:
                page = rows.page(connection, self._store.name, self._at.position, _PAGE)
            for blob in page:
                outcome = self._outcome(blob)
                self._services.metrics.stored_blob_read(self._store.name, outcome.value)
                self._at.counts[outcome.value] = self._at.counts.get(outcome.value, 0) + 1
                self._at.position, self._at.object, self._at.block = blob.slot_id, None, 0
                self._now_and_then()
            if len(page) < _PAGE:
                return

    def _outcome(self, blob: StoredBlob) -> Outcome:
        """What came of a blob. An error that nobody foresaw is reported, and those behind it are read all the same."""
        try:
            return self._look_at(blob)
        except (Unavailable, Stopped, _LeaseLost):
            raise
        except Exception as failed:  # noqa: BLE001 - it would come first again each time, for ever
            names = {"store": blob.location.store, "object": blob.location.object}
            putting_off.report(self._services, putting_off.PATROL, failed, **names)
            return Outcome.UNREADABLE

    def _look_at(self, blob: StoredBlob) -> Outcome:
        try:
            found, detail = self._read(blob)
        except Unavailable:
            raise
        except GlareError as failed:  # It may be this node, or a right to read that an operator gives back.
            _log.error(
                "stored bytes could not be read",
                extra={"store": blob.location.store, "object": blob.location.object, "reason": failed.message},
            )
            return Outcome.UNREADABLE
        wrong = None if found is Outcome.EQUAL else Damage(found.value)
        if wrong is not blob.damage and not damage.mark(self._services, blob, wrong, detail):
            return Outcome.EQUAL  # It was replaced or deleted while it was read.
        if wrong is None:
            return found
        _log.error(
            "stored bytes are not what was recorded",
            extra={
                "store": blob.location.store,
                "object": blob.location.object,
                "reason": found.value,
                "found": detail,
            },
        )
        try:
            return Outcome.REPAIRED if repair(self._services, blob, self._pace) else found
        except GlareError as failed:
            _log.warning("damaged bytes could not be repaired", extra={"reason": failed.message})
            return found

    def _read(self, blob: StoredBlob) -> tuple[Outcome, str]:
        """What an object is like, and a sentence about it. Raises `Unavailable` for a store that is not at its place,
        or reads nothing, and other errors that are not of the object.
        """
        try:
            return self._compared(blob)
        except NotFound:
            return Outcome.MISSING, "the store does not have it"
        except damage.Unreadable as failed:
            return Outcome.UNREADABLE, failed.reason

    def _compared(self, blob: StoredBlob) -> tuple[Outcome, str]:
        blocks = block_count(blob.size)
        digests = BlockDigests(self._services, blob.sha256, blob.size)
        recorded = Recorded(blob.size, blocks - 1, blob.slot.path, digests)
        one = CheckedObject(self._services, blob.location, recorded, self._pace)
        if (size := one.size()) != blob.size:
            return Outcome.DIFFERS, f"it has {size} bytes, and {blob.size} were recorded"
        if self._at.object != blob.location.object:
            self._at.object, self._at.block = blob.location.object, 0
        try:
            while self._at.block < blocks:
                one.block(self._at.block)
                self._at.block += 1
        except damage.Unreadable:
            raise
        except BlobDamaged:
            return self._compared_whole(one)
        finally:
            one.close()
        return Outcome.EQUAL, "it is as it was recorded again"

    def _compared_whole(self, one: CheckedObject) -> tuple[Outcome, str]:
        """A block is not what was recorded of it: the sha256 of the whole says whether the object is wrong, or the
        record of its blocks.
        """
        try:
            one.prove()
        except damage.Unreadable:
            raise
        except BlobDamaged:
            return Outcome.DIFFERS, f"block {self._at.block} of 1 MiB is not what was recorded"
        return Outcome.EQUAL, "the recorded digests of its blocks were wrong, and are right again"

    def _pace(self, size: int) -> None:
        self._throttle.spend(size)
        self._now_and_then()

    def _now_and_then(self) -> None:
        """Keep how far it is, and the lease."""
        if time.monotonic() - self._saved_at < _SAVE_EVERY:
            return
        self._saved_at = time.monotonic()
        until = self._services.clock() + _LEASE
        if not self._services.db.transact(lambda connection: patrols.save(connection, self._at, until)):
            raise _LeaseLost
