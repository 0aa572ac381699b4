"""Transactions of the database connection."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError

from glare.db.engine import Database
from glare.db.tables import quotas
from glare.errors import GlareError, StoreFull, Unavailable
from support.databases import database_of


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database file with its tables."""
    return database_of(tmp_path)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database that waits shortly."""
    database = Database(url, pool_size=4, busy_timeout=0.2)
    yield database
    database.dispose()


def _put(connection: Connection, value: int) -> None:
    connection.execute(quotas.insert().values(project="p", name=f"n{value}", value=value))


def _values(connection: Connection) -> list[int]:
    return list(connection.execute(select(quotas.c.value).order_by(quotas.c.value)).scalars())


def test_write_is_kept_when_the_block_ends(database: Database) -> None:
    """What a write transaction did is there for the next one."""
    with database.write() as connection:
        _put(connection, 1)
    with database.read() as connection:
        assert _values(connection) == [1]


def test_write_is_undone_when_the_block_raises(database: Database) -> None:
    """An error, whatever it is, leaves nothing of the transaction, and reaches the caller as it was."""

    def fail() -> None:
        with database.write() as connection:
            _put(connection, 1)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    with database.read() as connection:
        assert _values(connection) == []


def test_savepoint_undoes_its_part(database: Database) -> None:
    """A failed nested transaction leaves the outer one as it was before."""

    def put_two(connection: Connection) -> None:
        with connection.begin_nested():
            _put(connection, 2)
            _put(connection, 1)

    with database.write() as connection:
        _put(connection, 1)
        with pytest.raises(IntegrityError):
            put_two(connection)
        _put(connection, 3)
    with database.read() as connection:
        assert _values(connection) == [1, 3]


def test_read_sees_one_state(database: Database) -> None:
    """A read transaction does not see what is committed after its first look, and stops nobody from writing."""
    with database.read() as reader:
        assert _values(reader) == []
        with database.write() as writer:
            _put(writer, 1)
        assert _values(reader) == []
    with database.read() as reader:
        assert _values(reader) == [1]


@pytest.mark.sqlite
def test_connections_are_prepared(database: Database) -> None:
    """Every connection has a write-ahead log, full synchronisation, foreign keys, and a case-sensitive LIKE."""
    with database.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 200}
        assert connection.execute(text("SELECT 'a' LIKE 'A'")).scalar() == 0


@pytest.mark.sqlite
def test_lock_of_another_process_becomes_unavailable(url: str, database: Database) -> None:
    """A lock that another process holds is waited for, and then refused by a sentence with a remedy."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); print(flush=True); "
        "input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, url.removeprefix("sqlite:///")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(Unavailable, match=r"0\.2 s.*retry later"), database.write():
            pytest.fail("the lock is held")
        with database.read() as connection:
            assert _values(connection) == []
    finally:
        other.communicate(b"\n")
    with database.write() as connection:
        _put(connection, 1)


@pytest.mark.sqlite
def test_lock_of_another_thread_becomes_unavailable(database: Database) -> None:
    """The writers of one process wait for each other no longer than for those of others."""
    with database.write(), pytest.raises(Unavailable, match="send it again in"), database.write():
        pytest.fail("the lock is held")


def test_connections_in_use_become_unavailable(url: str) -> None:
    """More readers than connections wait, and then are refused."""
    database = Database(url, pool_size=1, busy_timeout=0.1)
    with database.read(), pytest.raises(Unavailable, match="1 database connections"), database.read():
        pytest.fail("there is one connection")
    database.dispose()


@pytest.mark.sqlite
def test_writers_of_one_process_all_succeed(database: Database) -> None:
    """Threads that read and then write, all at once, lose no change."""
    with database.write() as connection:
        connection.execute(quotas.insert().values(project="p", name="counter", value=0))
    failures: list[BaseException] = []

    def add() -> None:
        try:
            for _ in range(10):
                with database.write() as connection:
                    value = connection.execute(select(quotas.c.value)).scalar_one()
                    connection.execute(quotas.update().values(value=value + 1))
        except GlareError as error:
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert (failures, _values(connection)) == ([], [40])


@pytest.mark.sqlite
def test_full_disk_is_said_plainly(database: Database) -> None:
    """A database that cannot grow answers that nothing was changed and what to do."""

    def fill() -> None:
        with database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            for number in range(200):
                connection.execute(quotas.insert().values(project="p" * 250, name=f"n{number}", value=number))

    with pytest.raises(StoreFull, match="free some space"):
        fill()


@pytest.mark.sqlite
def test_memory_database_is_refused() -> None:
    """A database that each connection would have to itself is refused, with the way to name a file."""
    with pytest.raises(GlareError, match="name a file"):
        Database("sqlite://")


@pytest.mark.sqlite
def test_a_file_that_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    """A missing directory and a file of another kind become a sentence for the operator, and no error of the driver."""
    (tmp_path / "text").write_text("no database at all, but a text that is longer than the header of one" * 20)
    for name, reason in (("missing/glare.db", "cannot be opened"), ("text", "no SQLite database")):
        database = Database(f"sqlite:///{tmp_path / name}")
        with pytest.raises(Unavailable, match=reason), database.read():
            pass
        database.dispose()


@pytest.mark.sqlite
def test_a_file_that_is_replaced_is_noticed(tmp_path: Path) -> None:
    """Connections to a removed or replaced file go on working, so it is asked for by name."""
    path = tmp_path / "glare.db"
    database = Database(f"sqlite:///{path}")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
    database.require_file()
    path.rename(tmp_path / "away")
    with pytest.raises(Unavailable, match="removed or replaced"):
        database.require_file()
    path.touch()
    with pytest.raises(Unavailable, match="removed or replaced"):
        database.require_file()
    database.dispose()


@pytest.mark.sqlite
def test_the_files_of_a_database_are_for_their_owner(tmp_path: Path) -> None:
    """The file and those that SQLite puts beside it can be read by their owner alone."""
    database = Database(f"sqlite:///{tmp_path / 'glare.db'}")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    database.dispose()
    assert modes == {"glare.db": 0o600, "glare.db-wal": 0o600, "glare.db-shm": 0o600}


def test_who_comes_after_the_end_leaves_no_connection(tmp_path: Path) -> None:
    """A thread that is late finds its database, and keeps nothing open that nobody would close."""
    database = Database(database_of(tmp_path))
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
    database.dispose()
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
    assert database.engine.pool.status().startswith("0 connections")
