"""The database connection: transactions for reading and for writing, and what a lock that cannot be had becomes.

Synchronous: called from worker threads. Several processes may share one SQLite file.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from glare.errors import GlareError, StoreFull, Unavailable

DEFAULT_POOL_SIZE: Final = 16
DEFAULT_BUSY_TIMEOUT: Final = 10.0

_SQLITE = "sqlite"

_BUSY = "The database stayed locked by other writers for {seconds:g} s and nothing was changed; retry later."
_NO_CONNECTION = "All {pool_size} database connections stayed in use for {seconds:g} s; retry later."
_FULL = "The disk of the database is full and nothing was changed; free some space, then retry."
_CLOSED = (
    "The database's file cannot be opened; its operator must see that the directory in [database] connection exists, and "
    "that the user of the service may write to both."
)
_FOREIGN = (
    "The database's file is damaged, or no SQLite database; its operator must restore a copy, or name another file in "
    "[database] connection."
)

# Primary result codes of SQLite (the low byte of the extended ones) that are a state of the machine, not a defect.
_SQLITE_ERRORS: dict[int, tuple[type[GlareError], str]] = {
    sqlite3.SQLITE_BUSY: (Unavailable, _BUSY),
    sqlite3.SQLITE_LOCKED: (Unavailable, _BUSY),
    sqlite3.SQLITE_FULL: (StoreFull, _FULL),
    sqlite3.SQLITE_CANTOPEN: (Unavailable, _CLOSED),
    sqlite3.SQLITE_READONLY: (Unavailable, _CLOSED),
    sqlite3.SQLITE_NOTADB: (Unavailable, _FOREIGN),
    sqlite3.SQLITE_CORRUPT: (Unavailable, _FOREIGN),
}


class Database:
    """A pool of connections to one database.

    `busy_timeout` (seconds) is how long a transaction waits for a lock or a connection before it becomes `Unavailable`.
    """

    def __init__(
        self, url: str, *, pool_size: int = DEFAULT_POOL_SIZE, busy_timeout: float = DEFAULT_BUSY_TIMEOUT
    ) -> None:
        self.engine = _create_engine(url, pool_size, busy_timeout)
        self._is_sqlite = self.engine.dialect.name == _SQLITE
        self._pool_size = pool_size
        self._busy_timeout = busy_timeout
        # SQLite has one writer at a time and lets the others sleep and retry, up to 100 ms at once. The threads of one
        # process queue here instead and wake at once; the file lock is left to settle it between processes.
        self._writer = threading.Lock()
        self._opened: tuple[int, int] | None = None
        if self._is_sqlite:
            event.listen(self.engine, "connect", self._remember_file)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database.

        Raises `Unavailable` when no connection becomes free in time.
        """
        with self._errors(), self.engine.connect() as connection:
            self._begin(connection, "BEGIN")
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may change things: committed when the block ends, rolled back when it raises.

        On SQLite it holds the write lock from its start, so that what it reads stays true until it commits.
        Raises `Unavailable` when the lock cannot be had in time, `StoreFull` when the disk is full.
        """
        with self._errors(), self._turn(), self.engine.connect() as connection:
            self._begin(connection, "BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    def require_file(self) -> None:
        """Raise `Unavailable` where the database was a file that is gone or another one now.

        Open connections work on such a file as before, and everything that they store is lost with it.
        """
        if self._opened is not None and self._opened != _file_id(self.engine.url.database):
            raise Unavailable(
                "The database's file was removed or replaced while the service ran; stop the service, restore the file, "
                "then start it again."
            )

    def dispose(self) -> None:
        """Close the connections that nobody uses; the others close when they are given back."""
        self.engine.dispose()

    def _remember_file(self, *_: object) -> None:
        if self._opened is None:
            self._opened = _file_id(self.engine.url.database)

    def _begin(self, connection: Connection, statement: str) -> None:
        """Start the driver's transaction. SQLAlchemy's own `begin` sends nothing to a driver and only keeps the books."""
        if self._is_sqlite:
            connection.connection.cursor().execute(statement)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._is_sqlite:
            yield
            return
        if not self._writer.acquire(timeout=self._busy_timeout):
            raise Unavailable(_BUSY.format(seconds=self._busy_timeout))
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            known = self._translated(error.orig)
            if known is None:
                raise
            raise known from error
        except sqlite3.Error as error:
            known = self._translated(error)
            if known is None:
                raise
            raise known from error
        except PoolTimeoutError as error:
            message = _NO_CONNECTION.format(pool_size=self._pool_size, seconds=self._busy_timeout)
            raise Unavailable(message) from error

    def _translated(self, error: BaseException | None) -> GlareError | None:
        # SQLite's errors carry a code only when the engine, not the Python module, raised them.
        code = getattr(error, "sqlite_errorcode", None)
        found = _SQLITE_ERRORS.get(code & 0xFF) if isinstance(code, int) else None
        return found[0](found[1].format(seconds=self._busy_timeout)) if found else None


def _file_id(name: str | None) -> tuple[int, int] | None:
    """What tells a file from another one of its name; None where there is none."""
    try:
        state = Path(name or "").stat()
    except OSError:
        return None
    return (state.st_dev, state.st_ino)


def _create_engine(url: str, pool_size: int, busy_timeout: float) -> Engine:
    parsed = make_url(url)
    # Errors go to the log; the values of a statement that failed, URLs with signatures among them, must not.
    common = {"hide_parameters": True, "pool_size": pool_size, "max_overflow": 0, "pool_timeout": busy_timeout}
    if parsed.get_backend_name() != _SQLITE:
        return create_engine(parsed, pool_pre_ping=True, **common)
    if parsed.database in (None, "", ":memory:"):
        raise GlareError(
            "A SQLite database in memory cannot be shared by threads and processes; name a file, as in 'sqlite:////path/to/glare.db'."
        )
    engine = create_engine(
        parsed,
        # `isolation_level` None leaves BEGIN, COMMIT and SAVEPOINT to us on every Python; the driver would else open
        # transactions late, and never for reads.
        connect_args={
            "check_same_thread": False,
            "isolation_level": None,
            "timeout": busy_timeout,
            "cached_statements": 256,
        },
        **common,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


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
