"""The database connection: transactions for reading and for writing, and what becomes of those that fail.

Synchronous: called from worker threads. Several processes, on several machines where the database allows it, may share
one.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from glare.db.dialects import marks
from glare.db.dialects.failures import BROKEN
from glare.db.dialects.pool import Connections, NoneGranted, Observer, Silent
from glare.db.dialects.registry import DIALECTS, Failure, Sizes, failure_of
from glare.db.dialects.turns import Turns
from glare.errors import GlareError, StoreFull, Unavailable
from glare.shares import Refused

T = TypeVar("T")

DEFAULT_POOL_SIZE: Final = 16
DEFAULT_BUSY_TIMEOUT: Final = 10.0

_FIRST_PAUSE: Final = 0.005
_LAST_PAUSE: Final = 0.5
_MOST_COLLISIONS: Final = 5

_BUSY = "The database stayed locked by other writers for {seconds:g} s and nothing was changed; retry later."
_AGAIN = "The change lost against others, again and again for {seconds:g} s, and nothing was changed; retry later."
_SLOW = (
    "The database worked on one statement for {statement:g} s and was stopped, and nothing was changed; ask for "
    "less, or retry later."
)
_LOST = "The database does not answer and nothing was changed; retry later."
_SILENT = "The database has fallen silent and nothing was changed; retry later."
_CROWDED = "The database grants this process no connection (too many connections) and nothing was changed; retry later."
_GRANTED = (
    "The {granted} connections that the database grants this process (too many connections) stayed in use for "
    "{seconds:g} s; retry later."
)
_UNKNOWN = "The connection to the database broke off during a commit; look whether the change is there, then retry."
_NO_CONNECTION = "All {pool_size} database connections stayed in use for {seconds:g} s; retry later."
_FULL = "The disk of the database is full and nothing was changed; free some space, then retry."
_CLOSED = (
    "The database's file cannot be opened; its operator must see that the directory in [database] connection exists, "
    "and that the user of the service may write to both."
)
_FOREIGN = (
    "The database's file is damaged, or no SQLite database; its operator must restore a copy, or name another file in "
    "[database] connection."
)


class Undone(Unavailable):
    """The transaction was undone through no fault of its own: it may be tried again, from its start."""


class OutcomeUnknown(Unavailable):
    """The connection broke while the transaction was being committed: it is there as a whole, or not at all.

    Or it will be: `session` is the number of the connection at the server, which may still be at it.
    """

    def __init__(self, session: int | None = None) -> None:
        super().__init__(_UNKNOWN)
        self.session = session


_ERRORS: Final[dict[Failure, tuple[type[GlareError], str]]] = {
    Failure.BUSY: (Unavailable, _BUSY),
    Failure.AGAIN: (Undone, _AGAIN),
    Failure.SLOW: (Unavailable, _SLOW),
    Failure.LOST: (Undone, _LOST),
    Failure.SILENT: (Undone, _SILENT),
    Failure.CROWDED: (Undone, _CROWDED),
    Failure.FULL: (StoreFull, _FULL),
    Failure.CLOSED: (Unavailable, _CLOSED),
    Failure.FOREIGN: (Unavailable, _FOREIGN),
}


class Database:
    """A pool of connections to one database.

    `busy_timeout` (seconds) is how long a transaction waits for a lock or a connection, and how long it is tried again,
    before it becomes `Unavailable`. `statement_timeout` bounds each statement, and `answer_timeout` each wait for the
    server; without them it is waited for ever.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = DEFAULT_POOL_SIZE,
        busy_timeout: float = DEFAULT_BUSY_TIMEOUT,
        statement_timeout: float | None = None,
        answer_timeout: float | None = None,
    ) -> None:
        parsed = make_url(url)
        self._dialect = DIALECTS[parsed.get_backend_name()]
        self._sizes = Sizes(pool_size, busy_timeout, statement_timeout, answer_timeout)
        self.engine = self._dialect.create_engine(parsed, self._sizes)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        driver: Any = self.engine.dialect.dbapi
        self._driver_error: type[Exception] = driver.Error
        self._turns = Turns(busy_timeout, lambda what, reason: self.refused(what, reason))
        self.refused: Refused = _no_listener
        self._opened: tuple[int, int] | None = None
        if self.is_sqlite:
            event.listen(self.engine, "connect", self._remember_file)

    def observe(self, observer: Observer) -> None:
        """Tell `observer` the numbers of connections, whenever they change and now."""
        pool = self._pool
        pool.observe = observer
        observer(pool.in_use, pool.limit)

    @property
    def _pool(self) -> Connections:
        return cast("Connections", self.engine.pool)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database.

        Raises `Unavailable` when no connection becomes free in time.
        """
        with self._errors(), self.engine.connect() as connection, self._dialect.begin_read(connection):
            yield connection

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A connection for one statement that reads: it sees one state by itself, without a transaction around it.
        Or for several, each of which may see a newer state than the one before. Raises as `read`.
        """
        with self._errors(), self.engine.connect() as connection, self._dialect.begin_look(connection):
            yield connection

    def transact(self, work: Callable[[Connection], T], *, done: Callable[[Connection], T | None] | None = None) -> T:
        """Run `work` in a transaction that may change things, and again from its start where the database undid it.

        So `work` must do nothing but read and write the database. On SQLite it runs once: the write lock is held from
        its start. Elsewhere a connection may break at the commit. Whether `work` happened is then told by the mark that
        it has left (`glare.db.dialects.marks`), and its result is that of the try; with `done`, which gives the result
        or None, no mark is needed.

        Raises what `work` raises, `Unavailable` when the lock cannot be had in time or others win again and again,
        `OutcomeUnknown` where nobody can tell, `StoreFull` when the disk is full.
        """
        deadline = time.monotonic() + self._sizes.patience
        pause = _FIRST_PAUSE
        collisions = 0
        marking = done is None and not self.is_sqlite
        mark = marks.new_mark() if marking else ""
        unknown: OutcomeUnknown | None = None
        made: tuple[T, ...] = ()  # By the last try that came to its end,
        in_doubt: tuple[T, ...] = ()  # and by the one of which nobody knows whether it was kept.

        def look(connection: Connection) -> tuple[T, ...] | None:
            if done is None:
                return in_doubt if marks.is_there(connection, mark) else None
            found = done(connection)
            return None if found is None else (found,)

        while True:
            try:
                with self.write() as connection:
                    made = (work(connection),)
                    if marking:
                        marks.leave(connection, mark)
                return made[0]
            except OutcomeUnknown as error:
                unknown, in_doubt = error, made
                result = self._outcome(error, look, deadline)
                if result is not None:
                    return result[0]
            except (GlareError, IntegrityError) as error:
                # What the try met may be its own forerunner, which has happened after all.
                result = None if unknown is None else self._outcome(unknown, look, deadline)
                if result is not None:
                    return result[0]
                if isinstance(error, Undone):
                    if time.monotonic() + pause > deadline:
                        raise
                elif isinstance(error, GlareError) or self.is_sqlite or collisions == _MOST_COLLISIONS:
                    raise
                else:
                    # A row that another transaction made at this moment breaks a constraint; the next try sees it.
                    collisions += 1
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - spreads rivals, and is no secret
            pause = min(pause * 2, _LAST_PAUSE)

    def _outcome(self, unknown: OutcomeUnknown, done: Callable[[Connection], T | None], deadline: float) -> T | None:
        """What came of a commit, once the server is through with it; None where it has not happened, and never will.

        Raises `OutcomeUnknown` where the server cannot tell until `deadline`.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                over = not self._is_at_work(unknown.session)
                with self.read() as connection:
                    result = done(connection)
                if result is not None or over:
                    return result
            except Unavailable:
                if time.monotonic() + pause > deadline:
                    raise unknown from None
            if time.monotonic() + pause > deadline:
                raise unknown
            time.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)

    def _is_at_work(self, session: int | None) -> bool:
        if session is None:
            return False
        with self.read() as connection:
            return self._dialect.is_at_work(connection, session)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One try of a transaction that may change things: committed when the block ends, rolled back when it raises.

        On SQLite it holds the write lock from its start, so that what it reads stays true until it commits. Elsewhere
        each statement sees what is committed, and what must stay true needs a lock (`FOR UPDATE`) or a conditional
        update. Raises `Undone` and `OutcomeUnknown` besides what `transact` says.
        """
        with self._errors(), self._turn(), self.engine.connect() as connection:
            transaction = self._dialect.begin_write(connection, self._sizes.patience)
            session = self._dialect.session(connection)
            try:
                yield connection
            except BaseException:
                with suppress(SQLAlchemyError):  # A connection that broke has rolled back by itself.
                    transaction.rollback()
                raise
            try:
                self._finish(connection)
                transaction.commit()
            except DBAPIError as error:
                failure = failure_of(self._dialect, error)
                if self.is_sqlite or failure not in BROKEN:
                    raise
                self._note(failure)
                raise OutcomeUnknown(session) from error

    def _finish(self, connection: Connection) -> None:
        """What waits is said with the commit. Its errors are then like those of any other statement."""
        driver_error = self._driver_error
        try:
            self._dialect.finish(connection)
        except driver_error as error:
            if self._dialect.failure(error) in BROKEN:
                connection.invalidate(error)
                self._pool.suspect()
            raise DBAPIError.instance(
                None, None, error, driver_error, hide_parameters=True, dialect=self.engine.dialect
            ) from error

    def require_file(self) -> None:
        """Raise `Unavailable` where the database was a file that is gone or another one now.

        Open connections work on such a file as before, and everything that they store is lost with it.
        """
        if self._opened is not None and self._opened != _file_id(self.engine.url.database):
            raise Unavailable(
                "The database's file was removed or replaced while the service ran; stop the service, restore the "
                "file, then start it again."
            )

    def dispose(self) -> None:
        """Close the connections that nobody uses; the others close when they are given back.

        The engine's own `dispose` would make a new pool, in which a thread that comes late leaves a connection that
        nobody closes.
        """
        self._pool.dispose()

    def _remember_file(self, *_: object) -> None:
        if self._opened is None:
            self._opened = _file_id(self.engine.url.database)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        with self._turns.take():
            yield

    @contextmanager
    def _errors(self) -> Iterator[None]:
        seconds = self._sizes.patience
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            failure = failure_of(self._dialect, error)
            if failure is None:
                raise
            self._note(failure)
            kind, message = _ERRORS[failure]
            raise kind(message.format(seconds=seconds, statement=self._sizes.statement or 0)) from error
        except NoneGranted as error:
            message = _GRANTED if error.granted else _CROWDED
            raise Unavailable(message.format(granted=error.granted, seconds=seconds)) from error
        except PoolTimeoutError as error:
            message = _NO_CONNECTION.format(pool_size=self._sizes.connections, seconds=seconds)
            raise Unavailable(message) from error
        except Silent as error:
            raise Unavailable(_SILENT) from error

    def _note(self, failure: Failure | None) -> None:
        if failure is Failure.SILENT:
            self._pool.fell_silent()


def _no_listener(_: str, __: str) -> None:
    return None


def _file_id(name: str | None) -> tuple[int, int] | None:
    """What tells a file from another one of its name; None where there is none."""
    try:
        state = Path(name or "").stat()
    except OSError:
        return None
    return (state.st_dev, state.st_ino)
