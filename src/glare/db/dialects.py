"""What is different from one database to the next: how to connect, how a transaction begins, and what its errors mean."""

from __future__ import annotations

import enum
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from sqlalchemy import URL, Connection, Engine, Transaction, create_engine, event
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from glare.errors import GlareError


class Failure(enum.Enum):
    """What an error of a database means for the transaction that it ended."""

    BUSY = enum.auto()  # A lock could not be had in time.
    AGAIN = enum.auto()  # It lost against another one, and was undone: a deadlock, or a failed serialization.
    LOST = enum.auto()  # The connection broke, or there was none to be had.
    FULL = enum.auto()  # The disk is full.
    CLOSED = enum.auto()  # SQLite: the file cannot be opened.
    FOREIGN = enum.auto()  # SQLite: the file is no database.


@dataclass(frozen=True, slots=True)
class Sizes:
    """`pool_size` connections; `patience` in seconds, for a connection and for a lock."""

    pool_size: int
    patience: float


class Dialect(ABC):
    """One kind of database."""

    driver: ClassVar[str]
    extra: ClassVar[str]

    def create_engine(self, url: URL, sizes: Sizes) -> Engine:
        """A pool of connections. Raises `GlareError` where the driver is not installed, or the URL cannot be meant."""
        if "+" not in url.drivername:
            url = url.set(drivername=f"{url.drivername}+{self.driver}")
        try:
            return create_engine(
                url,
                connect_args=self.connect_args(sizes),
                # Errors go to the log; the values of a statement that failed, URLs with signatures among them, must not.
                hide_parameters=True,
                pool_size=sizes.pool_size,
                max_overflow=0,
                pool_timeout=sizes.patience,
                pool_pre_ping=self.driver != Sqlite.driver,  # A file does not go away while nobody looks.
            )
        except (ImportError, NoSuchModuleError) as missing:
            raise GlareError(
                f"The driver of [database] connection '{url.drivername}' is not installed; install 'glare[{self.extra}]'."
            ) from missing

    @abstractmethod
    def connect_args(self, sizes: Sizes) -> dict[str, Any]:
        """Arguments of the driver."""

    @abstractmethod
    def begin_read(self, connection: Connection) -> Transaction:
        """Begin a transaction that sees one state."""

    @abstractmethod
    def begin_write(self, connection: Connection) -> Transaction:
        """Begin a transaction that sees, with each statement, what others have committed."""

    @abstractmethod
    def failure(self, error: BaseException | None) -> Failure | None:
        """What an error of the driver means; None for a defect of ours."""


class Sqlite(Dialect):
    """One file, one writer at a time. BEGIN, COMMIT and SAVEPOINT are ours on every Python: the driver would else open
    transactions late, and never for reads.
    """

    driver = "pysqlite"
    extra = "sqlite"

    # Primary result codes (the low byte of the extended ones) that are a state of the machine, not a defect.
    _CODES: Final[Mapping[int, Failure]] = {
        sqlite3.SQLITE_BUSY: Failure.BUSY,
        sqlite3.SQLITE_LOCKED: Failure.BUSY,
        sqlite3.SQLITE_FULL: Failure.FULL,
        sqlite3.SQLITE_CANTOPEN: Failure.CLOSED,
        sqlite3.SQLITE_READONLY: Failure.CLOSED,
        sqlite3.SQLITE_NOTADB: Failure.FOREIGN,
        sqlite3.SQLITE_CORRUPT: Failure.FOREIGN,
    }

    def create_engine(self, url: URL, sizes: Sizes) -> Engine:
        if url.database in (None, "", ":memory:"):
            raise GlareError(
                "A SQLite database in memory cannot be shared by threads and processes; name a file, as in 'sqlite:////path/to/glare.db'."
            )
        engine = super().create_engine(url, sizes)
        event.listen(engine, "do_connect", _make_private)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine

    def connect_args(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "check_same_thread": False,
            "isolation_level": None,
            "timeout": sizes.patience,
            "cached_statements": 256,
        }

    # SQLAlchemy's own `begin` sends nothing to a driver and only keeps the books.
    def begin_read(self, connection: Connection) -> Transaction:
        connection.connection.cursor().execute("BEGIN")
        return connection.begin()

    def begin_write(self, connection: Connection) -> Transaction:
        connection.connection.cursor().execute("BEGIN IMMEDIATE")
        return connection.begin()

    def failure(self, error: BaseException | None) -> Failure | None:
        # The errors carry a code only when the engine, not the Python module, raised them.
        code = getattr(error, "sqlite_errorcode", None)
        return self._CODES.get(code & 0xFF) if isinstance(code, int) else None


class Postgresql(Dialect):
    """PostgreSQL, through psycopg. Writers take row locks as they go, and see what others have committed."""

    driver = "psycopg"
    extra = "postgresql"

    _STATES: Final[Mapping[str, Failure]] = {
        "40001": Failure.AGAIN,  # serialization_failure
        "40P01": Failure.AGAIN,  # deadlock_detected
        "55P03": Failure.BUSY,  # lock_not_available: lock_timeout
        "53100": Failure.FULL,  # disk_full
        "53300": Failure.LOST,  # too_many_connections
        "57P01": Failure.LOST,  # admin_shutdown
        "57P02": Failure.LOST,  # crash_shutdown
        "57P03": Failure.LOST,  # cannot_connect_now
        "57P05": Failure.LOST,  # idle_session_timeout
        "25006": Failure.LOST,  # read_only_sql_transaction: what was the primary is a standby now
        "25P03": Failure.LOST,  # idle_in_transaction_session_timeout
    }

    def connect_args(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "connect_timeout": max(2, round(sizes.patience)),
            "options": f"-c lock_timeout={round(sizes.patience * 1000)}",
            "application_name": "glare",
        }

    def begin_read(self, connection: Connection) -> Transaction:
        return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True).begin()

    def begin_write(self, connection: Connection) -> Transaction:
        return connection.execution_options(isolation_level="READ COMMITTED").begin()

    def failure(self, error: BaseException | None) -> Failure | None:
        state = getattr(error, "sqlstate", None)
        if state is not None:
            return Failure.LOST if state.startswith("08") else self._STATES.get(state)
        # Without a state it is the client's: no server, no answer, a connection that broke.
        return Failure.LOST if type(error).__name__ in ("OperationalError", "ConnectionTimeout") else None


class Mysql(Dialect):
    """MariaDB and MySQL, alone or as a Galera cluster, through PyMySQL."""

    driver = "pymysql"
    extra = "mysql"

    _CODES: Final[Mapping[int, Failure]] = {
        1213: Failure.AGAIN,  # deadlock; on Galera also a certification that failed, at COMMIT too
        1020: Failure.AGAIN,  # the row has changed since it was read (innodb_snapshot_isolation)
        1180: Failure.AGAIN,  # error during COMMIT (Galera)
        1205: Failure.BUSY,  # lock wait timeout
        1021: Failure.FULL,  # disk full
        1114: Failure.FULL,  # table is full
        1040: Failure.LOST,  # too many connections
        1047: Failure.LOST,  # this node of the cluster is not ready for use
        1053: Failure.LOST,  # server shutdown
        1290: Failure.LOST,  # read-only: what was the primary is a replica now
        1836: Failure.LOST,  # likewise
        1927: Failure.LOST,  # connection was killed
        2002: Failure.LOST,
        2003: Failure.LOST,  # no server
        2006: Failure.LOST,
        2013: Failure.LOST,  # lost while a statement ran
        2055: Failure.LOST,
    }

    def create_engine(self, url: URL, sizes: Sizes) -> Engine:
        # Whatever charset older configurations name, names of artifacts hold all of Unicode.
        engine = super().create_engine(url.update_query_dict({"charset": "utf8mb4"}), sizes)
        event.listen(engine, "connect", _prepare_mysql)
        return engine

    def connect_args(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "connect_timeout": max(1, round(sizes.patience)),
            "init_command": (
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
                f"innodb_lock_wait_timeout = {max(1, round(sizes.patience))}"
            ),
        }

    def begin_read(self, connection: Connection) -> Transaction:
        return connection.begin()  # REPEATABLE READ, with the snapshot of its first statement, is the session's.

    def begin_write(self, connection: Connection) -> Transaction:
        transaction = connection.begin()
        # For this transaction only. A snapshot would hide what was committed while a row lock was waited for.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return transaction

    def failure(self, error: BaseException | None) -> Failure | None:
        code = error.args[0] if error is not None and error.args else None
        if type(error).__name__ == "InterfaceError" and code == 0:
            return Failure.LOST  # The connection was closed under us.
        return self._CODES.get(code) if isinstance(code, int) else None


DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": Sqlite(),
    "postgresql": Postgresql(),
    "mysql": Mysql(),
    "mariadb": Mysql(),
}
"""Every kind of database that may stand first in a URL."""


def failure_of(dialect: Dialect, error: BaseException) -> Failure | None:
    """What an error of SQLAlchemy, or of the driver itself, means."""
    if not isinstance(error, DBAPIError):
        return dialect.failure(error)
    found = dialect.failure(error.orig)
    return Failure.LOST if found is None and error.connection_invalidated else found


def _prepare_mysql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _make_private(_dialect: object, _record: object, arguments: list[Any], _options: object) -> None:
    """Make the database's file, where there is none, for its owner only; SQLite gives its -wal and -shm files the same mode.

    A mode that an operator has chosen for a file that exists stays.
    """
    with suppress(OSError):  # SQLite says what is wrong with the place, when it opens the file.
        os.close(os.open(arguments[0], os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "case_sensitive_like = ON",
        "temp_store = MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
