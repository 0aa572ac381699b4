"""Stored bytes that are not what was recorded: the object is marked, and its operator is told.

A mark belongs to the object that was read: one that has taken its place, or is gone, is never marked.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from glare.db import fsck as rows
from glare.db.fsck import StoredBlob
from glare.db.rows import fetch_artifact
from glare.domain.blob import Damage, Managed
from glare.domain.events import artifact_event
from glare.errors import BlobDamaged, GlareError, NotFound
from glare.operations import audit

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from glare.operations.services import Services

_log = logging.getLogger(__name__)

_REMEDY: Final = "tell its operator, who may have a copy of them"


def not_as_recorded(path: str) -> BlobDamaged:
    """The error for a blob whose bytes are not sent, because they are others."""
    return BlobDamaged(
        f"The stored bytes of blob '{path}' are not those that were recorded, and are not sent; {_REMEDY}."
    )


def mark(services: Services, blob: StoredBlob, damage: Damage | None, detail: str) -> bool:
    """Say what is wrong with a blob's object, None for nothing, in row, audit log and events; False where it has
    another object by now.
    """

    def marked(connection: Connection) -> bool:
        now = services.clock()
        if not rows.mark(connection, blob, damage, now):
            return False
        artifact = fetch_artifact(connection, blob.artifact_id)
        if artifact is None:
            return False
        action = "blob_damaged" if damage is not None else "blob_recovered"
        told = {"damage": damage, "store": blob.location.store, "object": blob.location.object, "found": detail}
        audit.changed(connection, None, [artifact_event(action, artifact, now)], target=blob.slot.path, detail=told)
        return True

    return services.db.transact(marked)


def seen(services: Services, location: Managed, failed: GlareError, detail: str) -> None:
    """A reader was not served from this object because of `failed`; what differs is marked. It never raises for a
    database that does not answer.

    What is missing is not marked: this node may be the one that does not see it. The patrol and `glare-server fsck` look
    again.
    """
    differs = isinstance(failed, BlobDamaged)
    reason = "differs" if differs else "missing" if isinstance(failed, NotFound) else "unreadable"
    services.metrics.stored_bytes_failed(location.store, reason)
    _log.error(
        "stored bytes are not what was recorded" if differs else "stored bytes could not be read",
        extra={"store": location.store, "object": location.object, "reason": reason, "found": detail},
    )
    if not differs:
        return
    try:
        with services.db.read() as connection:
            blob = rows.blob_with(connection, location)
        if blob is not None and blob.damage is None:
            mark(services, blob, Damage.DIFFERS, detail)
    except GlareError:
        _log.exception("damaged bytes could not be marked", extra={"object": location.object})
