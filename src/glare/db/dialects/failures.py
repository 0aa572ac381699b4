"""What errors of a database mean, and how much a process asks of one. Everything below `glare.db` may use it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Failure(enum.Enum):
    """What an error of a database means for the transaction that it ended."""

    BUSY = enum.auto()  # A lock could not be had in time.
    AGAIN = enum.auto()  # It lost against another one, and was undone: a deadlock, or a failed serialization.
    LOST = enum.auto()  # The connection broke, or there was none to be had.
    SILENT = enum.auto()  # Likewise, because no answer came in time.
    CROWDED = enum.auto()  # The server grants no further connection.
    SLOW = enum.auto()  # A statement took longer than it may.
    FULL = enum.auto()  # The disk is full.
    CLOSED = enum.auto()  # SQLite: the file cannot be opened.
    FOREIGN = enum.auto()  # SQLite: the file is no database.


BROKEN = frozenset({Failure.LOST, Failure.SILENT, Failure.CROWDED})
"""There is no connection (any more): at a commit, nobody knows whether it happened."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """`connections` at most; `patience` in seconds, for a connection and for a lock.

    `statement` is how many seconds one statement may take, and `answer` for how many nothing may come from the server;
    None: for ever.
    """

    connections: int
    patience: float
    statement: float | None = None
    answer: float | None = None
