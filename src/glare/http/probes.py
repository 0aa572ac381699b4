"""What probes ask: found out in threads of their own, once for all who ask at the same time, and again when it is too
old.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")


class Probe(Generic[T]):
    """The result of `look`, at most `age` seconds old. Used on the event loop only; `clock` gives seconds.

    One `look` runs at a time, whoever waits for it, so one that hangs costs one thread.
    """

    def __init__(self, look: Callable[[], T], age: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._look = look
        self._age = age
        self._clock = clock
        self._began = 0.0
        self._last: asyncio.Future[T] | None = None
        self._found: tuple[T, float] | None = None

    def at_hand(self, threads: Executor) -> tuple[T] | None:
        """What was found within `age` seconds, None where it has to be waited for. In good time it is looked anew, so
        that of many who ask hardly anybody has to wait.
        """
        if self._found is None:
            return None
        value, began = self._found
        age = self._clock() - began
        if age >= self._age:
            return None
        if age >= self._age / 2 and self._last is not None and self._last.done():
            _ = self._begin(threads)
        return (value,)

    async def result(self, threads: Executor) -> T:
        """What `look` returns or raises."""
        last = self._last
        if last is None or (last.done() and self._clock() - self._began >= self._age):
            last = self._begin(threads)
        # Who stops waiting takes it from nobody else.
        return await asyncio.shield(last)

    def _begin(self, threads: Executor) -> asyncio.Future[T]:
        began = self._began = self._clock()
        self._last = asyncio.get_running_loop().run_in_executor(threads, self._look)

        def keep(last: asyncio.Future[T]) -> None:
            if not last.cancelled() and last.exception() is None:
                self._found = last.result(), began

        self._last.add_done_callback(keep)
        return self._last
