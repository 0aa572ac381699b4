"""The store in the database: the suite of every store, and what is special to chunks."""

from __future__ import annotations

import secrets
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import event, func, select, update

from glare.db.engine import Database
from glare.db.tables import stored_chunks, stored_objects
from glare.errors import GlareError, NotFound, StoreFull, Unavailable
from glare.stores.base import Store
from glare.stores.conformance import StoreConformance
from glare.stores.database import CHUNK, DatabaseDriver
from support.databases import KIND, database_of, release

NAME = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(database_of(tmp_path))
    yield made
    made.dispose()
    release(tmp_path)


def store_in(database: Database, reserve: int = 0) -> Store:
    return Store(DatabaseDriver(database, name="database", reserve=reserve))


def put(store: Store, name: str, data: bytes) -> None:
    with store.create(name, len(data)) as writer:
        writer.write(data)
        writer.commit()


def read(store: Store, name: str, offset: int = 0, length: int | None = None) -> bytes:
    with store.open(name, offset, length) as reader:
        return b"".join(iter(lambda: reader.read(1 << 16), b""))


def rows(database: Database) -> tuple[int, int]:
    """Objects and chunks in the tables."""
    with database.read() as connection:
        objects = connection.execute(select(func.count()).select_from(stored_objects)).scalar_one()
        chunks = connection.execute(select(func.count()).select_from(stored_chunks)).scalar_one()
    return objects, chunks


class TestDatabaseStore(StoreConformance):
    serves_files = False
    knows_free_space = KIND == "sqlite"

    @pytest.fixture(autouse=True)
    def _databases(self, tmp_path: Path) -> Iterator[None]:
        self._opened: list[Database] = []
        yield
        for database in self._opened:
            database.dispose()
        release(tmp_path)

    def make_store(self, tmp_path: Path) -> Store:
        self._opened.append(Database(database_of(tmp_path)))
        return store_in(self._opened[-1])


def test_memory_is_bounded_by_the_chunk(database: Database) -> None:
    """Writing and reading 48 MiB keeps a few chunks in memory, whatever the pieces."""
    store = store_in(database)
    piece = secrets.token_bytes(3 << 20)
    tracemalloc.start()
    try:
        with store.create(NAME) as writer:
            for _ in range(16):
                writer.write(piece)
            writer.commit()
        with store.open(NAME) as reader:
            while reader.read(1 << 16):
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert store.size(NAME) == 48 << 20
    assert peak < 12 << 20


def test_every_chunk_but_the_last_is_full(database: Database) -> None:
    """However the pieces come, chunks have the size that a range is found by."""
    store = store_in(database)
    with store.create(NAME) as writer:
        for size in (1, CHUNK - 2, 5, CHUNK, 7):
            writer.write(b"x" * size)
        writer.commit()
    with database.read() as connection:
        sizes = connection.execute(
            select(func.length(stored_chunks.c.data)).order_by(stored_chunks.c.sequence)
        ).scalars()
        assert list(sizes) == [CHUNK, CHUNK, 11]


def test_a_range_reads_its_chunks_only(database: Database) -> None:
    """A few bytes in the middle cost one chunk, not those before it."""
    store = store_in(database)
    data = secrets.token_bytes(5 * CHUNK + 3)
    put(store, NAME, data)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert read(store, NAME, 3 * CHUNK - 2, 4) == data[3 * CHUNK - 2 : 3 * CHUNK + 2]
    assert sum("FROM stored_chunks" in statement for statement in statements) == 2


def test_objects_of_another_chunk_size_stay_readable(database: Database) -> None:
    """The size of chunks stands with the object, so that a later version may choose another one."""
    store = store_in(database)
    put(store, NAME, b"")
    with database.write() as connection:
        object_id = connection.execute(select(stored_objects.c.id)).scalar_one()
        connection.execute(update(stored_objects).values(size=11, chunk_size=4))
        for sequence, data in enumerate((b"abcd", b"efgh", b"ijk")):
            connection.execute(stored_chunks.insert().values(object_id=object_id, sequence=sequence, data=data))
    assert read(store, NAME) == b"abcdefghijk"
    assert read(store, NAME, 3, 6) == b"defghi"


def test_a_lost_or_cut_chunk_is_an_error(database: Database) -> None:
    """Bytes that are not all there are never delivered as if they were."""
    store = store_in(database)
    put(store, NAME, b"x" * (2 * CHUNK + 5))
    with database.write() as connection:
        connection.execute(stored_chunks.update().where(stored_chunks.c.sequence == 1).values(data=b"short"))
        connection.execute(stored_chunks.delete().where(stored_chunks.c.sequence == 2))
    with pytest.raises(GlareError, match="another length"):
        read(store, NAME)
    with pytest.raises(NotFound, match="does not have these bytes"):
        read(store, NAME, 2 * CHUNK)


def test_a_writer_that_was_given_up_stores_nothing(database: Database) -> None:
    """When a sweep has taken a paused writer for dead, the writer fails, and nothing of it is left."""
    store = store_in(database)
    with store.create(NAME) as writer:
        writer.write(b"x" * (CHUNK + 1))
        assert store.sweep_temporaries(0) == 1
        with pytest.raises(Unavailable, match="given up"):
            writer.write(b"x" * CHUNK)
    with store.create(NAME) as writer:
        writer.write(b"x")
        assert store.sweep_temporaries(0) == 0
        writer.commit()
    assert rows(database) == (1, 1)


def test_what_a_killed_writer_left_is_swept(database: Database) -> None:
    """Chunks without an object go with the sweep, and with the deletion of the object's name."""
    store, other = store_in(database), "fedcba9876543210"
    for name in (NAME, other):
        writer = store.create(name)
        writer.write(b"x" * 3 * CHUNK)  # And nothing more: its process is dead.
    assert rows(database) == (2, 6)
    assert store.delete(other) is False
    assert rows(database) == (1, 3)
    assert store.sweep_temporaries(3600) == 0
    assert store.sweep_temporaries(0) == 1
    assert rows(database) == (0, 0)


def test_a_deletion_that_was_cut_off_is_finished(database: Database) -> None:
    """An object is invisible before its first chunk goes; the rest goes with the next try, or with the sweep."""
    store = store_in(database)
    for again in (partial(store.delete, NAME), partial(store.sweep_temporaries, 0.0)):
        put(store, NAME, b"x" * 40 * CHUNK)
        taken: list[str] = []

        def fail(*args: object, taken: list[str] = taken) -> None:
            if str(args[2]).startswith("DELETE FROM stored_chunks"):
                taken.append("one")
                if len(taken) == 2:
                    raise InterruptedError

        event.listen(database.engine, "before_cursor_execute", fail)
        with pytest.raises(GlareError):
            store.delete(NAME)
        event.remove(database.engine, "before_cursor_execute", fail)
        with pytest.raises(NotFound):
            store.size(NAME)
        assert rows(database) == (1, 24)
        again()
        assert rows(database) == (0, 0)


@pytest.mark.sqlite
def test_the_reserve_is_kept_free(database: Database) -> None:
    """Where the database is a file, blobs do not eat the space that the metadata needs."""
    store = store_in(database, reserve=1 << 60)
    assert store.free_space() == 0
    with pytest.raises(StoreFull, match=r"\[store\] free_space_reserve"):
        put(store, NAME, b"x")
    roomy = store_in(database)
    free = roomy.free_space()
    assert free is not None
    with pytest.raises(StoreFull, match="do not fit"):
        roomy.create(NAME, expected_size=free + (64 << 30))
    assert rows(database) == (0, 0)


def test_a_reader_never_gets_another_objects_bytes(database: Database) -> None:
    """Whoever reads an object that is deleted, and whose name is taken again, gets an error, or what was announced."""
    store = store_in(database)
    put(store, NAME, b"a" * (CHUNK + 5))
    with store.open(NAME) as reader:
        assert reader.read(10) == b"a" * 10
        assert store.delete(NAME)
        put(store, NAME, b"b" * (CHUNK + 5))
        assert set(reader.read(CHUNK)) == {ord("a")}
        with pytest.raises(NotFound):
            reader.read(CHUNK)
    assert set(read(store, NAME)) == {ord("b")}
