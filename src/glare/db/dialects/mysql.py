"""MariaDB and MySQL, alone or as a Galera cluster, through PyMySQL or mysqlclient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Transaction, event, text

from glare.db.dialects.base import Dialect
from glare.db.dialects.failures import Failure, Sizes
from glare.db.dialects.later import Waiting, driver_of, line_of, mark_early, may_wait

_KNOWN: Final = ("pymysql", "mysqldb")
"""Drivers that can be told how long to wait for the server, and not to begin transactions by themselves."""

_TOGETHER: Final = "pymysql"
"""The driver that sends several statements at once."""

_FOUND_ROWS: Final = 2
_MULTI_STATEMENTS: Final = 1 << 16
"""Flags of the protocol: count the rows that a change has found, changed or not; take several statements at once."""

_BEGINNING: Final = 2
"""So many statements begin a transaction that changes things."""

_AT_WORK: Final = text("SELECT 1 FROM information_schema.processlist WHERE id = :session")


class Mysql(Dialect):
    """A server, or a cluster behind one name."""

    driver = "pymysql"
    extra = "mysql"

    _CODES: Final[Mapping[int, Failure]] = {
        1213: Failure.AGAIN,  # deadlock; on Galera also a certification that failed, at COMMIT too
        1020: Failure.AGAIN,  # the row has changed since it was read (innodb_snapshot_isolation)
        1180: Failure.AGAIN,  # error during COMMIT (Galera)
        1305: Failure.AGAIN,  # no such savepoint: a deadlock has undone the whole transaction, and SQLAlchemy goes back
        1205: Failure.BUSY,  # lock wait timeout
        1969: Failure.SLOW,  # max_statement_time (MariaDB)
        3024: Failure.SLOW,  # max_execution_time (MySQL)
        1021: Failure.FULL,  # disk full
        1114: Failure.FULL,  # table is full
        1040: Failure.CROWDED,  # too many connections
        1203: Failure.CROWDED,  # of this user, max_user_connections of the server
        1226: Failure.CROWDED,  # of this user, its own limit
        1044: Failure.LOST,  # this user may not use the database
        1045: Failure.LOST,  # the password is refused
        1049: Failure.LOST,  # no such database
        1698: Failure.LOST,  # this user may not come by a password
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
        event.listen(engine, "connect", _prepare(sizes))
        if engine.dialect.driver in _KNOWN:
            event.listen(engine, "do_execute", _execute)
            event.listen(engine, "do_executemany", _execute_many)
            _end_what_was_begun(engine.dialect)
        return engine

    def connect_args(self, url: URL, sizes: Sizes) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "connect_timeout": max(1, round(sizes.patience)),
            "init_command": (
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
                f"innodb_lock_wait_timeout = {max(1, round(sizes.patience))}"
            ),
        }
        if url.get_driver_name() in _KNOWN:
            # A transaction is begun by our word, and not by whatever comes first.
            arguments |= {"autocommit": True, "client_flag": _FOUND_ROWS | _MULTI_STATEMENTS}
            if sizes.answer is not None:
                seconds = max(1, round(sizes.answer))
                arguments |= {"read_timeout": seconds, "write_timeout": seconds}
        return arguments

    def begin_read(self, connection: Connection) -> Transaction:
        # REPEATABLE READ, with the snapshot of its first statement, is the session's.
        return self._begin(connection, "START TRANSACTION READ ONLY")

    def begin_write(self, connection: Connection, patience: float) -> Transaction:
        # For this transaction only. A snapshot would hide what was committed while a row lock was waited for.
        return self._begin(connection, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION")

    def _begin(self, connection: Connection, *statements: str) -> Transaction:
        transaction = connection.begin()
        if connection.dialect.driver in _KNOWN:
            line = line_of(driver_of(connection))
            line.waiting = [Waiting(statement) for statement in statements]
            line.begun = False
        else:  # It begins a transaction by itself.
            for statement in statements[:-1]:
                connection.exec_driver_sql(statement)
        return transaction

    def begin_look(self, connection: Connection) -> Transaction:
        line_of(driver_of(connection)).taken()
        return connection.begin()

    def finish(self, connection: Connection) -> None:
        line = line_of(driver_of(connection))
        waiting = line.taken()
        if waiting and (line.begun or len(waiting) > _BEGINNING):
            driver: Any = driver_of(connection)
            line.begun = True  # Until the answer is there, who knows.
            with driver.cursor() as cursor:
                _say(cursor, [*waiting, Waiting("COMMIT")])
            line.begun = False

    def failure(self, error: BaseException | None) -> Failure | None:
        code = error.args[0] if error is not None and error.args else None
        if type(error).__name__ == "InterfaceError" and code == 0:
            return Failure.LOST  # The connection was closed under us.
        found = self._CODES.get(code) if isinstance(code, int) else None
        return Failure.SILENT if found is Failure.LOST and "timed out" in str(error) else found

    def descriptor(self, connection: Any) -> int | None:
        # One driver tells it, of the other one has to know where it is; where neither is so, nothing is watched.
        with suppress(Exception):
            return int(connection.fileno() if hasattr(connection, "fileno") else connection._sock.fileno())
        return None

    def session(self, connection: Connection) -> int | None:
        driver: Any = driver_of(connection)
        number = getattr(driver, "thread_id", None)
        return None if number is None else int(number())

    def is_at_work(self, connection: Connection, session: int) -> bool:
        return connection.execute(_AT_WORK, {"session": session}).first() is not None


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool | None:
    """Send what waits, the transaction's beginning among it, together with the statement that is waited for."""
    if may_wait(cursor, statement, parameters, context):
        return True
    line = line_of(cursor.connection)
    waiting = line.taken()
    if not waiting:
        return None
    line.begun = True
    _say(cursor, [*waiting, Waiting(statement, parameters)])
    return True


def _execute_many(cursor: Any, statement: str, parameters: Any, context: Any) -> bool | None:
    if may_wait(cursor, statement, parameters, context, many=True):
        return True
    line = line_of(cursor.connection)
    waiting = line.taken()
    if waiting:
        line.begun = True
        _say(cursor, waiting)
    return None


def _say(cursor: Any, statements: Sequence[Waiting]) -> None:
    """Send all of them, at once where the driver can bind values beforehand; the cursor is then at the answer to the
    last one. The first that fails raises, and none after it is done.
    """
    sets = [
        (one.statement, parameters)
        for one in statements
        for parameters in (one.parameters if one.many else [one.parameters])
    ]
    answered = 0
    try:
        if type(cursor).__module__.startswith(_TOGETHER):
            cursor.execute(";".join(cursor.mogrify(statement, parameters) for statement, parameters in sets))
            answered = 1
            while cursor.nextset():
                answered += 1
        else:
            for statement, parameters in sets:
                cursor.execute(statement, parameters)
                answered += 1
    except Exception as error:
        if answered < len(sets) - 1:
            mark_early(error)
        raise


def _end_what_was_begun(dialect: Any) -> None:
    """Send COMMIT and ROLLBACK only where the server has begun something: the driver would always."""
    ending = {"do_commit": dialect.do_commit, "do_rollback": dialect.do_rollback}

    def only_begun(end: Callable[[Any], None]) -> Callable[[Any], None]:
        def end_begun(connection: Any) -> None:
            line = line_of(connection.driver_connection)
            line.taken()
            if line.begun:
                line.begun = False
                end(connection)

        return end_begun

    for name, end in ending.items():
        setattr(dialect, name, only_begun(end))


def _prepare(sizes: Sizes) -> Callable[[Any, object], None]:
    """What is said on each new connection. The bound of a statement has another name, and unit, on each of the two
    servers.
    """

    def prepare(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if sizes.statement is not None:
                is_mariadb = "mariadb" in str(connection.get_server_info()).lower()
                cursor.execute(
                    f"SET SESSION max_statement_time = {sizes.statement:g}"
                    if is_mariadb
                    else f"SET SESSION max_execution_time = {max(1, round(sizes.statement * 1000))}"
                )

    return prepare
