"""Stores: which place of bytes is which, by an identity that is written once and changed on purpose only; and the blobs
that are in them.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from glare.db import fsck as rows
from glare.db.fsck import StoredBlob
from glare.db.tables import artifacts, blobs, doomed_objects, stores

_blobs = blobs.c


@dataclass(frozen=True, slots=True)
class KnownStore:
    """A store as the database knows it; `recorded_at` in microseconds."""

    name: str
    identity: str
    recorded_at: int


def find(connection: Connection, name: str) -> KnownStore | None:
    """The store of this name, where it was ever recorded."""
    row = connection.execute(
        select(stores.c.name, stores.c.identity, stores.c.recorded_at).where(stores.c.name == name)
    ).first()
    return None if row is None else KnownStore(*row)


def of_place(connection: Connection, identity: str) -> list[str]:
    """The names of stores that were recorded at a place, in their order."""
    named = select(stores.c.name).where(stores.c.identity == identity).order_by(stores.c.name)
    return list(connection.execute(named).scalars())


def record_first(connection: Connection, store: KnownStore) -> KnownStore:
    """Record a store that is not known yet; returns the one that is known then. Run it in a transaction that is tried
    again.
    """
    known = find(connection, store.name)
    if known is None:
        connection.execute(
            insert(stores).values(name=store.name, identity=store.identity, recorded_at=store.recorded_at)
        )
    return known or store


def replace(connection: Connection, store: KnownStore) -> KnownStore | None:
    """Record that a store is another place from now on; returns what was known before."""
    known = record_first(connection, store)
    if known.identity == store.identity:
        return None
    connection.execute(
        update(stores).where(stores.c.name == store.name).values(identity=store.identity, recorded_at=store.recorded_at)
    )
    return known


@dataclass(frozen=True, slots=True)
class Chosen:
    """The published blobs of a store, of one type or of the artifacts of one project where these are said."""

    store: str
    type_name: str | None = None
    project: str | None = None


def totals(connection: Connection, chosen: Chosen) -> tuple[int, int]:
    """How many blobs these are, and their bytes."""
    wanted = select(func.count(), func.coalesce(func.sum(_blobs.size), 0)).select_from(blobs)
    if chosen.type_name is not None or chosen.project is not None:
        wanted = wanted.join(artifacts, artifacts.c.id == _blobs.artifact_id)
    count, size = connection.execute(wanted.where(*_conditions(chosen))).one()
    return int(count), int(size)


def page(connection: Connection, chosen: Chosen, after: str, until: str | None, limit: int) -> list[StoredBlob]:
    """The blobs in the order of their slots: those after the slot `after`, up to the slot `until` where one is said."""
    conditions = [*_conditions(chosen), _blobs.slot_id > after]
    if until is not None:
        conditions.append(_blobs.slot_id <= until)
    return rows.chosen(connection, conditions, limit)


def _conditions(chosen: Chosen) -> list[ColumnElement[Any]]:
    conditions: list[ColumnElement[Any]] = [_blobs.store == chosen.store]
    if chosen.type_name is not None:
        conditions.append(artifacts.c.type_name == chosen.type_name)
    if chosen.project is not None:
        conditions.append(artifacts.c.owner == chosen.project)
    return conditions


@dataclass(frozen=True, slots=True)
class Left:
    """What is left in a store: uploads under way to it, and objects that wait for their removal."""

    uploads: int
    waiting: int


def left(connection: Connection, store: str) -> Left:
    """What is in a store besides published blobs."""
    uploads = select(func.count()).where(_blobs.attempt_id.is_not(None), _blobs.attempt_store == store)
    waiting = select(func.count()).where(doomed_objects.c.store == store)
    return Left(connection.execute(uploads).scalar_one(), connection.execute(waiting).scalar_one())
