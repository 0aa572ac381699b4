"""PostgreSQL, through psycopg. Writers take row locks as they go, and see what others have committed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Transaction, event, text

from glare.db.dialects.base import Dialect
from glare.db.dialects.failures import Failure, Sizes
from glare.db.dialects.later import Waiting, driver_of, line_of, may_wait

_PSYCOPG: Final = "psycopg"
_IDLE: Final = 0
"""PQTRANS_IDLE: no transaction is begun."""

_BEGINNING: Final = 1
"""So many statements begin a transaction."""

_AT_WORK: Final = text("SELECT 1 FROM pg_stat_activity WHERE pid = :session")


class Postgresql(Dialect):
    """A server, or several behind one name."""

    driver = _PSYCOPG
    extra = "postgresql"

    _STATES: Final[Mapping[str, Failure]] = {
        "40001": Failure.AGAIN,  # serialization_failure
        "40P01": Failure.AGAIN,  # deadlock_detected
        "55P03": Failure.BUSY,  # lock_not_available: lock_timeout
        "57014": Failure.SLOW,  # query_canceled: statement_timeout
        "53100": Failure.FULL,  # disk_full
        "53300": Failure.CROWDED,  # too_many_connections: of the server, the role, or the database
        "57P01": Failure.LOST,  # admin_shutdown
        "57P02": Failure.LOST,  # crash_shutdown
        "57P03": Failure.LOST,  # cannot_connect_now
        "57P05": Failure.LOST,  # idle_session_timeout
        "25006": Failure.LOST,  # read_only_sql_transaction: what was the primary is a standby now
        "25P03": Failure.LOST,  # idle_in_transaction_session_timeout
    }

    def engine_args(self, url: URL, sizes: Sizes) -> dict[str, Any]:
        if url.get_driver_name() != _PSYCOPG:
            return {}
        # A transaction is begun by our word: the driver would wait for the answer to its own.
        arguments: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}
        return arguments if sizes.answer is None else arguments | {"module": _bounded_driver(sizes.answer)}

    def connect_args(self, url: URL, sizes: Sizes) -> dict[str, Any]:
        options = [f"lock_timeout={_milliseconds(sizes.patience)}"]
        arguments: dict[str, Any] = {
            "connect_timeout": max(2, round(sizes.patience)),
            "application_name": "glare",
        }
        if sizes.statement is not None:
            options.append(f"statement_timeout={_milliseconds(sizes.statement)}")
        if sizes.answer is not None:
            # A peer that is gone without a word is noticed by both sides, and the server gives its locks back.
            idle, interval = max(1, round(sizes.answer / 2)), max(1, round(sizes.answer / 6))
            arguments |= {
                "keepalives": 1,
                "keepalives_idle": idle,
                "keepalives_interval": interval,
                "keepalives_count": 3,
                "tcp_user_timeout": _milliseconds(sizes.answer),
            }
            options += [
                f"tcp_keepalives_idle={idle}",
                f"tcp_keepalives_interval={interval}",
                "tcp_keepalives_count=3",
                f"tcp_user_timeout={_milliseconds(sizes.answer)}",
            ]
        return arguments | {"options": " ".join(f"-c {option}" for option in options)}

    def create_engine(self, url: URL, sizes: Sizes) -> Engine:
        engine = super().create_engine(url, sizes)
        if engine.dialect.driver == _PSYCOPG:
            event.listen(engine, "do_execute", _execute)
            event.listen(engine, "do_executemany", _execute_many)
        return engine

    def begin_read(self, connection: Connection) -> Transaction:
        if connection.dialect.driver != _PSYCOPG:
            return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True).begin()
        return self._begin(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def begin_write(self, connection: Connection, patience: float) -> Transaction:
        if connection.dialect.driver != _PSYCOPG:
            return connection.execution_options(isolation_level="READ COMMITTED").begin()
        return self._begin(connection, "BEGIN ISOLATION LEVEL READ COMMITTED")

    def begin_look(self, connection: Connection) -> Transaction:
        return self._begin(connection)

    def _begin(self, connection: Connection, *statements: str) -> Transaction:
        transaction = connection.begin()
        line_of(driver_of(connection)).waiting = [Waiting(statement) for statement in statements]
        return transaction

    def finish(self, connection: Connection) -> None:
        driver = driver_of(connection)
        waiting = line_of(driver).taken()
        if len(waiting) > _BEGINNING or (waiting and driver.pgconn.transaction_status != _IDLE):
            with _together(driver):
                _say(driver, [*waiting, Waiting("COMMIT")])  # The driver's own would wait for the answers before it.

    def failure(self, error: BaseException | None) -> Failure | None:
        state = getattr(error, "sqlstate", None)
        if state is not None:
            return Failure.LOST if state.startswith("08") else self._STATES.get(state)
        # Without a state it is the client's: no server, no answer, a connection that broke, or was never granted.
        name = type(error).__name__
        if name in ("NoAnswer", "ConnectionTimeout"):
            return Failure.SILENT
        if name != "OperationalError":
            return None
        return Failure.CROWDED if _is_refused_for_number(str(error)) else Failure.LOST

    def descriptor(self, connection: Any) -> int | None:
        return int(connection.fileno())

    def session(self, connection: Connection) -> int | None:
        driver: Any = driver_of(connection)
        info = getattr(driver, "info", None)
        return None if info is None else int(info.backend_pid)

    def is_at_work(self, connection: Connection, session: int) -> bool:
        return connection.execute(_AT_WORK, {"session": session}).first() is not None


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool | None:
    """Send what waits, the transaction's beginning among it, together with the statement that is waited for."""
    return may_wait(cursor, statement, parameters, context) or _with_what_waits(
        cursor, cursor.execute, statement, parameters
    )


def _execute_many(cursor: Any, statement: str, parameters: Any, context: Any) -> bool | None:
    if may_wait(cursor, statement, parameters, context, many=True):
        return True
    return _with_what_waits(cursor, cursor.executemany, statement, parameters)


def _with_what_waits(
    cursor: Any, execute: Callable[[str, Any], object], statement: str, parameters: Any
) -> bool | None:
    """None where nothing waits: then the library does it."""
    waiting = line_of(cursor.connection).taken()
    if not waiting:
        return None
    with _together(cursor.connection):
        _say(cursor.connection, waiting)
        execute(statement, parameters)
    return True


def _together(driver: Any) -> AbstractContextManager[Any]:
    """Let what is said in the block travel together, and be answered at its end. Clients before version 14 say one
    after the other.
    """
    together: AbstractContextManager[Any] = driver.pipeline() if _can_pipeline() else nullcontext()
    return together


@lru_cache
def _can_pipeline() -> bool:
    from psycopg import Pipeline

    return bool(Pipeline.is_supported())


def _say(driver: Any, waiting: Sequence[Waiting]) -> None:
    for one in waiting:
        # The driver's `executemany` would wait for its answers.
        for parameters in one.parameters if one.many else [one.parameters]:
            driver.cursor().execute(one.statement, parameters)


_REFUSALS: Final = (
    "too many clients",
    "too many connections",
    "remaining connection slots are reserved",
    "no more connections allowed",
)
"""What the server, or a pooler in front of it, says where it grants no further connection. libpq passes on the words
alone."""


def _is_refused_for_number(message: str) -> bool:
    return any(words in message for words in _REFUSALS)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _bounded_driver(answer: float) -> ModuleType:
    """The driver, whose connections wait for no answer longer than `answer` seconds. By itself it waits for ever."""
    import psycopg
    from psycopg.waiting import Ready

    class NoAnswer(psycopg.OperationalError):
        """Nothing came from the server in time; the connection is closed."""

    class Bounded(psycopg.Connection[Any]):
        """A connection whose every wait is bounded."""

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().wait(_bounded(gen), *args, **kwargs)
            except NoAnswer:
                self.close()
                raise

    def _bounded(steps: Any) -> Any:
        """Pass on what the driver's generator asks for, and what it is told, until nothing happens any more."""
        until = time.monotonic() + answer
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if ready != Ready.NONE:
                    until = time.monotonic() + answer
                elif time.monotonic() >= until:
                    raise NoAnswer(f"the server sent nothing for {answer:g} s")
                wanted = steps.send(ready)
        except StopIteration as ended:
            return ended.value

    driver = ModuleType(_PSYCOPG)
    vars(driver).update(vars(psycopg), connect=Bounded.connect)
    return driver
