"""MariaDB and MySQL, alone or as a Galera cluster, through PyMySQL or mysqlclient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Transaction, event, text

from glare.db.dialect import Dialect
from glare.db.failures import Failure, Sizes

_TIMED: Final = ("pymysql", "mysqldb")
"""Drivers that can be told how long to wait for the server."""

_AT_WORK: Final = text("SELECT 1 FROM information_schema.processlist WHERE id = :session")


class Mysql(Dialect):
    """A server, or a cluster behind one name."""

    driver = "pymysql"
    extra = "mysql"

    _CODES: Final[Mapping[int, Failure]] = {
        1213: Failure.AGAIN,  # deadlock; on Galera also a certification that failed, at COMMIT too
        1020: Failure.AGAIN,  # the row has changed since it was read (innodb_snapshot_isolation)
        1180: Failure.AGAIN,  # error during COMMIT (Galera)
        1205: Failure.BUSY,  # lock wait timeout
        1969: Failure.SLOW,  # max_statement_time (MariaDB)
        3024: Failure.SLOW,  # max_execution_time (MySQL)
        1021: Failure.FULL,  # disk full
        1114: Failure.FULL,  # table is full
        1040: Failure.CROWDED,  # too many connections
        1203: Failure.CROWDED,  # of this user, max_user_connections of the server
        1226: Failure.CROWDED,  # of this user, its own limit
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
        return engine

    def connect_args(self, url: URL, sizes: Sizes) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "connect_timeout": max(1, round(sizes.patience)),
            "init_command": (
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
                f"innodb_lock_wait_timeout = {max(1, round(sizes.patience))}"
            ),
        }
        if sizes.answer is not None and url.get_driver_name() in _TIMED:
            seconds = max(1, round(sizes.answer))
            arguments |= {"read_timeout": seconds, "write_timeout": seconds}
        return arguments

    def begin_read(self, connection: Connection) -> Transaction:
        return connection.begin()  # REPEATABLE READ, with the snapshot of its first statement, is the session's.

    def begin_write(self, connection: Connection, patience: float) -> Transaction:
        transaction = connection.begin()
        # For this transaction only. A snapshot would hide what was committed while a row lock was waited for.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return transaction

    def failure(self, error: BaseException | None) -> Failure | None:
        code = error.args[0] if error is not None and error.args else None
        if type(error).__name__ == "InterfaceError" and code == 0:
            return Failure.LOST  # The connection was closed under us.
        found = self._CODES.get(code) if isinstance(code, int) else None
        return Failure.SILENT if found is Failure.LOST and "timed out" in str(error) else found

    def descriptor(self, connection: Any) -> int | None:
        with suppress(
            Exception
        ):  # The one driver says it, of the other one has to know; where neither does, nothing is watched.
            return int(connection.fileno() if hasattr(connection, "fileno") else connection._sock.fileno())
        return None

    def session(self, connection: Connection) -> int | None:
        driver: Any = connection.connection.driver_connection
        number = getattr(driver, "thread_id", None)
        return None if number is None else int(number())

    def is_at_work(self, connection: Connection, session: int) -> bool:
        return connection.execute(_AT_WORK, {"session": session}).first() is not None


def _prepare(sizes: Sizes) -> Callable[[Any, object], None]:
    """What is said on each new connection. The bound of a statement has another name, and unit, on each of the two servers."""

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
