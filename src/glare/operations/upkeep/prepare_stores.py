"""Making stores ready at start, and refusing one that is not at its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
from glare.errors import GlareError, InvalidParameterValue, NotFound, StoreMistaken, Unavailable
from glare.stores.base import Store
from glare.stores.contract import StoreAway

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

_GONE: Final = (
    "Store {name!r} is not configured here, but {count} bytes there. Configure it again; or move them with "
    "`glare-server stores drain {name} --to STORE` while it is, and then leave it out. If its bytes are lost for good, "
    "give its name to an empty directory, and run `glare-server stores adopt {name} --without-bytes`."
)
_TWICE: Final = (
    "Stores {first!r} and {second!r} are one place: both have the identity {found}. Give each a place of its own; an "
    "empty one is made ready at start."
)


def prepare_stores(
    db: Database,
    stores: Mapping[str, Store],
    clock: Callable[[], int],
    away: Callable[[str, StoreAway], None] | None = None,
) -> None:
    """Initialise stores that have never been used, and record which place each of them is.

    `away` is told of each remote store that does not answer, and is to be prepared later; without it that is an error.
    Raises `Unavailable` where one has lost its place, `StoreMistaken` where its place is another store's, or where one
    is not there any more that blobs need. `stores` must not compare identities themselves.
    """
    require_all(db, stores)
    for name, store in stores.items():
        try:
            if away is not None and store.remote:
                _require_answer(store)
            prepare_store(db, store, clock, stores)
        except StoreAway as error:
            if away is None:
                raise
            away(name, error)


def prepare_store(db: Database, store: Store, clock: Callable[[], int], names: Collection[str]) -> None:
    """As `prepare_stores`, for one of those that have these `names`."""
    name = store.name
    with db.read() as connection:
        objects = blob_rows.objects_of(connection, name, _SAMPLE)
        known = rows.find(connection, name)
    store.initialise(objects, None if known is None else known.identity)
    found = store.identity()
    if found is None:
        return
    if known is None:
        if objects and not _has_any(store, objects):
            raise StoreMistaken(_STRANGE.format(name=name))
        with db.read() as connection:
            others = [other for other in rows.of_place(connection, found) if other != name and other in names]
        if others:
            raise StoreMistaken(_TWICE.format(first=others[0], second=name, found=found))
        known = _record_first(db, KnownStore(name, found, clock()))
    if known.identity != found:
        raise StoreMistaken(_OTHER.format(name=name, found=found, known=known.identity))


def _require_answer(store: Store) -> None:
    """Raise `StoreAway` where a store does not answer soon. What else is wrong with it is found as it is prepared."""
    try:
        store.check()
    except StoreAway:
        raise
    except GlareError:
        return


def require_all(db: Database, stores: Mapping[str, Store]) -> None:
    """Raise `StoreMistaken` where published blobs have their bytes in a store that is not configured here."""
    with db.read() as connection:
        for name in blob_rows.stores_in_use(connection):
            if name not in stores:
                blobs, _ = rows.totals(connection, rows.Chosen(name))
                count = "1 blob has its" if blobs == 1 else f"{blobs} blobs have their"
                raise StoreMistaken(_GONE.format(name=name, count=count))


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
