"""Making stores ready at start, and refusing one that is not at its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from glare.db import audit as audit_rows
from glare.db import blobs as blob_rows
from glare.db import stores as rows
from glare.db.engine import Database
from glare.db.stores import KnownStore
from glare.domain.actor import Actor
from glare.domain.audit import AuditEntry
from glare.errors import InvalidParameterValue, NotFound, StoreMistaken, Unavailable
from glare.stores.base import Store

_SAMPLE: Final = 16
"""Objects that a store which the database does not know yet is asked for: one may be lost, so many hardly."""

_OTHER: Final = (
    "Store {name!r} is not the one that this database knows: its place here has the identity {found}, and the "
    "database knows {known}. Name the same place on all nodes, or mount the right volume; for the file store see "
    "[glance_store] filesystem_store_datadir. If the store was moved or restored on purpose, stop all nodes and run "
    "`glare-server stores adopt {name}`."
)
_STRANGE: Final = (
    "Store {name!r} has a marker here, but none of the bytes that the database knows in it. Name the place that has "
    "them, or restore them there. To go on without these bytes, run `glare-server stores adopt {name} --without-bytes`."
)


def prepare_stores(db: Database, stores: Mapping[str, Store], clock: Callable[[], int]) -> None:
    """Initialise stores that have never been used, and record which place each of them is.

    Raises `Unavailable` where one has lost its place, `StoreMistaken` where its place is another store's. `stores` must
    not compare identities themselves.
    """
    for name, store in stores.items():
        with db.read() as connection:
            objects = blob_rows.objects_of(connection, name, _SAMPLE)
            known = rows.find(connection, name)
        store.initialise(objects, None if known is None else known.identity)
        found = store.identity()
        if found is None:
            continue
        if known is None:
            if objects and not _has_any(store, objects):
                raise StoreMistaken(_STRANGE.format(name=name))
            known = _record_first(db, KnownStore(name, found, clock()))
        if known.identity != found:
            raise StoreMistaken(_OTHER.format(name=name, found=found, known=known.identity))


def _record_first(db: Database, store: KnownStore) -> KnownStore:
    return db.transact(lambda connection: rows.record_first(connection, store))


def _has_any(store: Store, objects: Sequence[str]) -> bool:
    for name in objects:
        try:
            store.size(name)
        except NotFound:
            continue
        return True
    return False


@dataclass(frozen=True, slots=True)
class StoreState:
    """A store as the database knows it, and as this node finds it. `problem` is why `found` is None, where it is."""

    name: str
    known: KnownStore | None
    found: str | None
    problem: str | None


def read_stores(db: Database, stores: Mapping[str, Store]) -> list[StoreState]:
    """All stores. `stores` must not compare identities themselves."""
    states = []
    for name, store in stores.items():
        with db.read() as connection:
            known = rows.find(connection, name)
        try:
            states.append(StoreState(name, known, store.identity(), None))
        except Unavailable as error:
            states.append(StoreState(name, known, None, error.message))
    return states


@dataclass(frozen=True, slots=True)
class Adoption:
    """Whose wish it is that a store is another place from now on, and when. `without_bytes`: also if its blobs are not
    there.
    """

    actor: Actor
    now: int
    without_bytes: bool


def adopt(db: Database, store: Store, adoption: Adoption) -> tuple[str, KnownStore | None]:
    """Record that the place which this node is configured with is the store; returns its identity, and what was known
    before.

    The second is None where nothing changed. Raises `InvalidParameterValue` for a store without a place of its own,
    `Unavailable` where none of its blobs are there.
    """
    name = store.name
    with db.read() as connection:
        objects = [] if adoption.without_bytes else blob_rows.objects_of(connection, name, _SAMPLE)
    store.initialise(objects)
    found = store.identity()
    if found is None:
        raise InvalidParameterValue(f"Store '{name}' is in the database itself, so there is no place to adopt.")
    if objects and not _has_any(store, objects):
        raise Unavailable(_STRANGE.format(name=name))

    def change(connection: Connection) -> KnownStore | None:
        before = rows.replace(connection, KnownStore(name, found, adoption.now))
        if before is not None:
            detail = {"identity": found, "before": before.identity}
            audit_rows.record(
                connection, [AuditEntry(adoption.now, "store_adopt", adoption.actor, target=name, detail=detail)]
            )
        return before

    return found, db.transact(change)
