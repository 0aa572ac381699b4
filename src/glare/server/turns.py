"""Whose request begins next, where more of them are there than the event loop can take on at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 1
"""Requests that begin in one round of the event loop.

A round does all that is ready before it looks again, and an answer takes a few rounds. So a round that takes on
hundreds of requests makes each answer wait for hundreds of others, whoever sent them.
"""

LIGHT: Final = 4
"""So many that are answered on the spot count as one that begins: they cost a reading and a write, and leave
nothing."""

Begin = Callable[[], bool | None]
"""Begins a request, or does another piece of work; returns True where that was light."""


class Turns:
    """Lets requests begin, a few in each round of the loop, one network after the other. Used on the event loop only.

    Where fewer come than that, each begins at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, at_once: int = AT_ONCE) -> None:
        self._loop = loop
        self._whole = self._left = at_once * LIGHT
        self._waiting: OrderedDict[str, dict[int, Begin]] = OrderedDict()
        self._scheduled = False
        self._number = 0

    def take(self, network: str, begin: Begin) -> int:
        """Call `begin`, now or in a later round. It must know by itself whether it is still wanted, unless what is
        returned here is given to `forget`.
        """
        self._number += 1
        number = self._number
        if self._waiting or self._left <= 0:
            self._waiting.setdefault(network, {})[number] = begin
        else:
            self._do(begin)
        self._schedule()
        return number

    def forget(self, network: str, number: int) -> bool:
        """Do not call it any more; false where it does not wait."""
        queue = self._waiting.get(network)
        if queue is None or number not in queue:
            return False
        del queue[number]
        if not queue:
            del self._waiting[network]
        return True

    def _do(self, begin: Begin) -> None:
        self._left -= 1  # Before, for it may come back and take a turn itself.
        if begin() is not True:
            self._left -= LIGHT - 1

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._round)

    def _round(self) -> None:
        self._scheduled = False
        self._left = self._whole
        while self._waiting and self._left > 0:
            network, queue = self._waiting.popitem(last=False)
            begin = queue.pop(next(iter(queue)))
            if queue:
                self._waiting[network] = queue
            self._do(begin)
        if self._waiting:
            self._schedule()
