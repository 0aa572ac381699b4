"""Statements that wait for the next one: in order, whole, and never lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from glare.db.dialects.later import later
from glare.db.dialects.upsert import add_up, insert_new
from glare.db.engine import Database
from glare.db.tables import quota_usage, quotas
from support.databases import database_of

PUT = insert(quotas)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(database_of(tmp_path), pool_size=2, busy_timeout=2)
    yield database
    database.dispose()


def row(name: str, value: int = 0) -> dict[str, object]:
    return {"project": "p", "name": name, "value": value}


def values(connection: Connection) -> dict[str, int]:
    return {found.name: found.value for found in connection.execute(select(quotas.c.name, quotas.c.value))}


def read(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return values(connection)


def test_what_waits_is_done_before_what_follows(database: Database) -> None:
    """A statement sees all that was said before it, in order, whether it waited or not."""
    with database.write() as connection:
        later(connection, PUT, row("a"))
        later(connection, update(quotas).values(value=quotas.c.value + 1))
        later(connection, PUT, [row("b"), row("c")])
        assert values(connection) == {"a": 1, "b": 0, "c": 0}
        later(connection, update(quotas).values(value=quotas.c.value * 2))
    assert read(database) == {"a": 2, "b": 0, "c": 0}


def test_what_waits_to_the_end_is_committed(database: Database) -> None:
    """A transaction that says nothing but what waits happens like any other."""
    database.transact(lambda connection: later(connection, PUT, row("a")))
    database.transact(lambda _: None)
    assert read(database) == {"a": 0}


def test_what_waits_is_undone_with_the_rest(database: Database) -> None:
    """An error leaves nothing of what waited, neither in the database nor for the next transaction on the
    connection.
    """

    def fail() -> None:
        with database.write() as connection:
            later(connection, PUT, row("a"))
            values(connection)
            later(connection, PUT, row("b"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    database.transact(lambda connection: later(connection, PUT, row("c")))
    assert read(database) == {"c": 0}


@pytest.mark.parametrize("followed", [True, False], ids=["before another", "at the commit"])
def test_what_waited_and_fails_raises(database: Database, followed: bool) -> None:
    """An error of what waited is raised by what it travelled with, and the transaction is undone."""
    database.transact(lambda connection: later(connection, PUT, row("a")))

    def work() -> None:
        with database.write() as connection:
            later(connection, PUT, row("b"))
            later(connection, PUT, row("a"))
            if followed:
                values(connection)

    with pytest.raises(IntegrityError):
        work()
    assert read(database) == {"a": 0}


def test_percent_signs_and_bytes_survive(database: Database) -> None:
    """Texts with signs that drivers make something of arrive as they were said."""
    names = ["100 %", "%s", "a;b", "quote ' and \\", "\u00e4\U0001f600"]
    with database.write() as connection:
        for name in names:
            later(connection, PUT, row(name))
    assert sorted(read(database)) == sorted(names)


def test_a_look_sees_what_is_committed(database: Database) -> None:
    """One statement needs no transaction, and leaves none behind that would keep an old state."""
    with database.look() as connection:
        assert values(connection) == {}
    database.transact(lambda other: later(other, PUT, row("a")))
    with database.look() as connection:
        assert values(connection) == {"a": 0}


def test_a_row_that_is_there_is_no_error(database: Database) -> None:
    """Inserting what is there says so, and the transaction goes on."""
    with database.write() as connection:
        assert insert_new(connection, quotas, row("a", 1))
        assert not insert_new(connection, quotas, row("a", 2))
        assert insert_new(connection, quotas, row("b", 3))
    assert read(database) == {"a": 1, "b": 3}


def test_an_error_of_what_waited_is_not_taken_for_a_row_that_is_there(database: Database) -> None:
    """Where what waits in front of a new row breaks a key, that is raised: the row is neither there nor inserted."""
    database.transact(lambda connection: later(connection, PUT, row("a")))
    usage = {"project": "p", "type_name": "", "artifacts": 0, "bytes": 0}

    def work(follows: bool) -> None:
        with database.write() as connection:
            later(connection, PUT, row("b"))
            later(connection, PUT, [row("c"), row("a")])
            if follows:
                later(connection, PUT, row("d"))
            insert_new(connection, quota_usage, usage)

    for follows in (False, True):
        with pytest.raises(IntegrityError):
            work(follows)
    assert read(database) == {"a": 0}
    with database.write() as connection:
        later(connection, PUT, row("b"))
        assert insert_new(connection, quota_usage, usage)
        later(connection, PUT, row("c"))
        assert not insert_new(connection, quota_usage, usage)
    assert read(database) == {"a": 0, "b": 0, "c": 0}


def test_a_new_row_that_breaks_another_constraint_raises(database: Database) -> None:
    """Only a key that is there is "there": a row that refers to nothing, or lacks a value, is an error on every
    database.
    """
    with pytest.raises(IntegrityError), database.write() as connection:
        insert_new(connection, quotas, {"project": "p", "name": "a", "value": None})
    assert read(database) == {}


def test_counters_come_into_being(database: Database) -> None:
    """Adding to a counter makes its row at zero, and adds to the one that is there; others keep theirs."""
    with database.write() as connection:
        for project, amount in (("p", 2), ("p", -1), ("q", 5)):
            add_up(connection, quota_usage, {"project": project, "type_name": ""}, {"bytes": amount})
        found = connection.execute(select(quota_usage.c.project, quota_usage.c.artifacts, quota_usage.c.bytes)).all()
    assert sorted(map(tuple, found)) == [("p", 0, 1), ("q", 0, 5)]
