"""What a kind of database must tell: how to connect, how a transaction begins, and what its errors mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, Engine, Transaction, create_engine
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from glare.db.dialects.failures import Failure, Sizes
from glare.db.dialects.pool import Connections
from glare.errors import GlareError


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
                connect_args=self.connect_args(url, sizes),
                # Errors go to the log; the values of a statement that failed, URLs with signatures among them, must
                # not.
                hide_parameters=True,
                poolclass=Connections,
                rules=self,
                sizes=sizes,
                **self.engine_args(url, sizes),
            )
        except (ImportError, NoSuchModuleError) as missing:
            raise GlareError(
                f"The driver of [database] connection '{url.drivername}' is not installed; "
                f"install 'glare-server[{self.extra}]'."
            ) from missing

    def engine_args(self, url: URL, sizes: Sizes) -> dict[str, Any]:
        """Arguments of SQLAlchemy's engine. Raises `ImportError` where the driver is not installed."""
        return {}

    @abstractmethod
    def connect_args(self, url: URL, sizes: Sizes) -> dict[str, Any]:
        """Arguments of the driver."""

    @abstractmethod
    def begin_read(self, connection: Connection) -> Transaction:
        """Begin a transaction that sees one state."""

    @abstractmethod
    def begin_write(self, connection: Connection, patience: float) -> Transaction:
        """Begin a transaction that sees, with each statement, what others have committed.

        Where that needs the lock of the whole database it is waited for `patience` seconds.
        """

    def begin_look(self, connection: Connection) -> Transaction:
        """Begin what is one statement that reads, and so needs no transaction."""
        return connection.begin()

    def finish(self, connection: Connection) -> None:
        """Say all that waits, and commit with it, where something waits. Raises the driver's own errors."""
        return

    @abstractmethod
    def failure(self, error: BaseException | None) -> Failure | None:
        """What an error of the driver means; None for a defect of ours."""

    def descriptor(self, connection: Any) -> int | None:
        """The file descriptor of a connection of the driver; None where it has none that could be watched."""
        return None

    def session(self, connection: Connection) -> int | None:
        """The number by which the server knows this connection; None where there is no server."""
        return None

    def is_at_work(self, connection: Connection, session: int) -> bool:
        """Whether the server still has the session of this number: what it was told to commit may come to be at any
        moment.
        """
        return False


def failure_of(dialect: Dialect, error: BaseException) -> Failure | None:
    """What an error of SQLAlchemy, or of the driver itself, means."""
    if not isinstance(error, DBAPIError):
        return dialect.failure(error)
    found = dialect.failure(error.orig)
    return Failure.LOST if found is None and error.connection_invalidated else found
