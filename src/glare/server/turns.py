"""Whose request begins next, where more of them are there than the event loop can take on at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 1
"""Requests that begin in one round of the event loop.

A round does all that is ready before it looks again, and an answer takes a few rounds. So a round that takes on
hundreds of requests makes each answer wait for hundreds of others, whoever sent them.
"""

Begin = Callable[[], None]


class Turns:
    """Lets requests begin, a few in each round of the loop, one network after the other. Used on the event loop only.

    Where fewer come than that, each begins at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, at_once: int = AT_ONCE) -> None:
        self._loop = loop
        self._at_once = at_once
        self._left = at_once
        self._waiting: OrderedDict[str, deque[Begin]] = OrderedDict()
        self._scheduled = False

    def take(self, network: str, begin: Begin) -> None:
        """Call `begin`, now or in a later round. It must know by itself whether it is still wanted."""
        if self._waiting or not self._left:
            self._waiting.setdefault(network, deque()).append(begin)
        else:
            self._left -= 1
            begin()
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._round)

    def _round(self) -> None:
        self._scheduled = False
        self._left = self._at_once
        while self._waiting and self._left:
            network, queue = self._waiting.popitem(last=False)
            begin = queue.popleft()
            if queue:
                self._waiting[network] = queue
            self._left -= 1
            begin()
        if self._waiting:
            self._schedule()
