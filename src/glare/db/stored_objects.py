"""Objects whose bytes are kept in this database, in chunks. `glare.stores.database` is the store over it.

A row of `stored_objects` is *writing* while its chunks come, *stored* once they all did, and *removing* while they go.
Only a stored one has its name in `object`, which is unique. Every function runs in the caller's transaction, and a
transaction that writes or removes chunks holds the row of their object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from glare.db.tables import stored_chunks, stored_objects
from glare.errors import Conflict

_WRITING: Final = "writing"
_STORED: Final = "stored"
_REMOVING: Final = "removing"

_objects = stored_objects.c
_chunks = stored_chunks.c


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A committed object. Sizes in bytes; every chunk but the last has `chunk_size`; `stored_at` in microseconds."""

    id: str
    name: str
    size: int
    chunk_size: int
    stored_at: int


def begin(connection: Connection, object_id: str, name: str, chunk_size: int, now: int) -> None:
    """Start to write an object that nobody sees."""
    connection.execute(
        insert(stored_objects).values(
            id=object_id, name=name, state=_WRITING, size=0, chunk_size=chunk_size, touched_at=now
        )
    )


def add_chunk(connection: Connection, object_id: str, sequence: int, data: bytes, now: int) -> bool:
    """Add the next chunk; False where the object is not being written any more, because a sweep took it for
    abandoned.
    """
    if not _touch(connection, object_id, _WRITING, now):
        return False
    connection.execute(insert(stored_chunks).values(object_id=object_id, sequence=sequence, data=data))
    return True


def has_chunk(connection: Connection, object_id: str, sequence: int) -> bool:
    """Whether a chunk is there."""
    found = select(_chunks.sequence).where(_chunks.object_id == object_id, _chunks.sequence == sequence)
    return connection.execute(found).first() is not None


def commit(connection: Connection, object_id: str, name: str, size: int, now: int) -> bool:
    """Show a written object under its name; False where it is not being written any more. Raises `Conflict` for a taken
    name.
    """
    if find(connection, name) is not None:
        raise _taken()
    row_values = {"object": name, "state": _STORED, "size": size, "touched_at": now}
    mine = and_(_objects.id == object_id, _objects.state == _WRITING)
    # Whoever takes the name at this moment breaks the constraint, and the next try finds it.
    return bool(connection.execute(update(stored_objects).where(mine).values(**row_values)).rowcount)


def find(connection: Connection, name: str) -> StoredObject | None:
    """The committed object of this name."""
    row = connection.execute(select(*_COLUMNS).where(_objects.object == name)).first()
    return None if row is None else StoredObject(*row)


def page(connection: Connection, after: str, limit: int) -> list[StoredObject]:
    """Committed objects in the order of their names, those after `after`."""
    statement = select(*_COLUMNS).where(_objects.object > after).order_by(_objects.object).limit(limit)
    return [StoredObject(*row) for row in connection.execute(statement)]


def chunk(connection: Connection, object_id: str, sequence: int, skip: int, length: int) -> bytes | None:
    """`length` bytes of one chunk, those after `skip`; fewer where it is shorter, None where there is none."""
    part = func.substr(_chunks.data, skip + 1, length)  # What is not wanted does not leave the database.
    wanted = select(part).where(_chunks.object_id == object_id, _chunks.sequence == sequence)
    data = connection.execute(wanted).scalar()
    return None if data is None else bytes(data)


def hide(connection: Connection, name: str, now: int) -> bool:
    """Take the name from an object, and give it and all unfinished ones of this name up; False where none was
    committed.
    """
    stored = find(connection, name) is not None
    given_up = {"object": None, "state": _REMOVING, "touched_at": now}
    connection.execute(
        update(stored_objects).where(_objects.name == name, _objects.state != _REMOVING).values(**given_up)
    )
    return stored


def give_up(connection: Connection, object_id: str, now: int) -> bool:
    """Give one unfinished object up; False where there is none."""
    mine = and_(_objects.id == object_id, _objects.state == _WRITING)
    return bool(connection.execute(update(stored_objects).where(mine).values(state=_REMOVING, touched_at=now)).rowcount)


def given_up(connection: Connection, name: str) -> list[str]:
    """The ids of this name's objects that wait for the removal of their chunks."""
    waiting = select(_objects.id).where(_objects.name == name, _objects.state == _REMOVING)
    return list(connection.execute(waiting).scalars())


def give_up_abandoned(connection: Connection, touched_before: int, limit: int, now: int) -> list[str]:
    """Give up objects whose writing or removal nobody has gone on with since; returns the ids of up to `limit` of
    them.
    """
    left = and_(_objects.state.in_((_WRITING, _REMOVING)), _objects.touched_at <= touched_before)
    found = list(connection.execute(select(_objects.id).where(left).limit(limit).with_for_update()).scalars())
    if found:
        condition = and_(_objects.id.in_(found), left)
        connection.execute(update(stored_objects).where(condition).values(state=_REMOVING, touched_at=now))
    return found


def remove_chunks(connection: Connection, object_id: str, most: int, now: int) -> bool:
    """Remove up to `most` chunks of an object that was given up, and the object with its last ones; True once it is
    gone.
    """
    if not _touch(connection, object_id, _REMOVING, now):
        return True
    mine = _chunks.object_id == object_id
    numbers = connection.execute(select(_chunks.sequence).where(mine).limit(most)).scalars().all()
    if numbers:
        connection.execute(delete(stored_chunks).where(mine, _chunks.sequence.in_(numbers)))
    if len(numbers) == most:
        return False
    connection.execute(delete(stored_objects).where(_objects.id == object_id))
    return True


def _touch(connection: Connection, object_id: str, state: str, now: int) -> bool:
    """Hold the object's row until the transaction ends; False where it is not in this state."""
    mine = and_(_objects.id == object_id, _objects.state == state)
    return bool(connection.execute(update(stored_objects).where(mine).values(touched_at=now)).rowcount)


def _taken() -> Conflict:
    return Conflict("The store has an object of this name already; retry the request.")


_COLUMNS: Final = (_objects.id, _objects.object, _objects.size, _objects.chunk_size, _objects.touched_at)
