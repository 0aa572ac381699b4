"""Which place of bytes is which store of this database: an identity by store name, written once and changed on purpose
only.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from glare.db.tables import blobs, stores


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


def contents_of(connection: Connection, name: str) -> tuple[int, int]:
    """How many published blobs have their bytes in a store, and how many bytes these are."""
    mine = select(func.count(), func.coalesce(func.sum(blobs.c.size), 0)).where(blobs.c.store == name)
    count, size = connection.execute(mine).one()
    return int(count), int(size)


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
