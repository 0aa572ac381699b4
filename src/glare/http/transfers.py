"""Bodies under way: uploads, checked downloads, measurements of locations. A place for each, fairly; whoever is slow
makes room when others wait.

A slow client costs a place and little else. As long as there are places it is served; once all are taken and somebody
waits, the slowest body of the party that has most of them is broken off.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from glare.errors import GlareError, Unavailable
from glare.http.pace import Pace
from glare.shares import Party, Shares

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.25
_FEW: Final = 8
_MANY: Final = 32


@dataclass(slots=True, eq=False)
class Transfer:
    """One body under way. `break_off` ends it with the reason; None where no client's pace matters."""

    party: Party
    pace: Pace
    break_off: Callable[[GlareError], object] | None
    ending: bool = False


class Transfers:
    """All of a process. Used on the event loop only.

    A body that was waited for longer than `grace` seconds, and moves less than `contended_rate` bytes a second, makes
    room when there is none.
    """

    def __init__(
        self, shares: Shares, contended_rate: int, grace: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.shares = shares
        self._contended_rate = contended_rate
        self._grace = grace
        self._clock = clock
        self._under_way: set[Transfer] = set()
        self._looking: asyncio.TimerHandle | None = None

    @property
    def few(self) -> bool:
        """Whether there are so few that each may have a piece ahead in memory."""
        return self.shares.in_use <= _FEW

    @property
    def many(self) -> bool:
        """Whether there are so many that each should have little in memory."""
        return self.shares.in_use > _MANY

    @asynccontextmanager
    async def place(
        self,
        party: Party,
        break_off: Callable[[GlareError], object] | None,
        gone: Callable[[], Awaitable[None]],
        pace: Pace | None = None,
    ) -> AsyncIterator[Transfer]:
        """A place for one body inside the block, at its own pace where it has none yet. Raises what `Shares.share`
        does.
        """
        if self._looking is None and self.shares.in_use >= self.shares.bounds.together:
            self._look_later()
        async with self.shares.share(party, gone=gone):
            transfer = Transfer(party, pace or Pace(self._grace, self._clock), break_off)
            self._under_way.add(transfer)
            try:
                yield transfer
            finally:
                self._under_way.discard(transfer)

    def make_room(self) -> None:
        """Break off the slowest body where all places are taken and somebody waits who would get its place. An error of
        that is logged.

        Whoever has all of its own party's places gets none of another party's.
        """
        if not self.shares.waiting or self.shares.in_use < self.shares.bounds.together:
            return
        queues = self.shares.queues()
        ending = Counter(each.party for each in self._under_way if each.ending)
        wanted = sum(ready for ready, _ in queues.values()) > ending.total()
        slow = [
            each
            for each in self._under_way
            if each.break_off
            and each.pace.is_below(self._contended_rate)
            and (wanted or queues.get(each.party, (0, 0))[1] > ending[each.party])
        ]
        if not slow:
            return
        of_party = Counter(each.party for each in self._under_way)
        worst = min(slow, key=lambda each: (-of_party[each.party], each.pace.rate))
        break_off, worst.break_off = worst.break_off, None
        if break_off is None:
            return
        reason = Unavailable(
            f"All {self.shares.bounds.together} uploads and downloads of this server process were taken, others "
            f"waited, and this one moved less than {self._contended_rate} bytes a second; send it again.",
            retry_after=10,
        )
        try:
            break_off(reason)
            worst.ending = True
        except Exception:  # noqa: BLE001 - it is one body's, and the others that wait are served all the same
            _log.exception("A slow body could not be broken off.")

    def _look_later(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._looking = None
        try:
            for _ in range(self.shares.waiting):
                self.make_room()
        finally:
            if self.shares.waiting:
                self._look_later()
