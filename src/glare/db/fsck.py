"""What a check of stored bytes reads and writes: blobs in the order of their slots, its own progress, and its marks.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, delete, func, insert, select, update

from glare.db.tables import artifacts, blobs, doomed_objects, fsck_runs
from glare.domain.blob import BlobStatus, Damage, Managed, Slot
from glare.errors import Conflict

_blobs = blobs.c
_runs = fsck_runs.c

BLOBS = "blobs"
OBJECTS = "objects"


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A published blob in a store, and what was recorded of it. `size` in bytes."""

    slot_id: str
    artifact_id: str
    type_name: str
    slot: Slot
    location: Managed
    size: int
    sha256: str
    damage: Damage | None


@dataclass(slots=True)
class Run:
    """How far a check of one store has come: its `phase`, the last slot or object looked at, and what was counted so
    far.
    """

    store: str
    holder: str
    started_at: int
    phase: str = BLOBS
    position: str = ""
    counts: dict[str, int] = field(default_factory=dict)


def claim(connection: Connection, run: Run, now: int, dead_before: int, *, restart: bool) -> Run:
    """Take the check of a store: the one that was interrupted, or `run`. Raises `Conflict` where another goes on."""
    row = connection.execute(select(fsck_runs).where(_runs.store == run.store).with_for_update()).first()
    if row is None:
        connection.execute(insert(fsck_runs).values(**_columns(run), store=run.store, heartbeat=now))
        return run
    if row.holder not in (None, run.holder) and row.heartbeat >= dead_before:
        raise Conflict(
            f"Another check of store '{run.store}' is under way; wait until it is done. One that was killed counts "
            "as dead after a minute."
        )
    if not restart:
        counts = msgspec.json.decode(row.counts, type=dict[str, int])
        run = Run(run.store, run.holder, row.started_at, row.phase, row.position, counts)
    connection.execute(update(fsck_runs).where(_runs.store == run.store).values(**_columns(run), heartbeat=now))
    return run


def save(connection: Connection, run: Run, now: int) -> bool:
    """Keep how far a check has come, and that it is alive; False where another has taken it over."""
    mine = (_runs.store == run.store) & (_runs.holder == run.holder)
    return bool(connection.execute(update(fsck_runs).where(mine).values(**_columns(run), heartbeat=now)).rowcount)


def release(connection: Connection, run: Run) -> None:
    """Let anybody go on with a check that stops here."""
    mine = (_runs.store == run.store) & (_runs.holder == run.holder)
    connection.execute(update(fsck_runs).where(mine).values(holder=None))


def finish(connection: Connection, run: Run) -> None:
    """Forget a check that is done."""
    connection.execute(delete(fsck_runs).where(_runs.store == run.store, _runs.holder == run.holder))


def totals(connection: Connection, store: str) -> tuple[int, int]:
    """How many blobs a store has, and their bytes."""
    mine = (_blobs.store == store, _blobs.object.is_not(None))
    row = connection.execute(select(func.count(), func.coalesce(func.sum(_blobs.size), 0)).where(*mine)).one()
    return int(row[0]), int(row[1])


def page(connection: Connection, store: str, after: str, limit: int) -> list[StoredBlob]:
    """Published blobs of a store in the order of their slots, those after the slot `after`."""
    statement = (
        _stored_blobs()
        .where(_blobs.slot_id > after, _blobs.store == store, _blobs.status == BlobStatus.ACTIVE)
        .order_by(_blobs.slot_id)
        .limit(limit)
    )
    return [_stored_blob(row) for row in connection.execute(statement)]


def page_by_object(connection: Connection, store: str, after: str, limit: int) -> list[StoredBlob]:
    """Published blobs of a store in the order of their objects' names, those after the name `after`."""
    wanted = _stored_blobs().where(_blobs.object > after, _blobs.store == store).order_by(_blobs.object).limit(limit)
    return [_stored_blob(row) for row in connection.execute(wanted)]


def blobs_by_store(connection: Connection) -> dict[str, tuple[int, int]]:
    """How many blobs have objects in each store that any is in, and their bytes."""
    counted = (
        select(_blobs.store, func.count(), func.coalesce(func.sum(_blobs.size), 0))
        .where(_blobs.object.is_not(None))
        .group_by(_blobs.store)
    )
    return {store: (int(count), int(size)) for store, count, size in connection.execute(counted)}


def chosen(connection: Connection, conditions: Sequence[ColumnElement[Any]], limit: int) -> list[StoredBlob]:
    """Up to `limit` published blobs, in the order of their slots."""
    statement = _stored_blobs().where(_blobs.status == BlobStatus.ACTIVE, *conditions).order_by(_blobs.slot_id)
    return [_stored_blob(row) for row in connection.execute(statement.limit(limit))]


def blob_with(connection: Connection, location: Managed) -> StoredBlob | None:
    """The published blob that has this object; None where none has it any more."""
    statement = _stored_blobs().where(_blobs.object == location.object, _blobs.store == location.store)
    row = connection.execute(statement).first()
    return None if row is None else _stored_blob(row)


def equal_ones(connection: Connection, blob: StoredBlob, limit: int) -> list[StoredBlob]:
    """Up to `limit` other stored blobs with the same content, whosever they are, against which nothing is known."""
    statement = _stored_blobs().where(
        _blobs.sha256 == blob.sha256,
        _blobs.size == blob.size,
        _blobs.slot_id != blob.slot_id,
        _blobs.object.is_not(None),
        _blobs.damage.is_(None),
        _blobs.status == BlobStatus.ACTIVE,
    )
    return [_stored_blob(row) for row in connection.execute(statement.limit(limit))]


def replace_object(connection: Connection, blob: StoredBlob, repaired: Managed) -> bool:
    """Give a blob another object with the same content, in which nothing is wrong; False where it has another one by
    now, or is gone.
    """
    same = (
        (_blobs.slot_id == blob.slot_id)
        & (_blobs.store == blob.location.store)
        & (_blobs.object == blob.location.object)
    )
    values = {"store": repaired.store, "object": repaired.object, "damage": None, "damaged_at": None}
    return bool(connection.execute(update(blobs).where(same).values(**values)).rowcount)


def replace_objects(connection: Connection, replaced: Sequence[tuple[StoredBlob, Managed]]) -> set[str]:
    """The same for several blobs; returns the slots of those that had the object with which they were read."""
    wanted = {blob.slot_id: (blob.location, to) for blob, to in replaced}
    held = select(_blobs.slot_id, _blobs.store, _blobs.object).where(_blobs.slot_id.in_(list(wanted)))
    now = {
        row.slot_id: Managed(row.store, row.object)
        for row in connection.execute(held.order_by(_blobs.slot_id).with_for_update())
        if row.object is not None
    }
    same = [slot for slot, (before, _) in wanted.items() if now.get(slot) == before]
    values: dict[str, Any] = {
        "store": bindparam("to_store"),
        "object": bindparam("to_object"),
        "damage": None,
        "damaged_at": None,
    }
    if same:
        each = [{"slot": slot, "to_store": wanted[slot][1].store, "to_object": wanted[slot][1].object} for slot in same]
        connection.execute(update(blobs).where(_blobs.slot_id == bindparam("slot")).values(**values), each)
    return set(same)


def _stored_blobs() -> Select[Any]:
    return select(
        _blobs.slot_id, _blobs.artifact_id, artifacts.c.type_name, _blobs.field, _blobs.item_key, _blobs.store,
        _blobs.object, _blobs.size, _blobs.sha256, _blobs.damage,
    ).join(artifacts, artifacts.c.id == _blobs.artifact_id)  # fmt: skip


def _stored_blob(row: Row[Any]) -> StoredBlob:
    return StoredBlob(
        row.slot_id,
        row.artifact_id,
        row.type_name,
        Slot(row.field, row.item_key),
        Managed(row.store, row.object),
        row.size,
        row.sha256,
        Damage.read(row.damage),
    )


def mark(connection: Connection, blob: StoredBlob, damage: Damage | None, now: int) -> bool:
    """Say what is wrong with a blob's object, None for nothing; False where the blob has another object by now, or is
    gone.
    """
    same = (
        (_blobs.slot_id == blob.slot_id)
        & (_blobs.store == blob.location.store)
        & (_blobs.object == blob.location.object)
    )
    marks = {"damage": damage, "damaged_at": now if damage is not None else None}
    return bool(connection.execute(update(blobs).where(same).values(**marks)).rowcount)


class Use(StrEnum):
    """What an object of a store is there for."""

    BLOB = "blob"
    UNDER_WAY = "under way"
    DUE_FOR_REMOVAL = "due for removal"


def uses(connection: Connection, store: str, names: Sequence[str]) -> dict[str, Use]:
    """What these objects of a store are there for; those that nothing needs are left out.

    An object is an attempt's first, then a blob's, then on its way out; one that a move writes is on its way out from
    the beginning, until a blob has it. They are asked for in this order, so that one that goes on meanwhile is found
    all the same.
    """
    found: dict[str, Use] = {}
    leaving = select(doomed_objects.c.object).where(doomed_objects.c.object.in_(names), doomed_objects.c.store == store)
    for use, statement in (
        (Use.DUE_FOR_REMOVAL, leaving),
        (
            Use.UNDER_WAY,
            select(_blobs.attempt_object).where(_blobs.attempt_id.is_not(None), _blobs.attempt_store == store),
        ),
        (Use.BLOB, select(_blobs.object).where(_blobs.object.in_(names), _blobs.store == store)),
        (Use.DUE_FOR_REMOVAL, leaving),
    ):
        found.update(dict.fromkeys(connection.execute(statement).scalars(), use))
    return {name: found[name] for name in names if name in found}


def unknown(connection: Connection, store: str, names: Sequence[str]) -> list[str]:
    """Those of a store's objects that no blob has, no attempt fills, and nobody is about to remove."""
    known = uses(connection, store, names)
    return [name for name in names if name not in known]


def _columns(run: Run) -> Mapping[str, object]:
    return {
        "phase": run.phase,
        "position": run.position,
        "started_at": run.started_at,
        "holder": run.holder,
        "counts": msgspec.json.encode(run.counts),
    }
