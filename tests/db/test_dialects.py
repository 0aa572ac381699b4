"""What errors of each kind of database mean, and drivers that are not there."""

from __future__ import annotations

import sqlite3

import pymysql
import pytest
from psycopg import errors as postgresql
from sqlalchemy.exc import OperationalError

from glare.db.dialects.registry import DIALECTS, Failure, failure_of
from glare.db.engine import Database
from glare.errors import GlareError


def full() -> sqlite3.Error:
    """An error of SQLite's engine."""
    with sqlite3.connect(":memory:") as connection, pytest.raises(sqlite3.Error) as raised:
        connection.executescript(
            "PRAGMA max_page_count = 1; CREATE TABLE t (a); CREATE TABLE u (a); CREATE TABLE v (a)"
        )
    connection.close()
    return raised.value


@pytest.mark.parametrize(
    ("kind", "error", "meaning"),
    [
        ("sqlite", full(), Failure.FULL),
        ("sqlite", sqlite3.ProgrammingError("Cannot operate on a closed database."), None),
        ("postgresql", postgresql.DeadlockDetected(), Failure.AGAIN),
        ("postgresql", postgresql.SerializationFailure(), Failure.AGAIN),
        ("postgresql", postgresql.LockNotAvailable(), Failure.BUSY),
        ("postgresql", postgresql.DiskFull(), Failure.FULL),
        ("postgresql", postgresql.AdminShutdown(), Failure.LOST),
        ("postgresql", postgresql.ConnectionFailure(), Failure.LOST),
        ("postgresql", postgresql.OperationalError("connection refused"), Failure.LOST),
        ("postgresql", postgresql.UndefinedColumn(), None),
        ("mariadb", pymysql.err.OperationalError(1213, "Deadlock found"), Failure.AGAIN),
        ("mariadb", pymysql.err.OperationalError(1305, "SAVEPOINT sa_savepoint_1 does not exist"), Failure.AGAIN),
        ("mariadb", pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"), Failure.BUSY),
        ("mariadb", pymysql.err.OperationalError(1047, "WSREP has not yet prepared node"), Failure.LOST),
        ("mariadb", pymysql.err.OperationalError(1114, "The table is full"), Failure.FULL),
        ("mariadb", pymysql.err.OperationalError(2013, "Lost connection"), Failure.LOST),
        ("mysql", pymysql.err.InterfaceError(0, ""), Failure.LOST),
        ("mysql", pymysql.err.ProgrammingError(1064, "You have an error in your SQL syntax"), None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_errors_are_told_apart(kind: str, error: Exception, meaning: Failure | None) -> None:
    """A state of the machine or of other transactions is told from a defect, raised bare or through SQLAlchemy."""
    assert failure_of(DIALECTS[kind], error) is meaning
    assert failure_of(DIALECTS[kind], OperationalError("SELECT 1", None, error)) is meaning


def test_a_driver_that_is_missing_is_said() -> None:
    """A URL whose driver is not there is refused with the name of what to install."""
    with pytest.raises(GlareError, match=r"install 'glare-server\[mysql\]'"):
        Database("mysql+mysqlnever://root@127.0.0.1/test")
