"""The end of a server process: requests under way are finished, new ones are refused, and what takes too long is broken
off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from glare.errors import Unavailable

_UNDO_SECONDS: Final = 4.0
"""What broken off requests may take to undo what they did, and to answer."""

GRACE_SECONDS: Final = _UNDO_SECONDS + 2.0
"""How much longer than its time limit a process takes to end at most, where nothing hangs."""

_REFUSAL: Final = "This server process is stopping; send the request again, and another one will answer."
_BROKEN: Final = "The service stops, and waited {seconds:g} s for this request; nothing was stored. Send it again."


class Drain:
    """Counts requests, and ends them. Used on the event loop only.

    From `run` on `leaving` is true; after `lead_seconds`, in which balancers see it and send their requests elsewhere,
    `stopping` is too. Requests may go on for `seconds` then; after that all that is in `breakable` is broken off.
    """

    def __init__(self, seconds: float, lead_seconds: float = 0.0) -> None:
        self.leaving = False
        self.stopping = False
        self._seconds = seconds
        self._lead_seconds = lead_seconds
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._breakable: set[Callable[[Unavailable], object]] = set()
        self._is_over = False

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count the block as a request under way."""
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    @contextmanager
    def breakable(self, break_off: Callable[[Unavailable], object]) -> Iterator[None]:
        """Call `break_off` with the reason when the block takes longer than the process may."""
        if self._is_over:
            raise self._too_long()
        self._breakable.add(break_off)
        try:
            yield
        finally:
            self._breakable.discard(break_off)

    def require_running(self) -> None:
        """Raises `Unavailable` once the process is stopping."""
        if self.stopping:
            raise Unavailable(_REFUSAL)

    async def run(self, lead: bool = True) -> None:
        """Stop taking requests, with a lead time or at once; return when all have ended, or those that are left cannot
        be ended.
        """
        self.leaving = True
        if lead and self._lead_seconds:
            await asyncio.sleep(self._lead_seconds)
        self.stopping = True
        if await self._ends_within(self._seconds):
            return
        self._is_over = True
        for break_off in tuple(self._breakable):
            break_off(self._too_long())
        await self._ends_within(_UNDO_SECONDS)

    def _too_long(self) -> Unavailable:
        return Unavailable(_BROKEN.format(seconds=self._seconds))

    async def _ends_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
                return True
        return False
