"""Writing blobs: attempts, publication, removal. One row is one slot; see `docs/architecture.md` for the protocol.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, and_, delete, func, insert, literal, or_, select, update

from glare.db import as_sent
from glare.db.dialects.later import later
from glare.db.dialects.upsert import insert_new
from glare.db.keys import slot_id
from glare.db.tables import artifacts, blobs, doomed_objects
from glare.domain.blob import Blob, BlobStatus, External, LocationState, Managed, Slot
from glare.errors import Conflict

_columns = blobs.c


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """What an attempt writes into its slot: `reserved` are bytes of quota, `staged` where its bytes will go (None:
    nowhere).

    That `of_job` has no heartbeat: it is there as long as the job is.
    """

    id: str
    started_at: int
    reserved: int
    content_type: str | None
    external: bool
    staged: Managed | None
    of_job: bool = False


@dataclass(frozen=True, slots=True)
class DeadAttempt:
    """An attempt whose heartbeat stopped, with what is needed to undo it."""

    artifact_id: str
    type_name: str
    owner: str
    slot: Slot
    attempt_id: str
    reserved: int
    heartbeat: int


def begin_attempt(connection: Connection, artifact_id: str, slot: Slot, attempt: NewAttempt) -> None:
    """Give the slot to `attempt`. Raises `Conflict` where another attempt holds it."""
    key = slot_id(artifact_id, slot.field, slot.key)
    held = {
        "attempt_id": attempt.id,
        "attempt_heartbeat": None if attempt.of_job else attempt.started_at,
        "attempt_reserved": attempt.reserved,
        "attempt_store": attempt.staged.store if attempt.staged else None,
        "attempt_object": attempt.staged.object if attempt.staged else None,
    }
    row = {
        "slot_id": key,
        "artifact_id": artifact_id,
        "field": slot.field,
        "item_key": slot.key,
        "created_at": attempt.started_at,
        "status": BlobStatus.SAVING.value,
        "content_type": attempt.content_type,
        "external": int(attempt.external),
    }
    if insert_new(connection, blobs, {**row, **held}):
        return
    free = update(blobs).where(_columns.slot_id == key, _columns.attempt_id.is_(None)).values(**held)
    if not connection.execute(free).rowcount:
        raise slot_busy(slot)


def extend_attempt(connection: Connection, attempt_id: str, by: int) -> bool:
    """Add `by` bytes to what the attempt has reserved; False when the attempt is no longer there."""
    statement = (
        update(blobs).where(_columns.attempt_id == attempt_id).values(attempt_reserved=_columns.attempt_reserved + by)
    )
    return bool(connection.execute(statement).rowcount)


def beat(connection: Connection, attempt_ids: Sequence[str], now: int) -> None:
    """Show that these attempts are alive."""
    connection.execute(update(blobs).where(_columns.attempt_id.in_(attempt_ids)).values(attempt_heartbeat=now))


def publish(
    connection: Connection,
    attempt_id: str,
    blob: Blob,
    host: str | None = None,
    project: str | None = None,
    keep_until: int = 0,
) -> bool:
    """Show `blob` in its slot and end the attempt; what the slot held before is doomed, from `keep_until`
    (microseconds) on.

    `host` is that of an external location's URL, `project` the one that it is listed for. Returns False, and changes
    nothing, when the attempt is no longer ours.
    """
    mine = _columns.attempt_id == attempt_id
    before = connection.execute(
        select(_columns.store, _columns.object, _columns.generation).where(mine).with_for_update()
    ).first()
    if before is None:
        return False
    managed = blob.location if isinstance(blob.location, Managed) else None
    external = blob.location if isinstance(blob.location, External) else None
    digests = blob.digests or blob.claimed
    published = {
        "status": blob.status.value,
        "content_type": blob.content_type,
        "size": blob.size,
        "md5": digests.md5 if digests else None,
        "sha1": digests.sha1 if digests else None,
        "sha256": digests.sha256 if digests else None,
        "external": int(external is not None),
        "store": managed.store if managed else None,
        "object": managed.object if managed else None,
        "url": external.url if external else None,
        "project": project if external else None,
        "location_id": external.id if external else None,
        "host": host,
        "confidential": int(external.confidential) if external else 0,
        "state": external.state.value if external else None,
        "proven_at": external.proven_at if external else None,
        "seen_at": external.seen_at if external else None,
        "etag": external.etag if external else None,
        "last_modified": external.last_modified if external else None,
        "as_sent": as_sent.written(external.as_sent) if external else None,
        "reason": external.reason if external else None,
        "failures": external.failures if external else 0,
        "check_at": external.check_at if external else None,
        "full_at": external.full_at if external else None,
        "matched_at": external.matched_at if external else None,
        "asked_at": None,
        "stale_told_at": None,
        "doubt": None,
        "refuted": 0,
        "withheld_at": None,
        "withheld": None,
        "faults": 0,
        "source_url": blob.source.url if blob.source else None,
        "source_confidential": int(blob.source.confidential) if blob.source else 0,
        "generation": before.generation + 1,
        "damage": None,
        "damaged_at": None,
    }
    done = connection.execute(update(blobs).where(mine).values(**published, **_NO_ATTEMPT))
    if done.rowcount and before.object is not None:
        doom(connection, [Managed(before.store, before.object)], keep_until)
    return bool(done.rowcount)


def restage(connection: Connection, attempt_id: str, staged: Managed) -> Managed | None:
    """Let an attempt begin again with another object; returns the one that it had, which is doomed. None where it is no
    longer there.
    """
    mine = _columns.attempt_id == attempt_id
    before = connection.execute(select(_columns.attempt_store, _columns.attempt_object).where(mine).with_for_update())
    row = before.first()
    if row is None or row.attempt_object is None:
        return None
    old = Managed(row.attempt_store, row.attempt_object)
    doom(connection, [old])
    connection.execute(update(blobs).where(mine).values(attempt_store=staged.store, attempt_object=staged.object))
    return old


def measured(connection: Connection, location_id: str, blob: Blob) -> bool:
    """Put what was measured of an external location in the place of what was claimed; False where that has happened
    before.
    """
    location, digests = blob.location, blob.digests
    if not isinstance(location, External) or digests is None:
        raise AssertionError("what was measured has digests")
    values = {
        "content_type": blob.content_type,
        "size": blob.size,
        "md5": digests.md5,
        "sha1": digests.sha1,
        "sha256": digests.sha256,
        "state": location.state.value,
        "reason": location.reason,
        "proven_at": location.proven_at,
        "seen_at": location.seen_at,
        "etag": location.etag,
        "last_modified": location.last_modified,
        "as_sent": as_sent.written(location.as_sent),
        "check_at": location.check_at,
        "full_at": location.full_at,
        "asked_at": None,
        "failures": 0,
        "generation": _columns.generation + 1,
    }
    mine = and_(_columns.location_id == location_id, _columns.size.is_(None))
    return bool(connection.execute(update(blobs).where(mine).values(**values)).rowcount)


def refuted(connection: Connection, location_id: str, reason: str, now: int) -> bool:
    """What was claimed of an external location is wrong; False where something was measured of it before."""
    mine = and_(_columns.location_id == location_id, _columns.size.is_(None))
    values = {"state": LocationState.CHANGED.value, "reason": reason, "seen_at": now, "asked_at": None}
    return bool(
        connection.execute(update(blobs).where(mine).values(**values, generation=_columns.generation + 1)).rowcount
    )


def end_attempt(connection: Connection, attempt_id: str, *, beaten_before: int | None = None) -> int | None:
    """Undo an attempt: its slot is as before, its staged object is doomed. Returns the bytes that it had reserved.

    None when there is no such attempt (any more), or when its heartbeat is not before `beaten_before` (microseconds).
    """
    statement = select(
        _columns.slot_id, _columns.status, _columns.attempt_reserved, _columns.attempt_store, _columns.attempt_object
    ).where(_columns.attempt_id == attempt_id)
    if beaten_before is not None:
        statement = statement.where(_columns.attempt_heartbeat < beaten_before)
    row = connection.execute(statement.with_for_update()).first()
    if row is None:
        return None
    if row.attempt_object is not None:
        doom(connection, [Managed(row.attempt_store, row.attempt_object)])
    mine = and_(_columns.slot_id == row.slot_id, _columns.attempt_id == attempt_id)
    if row.status == BlobStatus.SAVING:
        connection.execute(delete(blobs).where(mine))
    else:
        connection.execute(update(blobs).where(mine).values(**_NO_ATTEMPT))
    return int(row.attempt_reserved)


def drop_blob(connection: Connection, artifact_id: str, blob: Blob, keep_until: int = 0) -> bool:
    """Remove the row of a blob that no attempt holds and that is still as it was read; its object is doomed, from
    `keep_until` on.
    """
    managed = blob.location if isinstance(blob.location, Managed) else None
    key = slot_id(artifact_id, blob.slot.field, blob.slot.key)
    same = _columns.object == managed.object if managed else _columns.object.is_(None)
    done = connection.execute(delete(blobs).where(_columns.slot_id == key, _columns.attempt_id.is_(None), same))
    if done.rowcount and managed:
        doom(connection, [managed], keep_until)
    return bool(done.rowcount)


def dead_attempts(
    connection: Connection, beaten_before: int, limit: int, after: tuple[int, str] = (0, "")
) -> list[DeadAttempt]:
    """Attempts whose last heartbeat is before `beaten_before` (microseconds), those longest dead first, from behind the
    place `after`.
    """
    beat, last = after
    statement = (
        select(
            _columns.artifact_id,
            artifacts.c.type_name,
            artifacts.c.owner,
            _columns.field,
            _columns.item_key,
            _columns.attempt_id,
            _columns.attempt_reserved,
            _columns.attempt_heartbeat,
        )
        .join(artifacts, artifacts.c.id == _columns.artifact_id)
        .where(
            _columns.attempt_heartbeat < beaten_before,
            _columns.attempt_heartbeat >= beat,
            or_(_columns.attempt_heartbeat > beat, _columns.attempt_id > last),
        )
        .order_by(_columns.attempt_heartbeat, _columns.attempt_id)
        .limit(limit)
    )
    return [
        DeadAttempt(row[0], row[1], row[2], Slot(row[3], row[4]), row[5], row[6], row[7])
        for row in connection.execute(statement)
    ]


def doom(connection: Connection, objects: Iterable[Managed], not_before: int = 0) -> None:
    """Hand objects that no row needs any more to the sweep."""
    rows = [
        {"store": location.store, "object": location.object, "not_before": not_before, "tries": 0}
        for location in objects
    ]
    if rows:
        later(connection, insert(doomed_objects).inline(), rows if len(rows) > 1 else rows[0])


def doom_objects_of(connection: Connection, artifact_id: str, not_before: int) -> None:
    """Hand the objects of an artifact's published blobs to the sweep, whichever these are at this moment."""
    columns = ("store", "object", "not_before", "tries")
    mine = select(_columns.store, _columns.object, literal(not_before, BigInteger), literal(0)).where(
        _columns.artifact_id == artifact_id, _columns.object.is_not(None)
    )
    later(connection, insert(doomed_objects).inline().from_select(columns, mine))


@dataclass(frozen=True, slots=True)
class Doomed:
    """An object of a store that waits for its removal, which was begun `tries` times."""

    id: int
    location: Managed
    tries: int


def doomed(connection: Connection, now: int, limit: int, objects: Sequence[str] | None = None) -> list[Doomed]:
    """Objects that are due for removal; `objects` restricts them to these names."""
    statement = select(
        doomed_objects.c.id, doomed_objects.c.store, doomed_objects.c.object, doomed_objects.c.tries
    ).where(doomed_objects.c.not_before <= now)
    if objects is not None:
        statement = statement.where(doomed_objects.c.object.in_(objects))
    return [
        Doomed(row[0], Managed(row[1], row[2]), row[3])
        for row in connection.execute(statement.order_by(doomed_objects.c.not_before, doomed_objects.c.id).limit(limit))
    ]


def count_doomed(connection: Connection) -> int:
    """How many objects wait for their removal, due or not."""
    return connection.execute(select(func.count()).select_from(doomed_objects)).scalar_one()


def removed(connection: Connection, ids: Sequence[int]) -> None:
    """The objects of these rows are gone from their stores."""
    connection.execute(delete(doomed_objects).where(doomed_objects.c.id.in_(ids)))


def claim_doomed(connection: Connection, found: Sequence[Doomed], now: int, wait: Callable[[int], int]) -> list[Doomed]:
    """Take those of `found` that are still due for their removal; returns them.

    What is taken is nobody's any more: nothing brings it back. Others leave it alone for `wait(tries)` microseconds,
    and take it then, so that what a process has taken and not removed is removed later.
    """
    ids = [doomed.id for doomed in found]
    due = (
        select(doomed_objects.c.id, doomed_objects.c.store, doomed_objects.c.object, doomed_objects.c.tries)
        .where(doomed_objects.c.id.in_(ids), doomed_objects.c.not_before <= now)
        .order_by(doomed_objects.c.id)
        .with_for_update()
    )
    taken = [Doomed(row[0], Managed(row[1], row[2]), row[3]) for row in connection.execute(due)]
    for tries in sorted({doomed.tries for doomed in taken}):
        mine = doomed_objects.c.id.in_([doomed.id for doomed in taken if doomed.tries == tries])
        connection.execute(update(doomed_objects).where(mine).values(not_before=now + wait(tries), tries=tries + 1))
    return taken


def hold(connection: Connection, location: Managed, until: int) -> None:
    """Somebody reads this object: if it is doomed, and nobody has taken it yet, it stays until then (microseconds) at
    least.
    """
    doomed_one = (doomed_objects.c.object == location.object) & (doomed_objects.c.store == location.store)
    connection.execute(
        update(doomed_objects).where(doomed_one, doomed_objects.c.not_before < until).values(not_before=until)
    )


def undoom(connection: Connection, location: Managed) -> bool:
    """An object that was doomed is needed after all; False where somebody has taken it for its removal."""
    mine = (doomed_objects.c.object == location.object) & (doomed_objects.c.store == location.store)
    return bool(connection.execute(delete(doomed_objects).where(mine, doomed_objects.c.tries == 0)).rowcount)


def take_back(connection: Connection, store: str, objects: Sequence[str]) -> set[str]:
    """Doomed objects of a store that are needed after all; returns those that nobody has taken for their removal."""
    columns = doomed_objects.c
    mine = columns.object.in_(objects) & (columns.store == store) & (columns.tries == 0)
    wanted = select(columns.id, columns.object).where(mine).order_by(columns.id)
    found = connection.execute(wanted.with_for_update())
    ids = {row.id: row.object for row in found}
    if ids:
        connection.execute(delete(doomed_objects).where(doomed_objects.c.id.in_(list(ids))))
    return set(ids.values())


def copies(connection: Connection, sha256: str, size: int, limit: int) -> list[tuple[str, Slot]]:
    """Artifacts and slots of up to `limit` stored blobs with this content against which nothing is known."""
    statement = (
        select(_columns.artifact_id, _columns.field, _columns.item_key)
        .where(_columns.sha256 == sha256, _columns.size == size)
        .where(_columns.object.is_not(None), _columns.damage.is_(None), _columns.status == BlobStatus.ACTIVE)
        .limit(limit)
    )
    return [(row.artifact_id, Slot(row.field, row.item_key)) for row in connection.execute(statement)]


def hurry(connection: Connection) -> None:
    """Make everything due at once that was postponed."""
    connection.execute(
        update(doomed_objects).where(doomed_objects.c.tries > 0, doomed_objects.c.not_before > 0).values(not_before=0)
    )


def hurry_objects(connection: Connection, objects: Iterable[Managed]) -> None:
    """Make doomed objects due now that will not be needed, where nobody has taken them yet."""
    for location in objects:
        mine = (doomed_objects.c.object == location.object) & (doomed_objects.c.store == location.store)
        connection.execute(update(doomed_objects).where(mine, doomed_objects.c.tries == 0).values(not_before=0))


def slot_busy(slot: Slot) -> Conflict:
    """The error for a slot that another attempt holds."""
    return Conflict(f"Blob '{slot.path}' is being stored by another request; wait until it is active, then retry.")


_NO_ATTEMPT = {
    "attempt_id": None,
    "attempt_heartbeat": None,
    "attempt_reserved": None,
    "attempt_store": None,
    "attempt_object": None,
}


def stores_in_use(connection: Connection) -> list[str]:
    """The names of stores that published blobs are in. Each costs one look into the index, whatever is in it."""
    found: list[str] = []
    while True:
        following = select(func.min(_columns.store)).where(_columns.store > (found[-1] if found else ""))
        name = connection.execute(following).scalar()
        if name is None:
            return found
        found.append(name)


def objects_of(connection: Connection, store: str, limit: int) -> list[str]:
    """The names of up to `limit` objects that published blobs have in a store."""
    found = select(_columns.object).where(_columns.store == store, _columns.object.is_not(None)).limit(limit)
    return list(connection.execute(found).scalars())
