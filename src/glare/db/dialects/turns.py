"""Whose turn it is to write to a SQLite file, which has one writer at a time.

The threads of one process queue here by party (`glare.shares`), so that a project with many writers delays another one
by a change or two. Between processes the file's own lock decides, for which they ask again and again; a process that
had it for long in a row leaves a gap in which another one gets it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from glare.context import PARTY
from glare.shares import Bounds, Refused, Shares

NAME: Final = "database_writer"

ASK_EVERY: Final = 0.005
"""Seconds between two tries to get the file's lock from another process."""

_IN_A_ROW: Final = 0.25
_GAP: Final = 3 * ASK_EVERY
_MOST: Final = 100_000  # Whoever waits has a thread, so that others bound how many there are.


class Turns:
    """The writer's turn of one process. Whoever waits for longer than `patience` seconds is refused."""

    def __init__(
        self,
        patience: float,
        refused: Refused,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        bounds = Bounds(together=1, of_party=1, waiting=_MOST, waiting_of_party=_MOST, patience=patience)
        self._shares = Shares(NAME, bounds, what="changes of the database", refused=refused)
        self._clock = clock
        self._sleep = sleep
        self._began = 0.0
        self._ended = float("-inf")

    @contextmanager
    def take(self) -> Iterator[None]:
        """The turn for the block, on behalf of whom the work belongs to. Raises `Unavailable`."""
        with self._shares.hold(PARTY.get()):
            self._leave_gap()
            try:
                yield
            finally:
                self._ended = self._clock()

    def _leave_gap(self) -> None:
        now = self._clock()
        if now - self._ended > _GAP:
            self._began = now
        elif now - self._began > _IN_A_ROW:
            self._sleep(_GAP)
            self._began = self._clock()
