"""Repairing a damaged blob from an equal one: its bytes are copied, checked block by block, into an object of its own
that takes the damaged one's place.

Any stored blob of the same content may be the source, whosever it is: nobody is told, and the bytes are the same.
Origins are not asked: that would spend the budget of a project, and promotion does it where it is wanted.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from glare.db import artifacts as artifact_rows
from glare.db import blobs as blob_rows
from glare.db import fsck as rows
from glare.db.fsck import StoredBlob
from glare.db.rows import fetch_artifact
from glare.digest import block_count
from glare.domain.blob import Managed
from glare.domain.events import artifact_event
from glare.domain.moment import HOUR
from glare.errors import GlareError
from glare.operations import audit
from glare.operations.reading.block_digests import BlockDigests
from glare.operations.reading.checked_object import CheckedObject, Recorded
from glare.operations.reading.equal_objects import EqualObjects

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from glare.operations.services import Services

_log = logging.getLogger(__name__)

_MOST_SOURCES: Final = 8
_ABANDONED_AFTER: Final = HOUR
"""What is being written is doomed from then on (microseconds), so that a process that dies leaves nothing. It is put
off while it is written."""

_FOUND: Final = "it was repaired from an equal stored blob"


def repair(services: Services, blob: StoredBlob, pace: Callable[[int], None], to: str | None = None) -> bool:
    """Whether a damaged blob has right bytes now, in the store `to`, or in its own where none is named. `pace` is
    called with the size of each piece that was read, and may wait or raise.

    Raises `StoreFull` and other errors of the store that it writes to; the blob is then as it was.
    """
    with services.db.read() as connection:
        equal = rows.equal_ones(connection, blob, _MOST_SOURCES)
    if not equal or blob.location.store not in services.stores:
        return False
    repaired = Managed(to or _place(services, blob), uuid.uuid4().hex)
    until = services.clock() + _ABANDONED_AFTER
    services.db.transact(lambda connection: blob_rows.doom(connection, [repaired], until))
    if not _copy(services, blob, equal, repaired, pace):
        return False
    done = services.db.transact(
        lambda connection: _swap(services, connection, blob, repaired),
        done=lambda connection: rows.blob_with(connection, repaired) is not None or None,
    )
    if done:
        _log.warning("damaged bytes were repaired", extra={"store": repaired.store, "object": repaired.object})
    return done


def _place(services: Services, blob: StoredBlob) -> str:
    """The blob's own store, or where new data goes if that takes none."""
    if blob.location.store not in services.rules.placing.read_only:
        return blob.location.store
    with services.db.read() as connection:
        artifact = fetch_artifact(connection, blob.artifact_id)
    return services.store_for(blob.type_name, None if artifact is None else artifact.owner)


def _copy(
    services: Services, blob: StoredBlob, equal: Sequence[StoredBlob], to: Managed, pace: Callable[[int], None]
) -> bool:
    """Write the content; False where no source delivers some block of it."""
    blocks = block_count(blob.size)
    recorded = Recorded(blob.size, blocks - 1, blob.slot.path, BlockDigests(services, blob.sha256, blob.size))
    sources = EqualObjects(
        services, blob.slot.path, [CheckedObject(services, one.location, recorded, pace) for one in equal]
    )
    put_off_at = services.clock()
    try:
        with services.stores[to.store].create(to.object, expected_size=blob.size) as writer:
            for block in range(blocks):
                data = sources.block(block)
                if not isinstance(data, bytes):
                    return False
                writer.write(data)
                now = services.clock()
                if now - put_off_at > _ABANDONED_AFTER // 4:
                    put_off_at = now
                    services.db.transact(partial(blob_rows.hold, location=to, until=now + _ABANDONED_AFTER))
            writer.commit()
    finally:
        sources.close()
    return True


def _swap(services: Services, connection: Connection, blob: StoredBlob, repaired: Managed) -> bool:
    now = services.clock()
    artifact_rows.lock(connection, blob.artifact_id)  # Nobody lets go of the old object while it is exchanged.
    artifact = fetch_artifact(connection, blob.artifact_id)
    if artifact is None or not rows.replace_object(connection, blob, repaired):
        return False  # It was replaced or deleted meanwhile; what was written stays doomed.
    if not blob_rows.undoom(connection, repaired):
        raise GlareError("A repair took so long that its bytes were removed; the patrol repeats it.")
    blob_rows.doom(connection, [blob.location], now + services.rules.removal_delay)
    noted = {"damage": None, "store": repaired.store, "object": repaired.object, "found": _FOUND}
    event = artifact_event("blob_recovered", artifact, now)
    audit.changed(connection, None, [event], target=blob.slot.path, detail=noted)
    return True
