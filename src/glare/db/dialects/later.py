"""Statements whose answer nobody needs wait for the next one, and travel with it.

A round trip to a database server takes as long as the line between is, whatever is sent. So a transaction is begun by
its first statement, and what is done `later` goes with the next statement, or with the commit. The server does
everything in the order in which it was said, each statement after the one before, and nothing of it once one has
failed. SQLite has no line, and does everything at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DBAPIError

_LATER: Final = {"glare_later": True}
_KEY: Final = "glare_line"
_EARLY: Final = "glare_early"


def later(
    connection: Connection, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
) -> None:
    """Do this before the next statement, or before the commit. Its errors are raised there; how many rows it met nobody
    learns.
    """
    connection.execute(statement, values, execution_options=_LATER)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A statement of the driver that waits, with its parameters: one set of them, or a list for `many`."""

    statement: str
    parameters: Any = None
    many: bool = False


@dataclass(slots=True)
class Line:
    """What a connection has to say, and has not said yet. `begun` is whether the server has begun the transaction."""

    waiting: list[Waiting] = field(default_factory=list)
    begun: bool = False

    def taken(self) -> list[Waiting]:
        """All that waits; it does so no more."""
        found, self.waiting = self.waiting, []
        return found


def line_of(driver: Any) -> Line:
    """The line of a connection of the driver."""
    found: Line = vars(driver).setdefault(_KEY, Line())
    return found


def driver_of(connection: Connection) -> Any:
    """The driver's own connection."""
    return connection.connection.driver_connection


def mark_early(error: Exception) -> None:
    """Note on an error of the driver that it is of a statement which waited, and not of the one that was then said."""
    vars(error)[_EARLY] = True


def is_early(error: DBAPIError) -> bool:
    """Whether an error is of a statement that waited. What was said after it has not been done."""
    return bool(getattr(error.orig, _EARLY, False))


def may_wait(cursor: Any, statement: str, parameters: Any, context: Any, *, many: bool = False) -> bool:
    """Let a statement wait that is done `later`."""
    if not context.execution_options.get("glare_later"):
        return False
    line_of(cursor.connection).waiting.append(Waiting(statement, parameters, many))
    return True
