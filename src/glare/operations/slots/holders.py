"""Who holds a slot, and whether it is still alive.

An attempt shows that it is alive by its heartbeat. One whose heartbeat stopped `attempt_timeout` ago is *dead*: whoever
needs its slot, and the sweep, ends it. The attempt of a job has no heartbeat, and never counts as dead: its job's lease
decides. A process that was only paused may come back after its attempt was ended; it finds that its attempt is gone
when it extends or publishes it, and then nothing of it counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glare.db import artifacts as artifact_rows
from glare.db import blobs as blob_rows
from glare.db import counters
from glare.domain.moment import SECOND
from glare.operations import access

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from glare.domain.artifact import Artifact
    from glare.domain.blob import Blob, Slot
    from glare.operations.place import Place
    from glare.operations.services import Services


def is_dead(services: Services, blob: Blob, now: int) -> bool:
    """Whether the blob's attempt has stopped its heartbeat long enough ago to be taken over."""
    heartbeat = blob.attempt.heartbeat if blob.attempt is not None else None
    return heartbeat is not None and heartbeat < _alive_since(services, now)


def require_idle_slot(services: Services, place: Place) -> None:
    """Raises `Conflict` where a living attempt holds the slot."""
    blob = place.blob
    if blob is not None and blob.attempt is not None and not is_dead(services, blob, services.clock()):
        raise blob_rows.slot_busy(place.slot)


def require_no_attempt(artifact: Artifact, *, but_of_jobs: bool = False) -> None:
    """Raises `Conflict` where an attempt, dead or living, holds any slot of the artifact; a promotion changes no
    content.

    With `but_of_jobs` no attempt of a job matters, which can be cancelled.
    """
    for slot, blob in artifact.blobs.items():
        harmless = blob.attempt is None or (blob.attempt.of_job and (but_of_jobs or blob.location is not None))
        if not harmless:
            raise blob_rows.slot_busy(slot)


def take_over_dead(services: Services, connection: Connection, artifact: Artifact, slot: Slot, now: int) -> bool:
    """End a dead attempt in `slot`, in the caller's transaction, who counts it after the commit; False without one.
    Raises `Conflict` where it is a living one.
    """
    blob = artifact.blobs.get(slot)
    if blob is None or blob.attempt is None:
        return False
    if not is_dead(services, blob, now):
        raise blob_rows.slot_busy(slot)
    return end_attempt(services, connection, artifact, blob.attempt.id)


def count_dead(services: Services, number: int) -> None:
    """Count dead attempts that a transaction has ended."""
    for _ in range(number):
        services.metrics.attempt_ended("dead")


def without_dead(services: Services, artifact: Artifact) -> Artifact:
    """The artifact after attempts that died in it were undone.

    A process that was only paused may come back: what must not change under its upload has to end its attempt first.
    """
    before = _alive_since(services, services.clock())
    attempts = [blob.attempt for blob in artifact.blobs.values() if blob.attempt is not None]
    dead = [attempt.id for attempt in attempts if attempt.heartbeat is not None and attempt.heartbeat < before]
    if not dead:
        return artifact

    def end(connection: Connection) -> tuple[Artifact, int]:
        ended = [end_attempt(services, connection, artifact, each, beaten_before=before) for each in dead]
        return access.reread(connection, artifact.id), sum(ended)

    after, number = services.db.transact(end)
    count_dead(services, number)
    return after


def end_attempt(
    services: Services,
    connection: Connection,
    artifact: Artifact,
    attempt_id: str,
    *,
    beaten_before: int | None = None,
) -> bool:
    """Undo an attempt of `artifact` in the caller's transaction; False when it is no longer there.

    With `beaten_before` (microseconds) also when its heartbeat is not before that.
    """
    artifact_rows.lock(connection, artifact.id)
    released = blob_rows.end_attempt(connection, attempt_id, beaten_before=beaten_before)
    if released is None:
        return False
    if released:
        counters.use(connection, artifact.owner, artifact.type_name, size=-released)
    artifact_rows.touch_any(connection, artifact.id, services.clock())
    return True


def _alive_since(services: Services, now: int) -> int:
    return now - int(services.rules.attempt_timeout * SECOND)
