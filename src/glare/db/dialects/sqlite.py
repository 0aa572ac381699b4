"""SQLite: one file, one writer at a time."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Transaction, event

from glare.db.dialects.base import Dialect
from glare.db.dialects.failures import Failure, Sizes
from glare.db.dialects.turns import ASK_EVERY
from glare.errors import GlareError


class Sqlite(Dialect):
    """BEGIN, COMMIT and SAVEPOINT are ours on every Python: the driver would else open transactions late, and never for
    reads.
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
                "A SQLite database in memory cannot be shared by threads and processes; name a file, as in "
                "'sqlite:////path/to/glare.db'."
            )
        engine = super().create_engine(url, sizes)
        event.listen(engine, "do_connect", _make_private)
        event.listen(engine, "connect", _prepare)
        return engine

    def connect_args(self, url: URL, sizes: Sizes) -> dict[str, Any]:
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

    def begin_write(self, connection: Connection, patience: float) -> Transaction:
        cursor = connection.connection.cursor()
        until = time.monotonic() + patience
        # SQLite would ask every 100 ms in the end, and mostly find that others were faster.
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            while not self._locked(cursor, last=time.monotonic() >= until):
                time.sleep(ASK_EVERY)
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
        return connection.begin()

    def _locked(self, cursor: Any, *, last: bool) -> bool:
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if last or self.failure(error) is not Failure.BUSY:
                raise
            return False
        return True

    def failure(self, error: BaseException | None) -> Failure | None:
        # The errors carry a code only when the engine, not the Python module, raised them.
        code = getattr(error, "sqlite_errorcode", None)
        return self._CODES.get(code & 0xFF) if isinstance(code, int) else None


def _make_private(_dialect: object, _record: object, arguments: list[Any], _options: object) -> None:
    """Make the database's file, where there is none, for its owner only; SQLite gives its -wal and -shm files the same
    mode.

    A mode that an operator has chosen for a file that exists stays.
    """
    with suppress(OSError):  # SQLite says what is wrong with the place, when it opens the file.
        os.close(os.open(arguments[0], os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _prepare(connection: Any, _record: object) -> None:
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
