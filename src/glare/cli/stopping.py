"""Ending a program that goes on until somebody stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

Application = Callable[[Any, Any, Any], Awaitable[None]]


def stopped_by_signals() -> threading.Event:
    """An event that SIGTERM or Ctrl-C sets, so that the work under way is finished; a second one ends the program at once."""
    stop = threading.Event()

    def end(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop


class DrainedBySignal:
    """The application of a server process, whose `drain` SIGTERM runs before the server ends; a second SIGTERM changes nothing.

    The server itself would close every connection that waits for a request, so that clients learn nothing of why. Its own handler stays
    with SIGINT, which this one calls in the end.
    """

    def __init__(self, app: Application, drain: Callable[[], Awaitable[None]]) -> None:
        self._app = app
        self._drain = drain
        self._ending: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._begin)
        await self._app(scope, receive, send)

    def _begin(self) -> None:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end())

    async def _end(self) -> None:
        await self._drain()
        os.kill(os.getpid(), signal.SIGINT)
