"""Stored bytes that are not what was recorded: the object is marked, and its operator is told.

A mark belongs to the object that was read: one that has taken its place, or is gone, is never marked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from glare.db import blobs as blob_rows
from glare.db import fsck as rows
from glare.db.fsck import StoredBlob
from glare.db.rows import fetch_artifact
from glare.domain.blob import Damage, Managed
from glare.domain.events import artifact_event
from glare.errors import BlobDamaged, GlareError, NotFound, StoreFull, StoreReadOnly, Unavailable
from glare.operations import audit
from glare.stores.contract import ObjectFailed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from glare.operations.services import Services

T = TypeVar("T")

_log = logging.getLogger(__name__)

_REMEDY: Final = "tell its operator, who may have a copy of them"
_OTHERS: Final = f"The stored bytes of blob '{{path}}' are not those that were recorded, and are not sent; {_REMEDY}."
_READS_NOTHING: Final = (
    "Store '{store}' cannot be read now; retry after its operator has looked at its disk, and at the service's log."
)
_SAMPLE: Final = 16
"""Objects of a store that are asked for, so that one may be blamed: a few may be damaged, so many hardly."""


class Doubtful(BlobDamaged):
    """A block is not what was recorded of it. Whether the bytes are wrong or the record of blocks, the whole says."""


class Unreadable(BlobDamaged):
    """One object cannot be read, also when it is read again, though its store works. `reason` is what the store
    says.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def not_as_recorded(path: str) -> BlobDamaged:
    """The error for a blob whose bytes are not sent, because they are others."""
    return BlobDamaged(_OTHERS.format(path=path))


def doubtful(path: str) -> Doubtful:
    """The same where only a block was compared, of more than one."""
    return Doubtful(_OTHERS.format(path=path))


def not_readable(path: str, reason: str = "they could not be read before") -> Unreadable:
    """The error for a blob whose bytes cannot be read."""
    return Unreadable(f"The stored bytes of blob '{path}' cannot be read; {_REMEDY}.", reason)


def of(failed: GlareError) -> Damage | None:
    """The damage that an error has proven; None for one that says nothing for certain about the object."""
    if isinstance(failed, Unreadable):
        return Damage.UNREADABLE
    return Damage.DIFFERS if isinstance(failed, BlobDamaged) and not isinstance(failed, Doubtful) else None


def read_again(
    services: Services, location: Managed, path: str, read: Callable[[], T], close: Callable[[], None] = lambda: None
) -> T:
    """What `read` returns, from the second time where its object failed at the first; `close` comes in between.

    Raises `Unreadable` where both failed although the store works, with the store's error as its cause.
    """
    try:
        return read()
    except ObjectFailed:
        close()
    require_working(services, location)
    try:
        return read()
    except ObjectFailed as failed:
        raise not_readable(path, failed.message) from failed


def require_working(services: Services, location: Managed) -> None:
    """Raise `Unavailable` or another error of the store where more is wrong than with this one object.

    The store's own check need not read: some others of its objects are asked for, until one of them can be read.
    """
    store = services.store_with(location)
    try:
        store.check()
    except (StoreFull, StoreReadOnly):
        pass  # It can be read, which is all that is needed.
    except ObjectFailed as one:
        raise Unavailable(_READS_NOTHING.format(store=location.store)) from one
    with services.db.look() as connection:
        others = [name for name in blob_rows.objects_of(connection, location.store, _SAMPLE) if name != location.object]
    failed = None
    for name in others:
        try:
            with store.open(name, 0, 1) as reader:
                reader.read(1)
        except NotFound:
            continue
        except ObjectFailed as one:
            failed = one
        else:
            return
    if failed is not None:
        raise Unavailable(_READS_NOTHING.format(store=location.store)) from failed


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
        noted = {"damage": damage, "store": blob.location.store, "object": blob.location.object, "found": detail}
        audit.changed(connection, None, [artifact_event(action, artifact, now)], target=blob.slot.path, detail=noted)
        return True

    return services.db.transact(marked)


def seen(services: Services, location: Managed, failed: GlareError, detail: str) -> None:
    """A reader was not served from this object because of `failed`; what that proves is marked. It never raises for a
    database that does not answer.

    What is missing is not marked: this node may be the one that does not see it. The patrol and `glare-server fsck`
    look again.
    """
    found = of(failed)
    reason = found.value if found else "missing" if isinstance(failed, NotFound) else "unreadable"
    services.metrics.stored_bytes_failed(location.store, reason)
    _log.error(
        "stored bytes are not what was recorded" if reason == "differs" else "stored bytes could not be read",
        extra={"store": location.store, "object": location.object, "reason": reason, "found": detail},
    )
    if found is None:
        return
    try:
        with services.db.look() as connection:
            blob = rows.blob_with(connection, location)
        if blob is not None and blob.damage is None:
            mark(services, blob, found, detail)
    except GlareError:
        _log.exception("damaged bytes could not be marked", extra={"object": location.object})
