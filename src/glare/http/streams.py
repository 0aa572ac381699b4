"""Between the event loop, which receives, and the operations, which read synchronously in worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from glare.digest import BLOCK
from glare.errors import ClientDisconnected, GlareError, RequestTimeout
from glare.http.pace import Pace
from glare.parts import Parts

SMALL_BLOCK: Final = 64 << 10
_SOON: Final = 0.05
_LATE: Final = 0.5

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Room:
    """Whether a body may have a block `ahead` in memory, and whether blocks may be `large`; asked for each of them."""

    ahead: Callable[[], bool]
    large: Callable[[], bool]


ROOM: Final = Room(lambda: True, lambda: True)
"""For who is alone."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client is waited for.

    It may send nothing for `stall_seconds`; once it was waited for so long in all, it must send `minimum_rate` bytes
    for each second of waiting, counted over the last one or two times as long. Time in which nobody wanted its bytes
    does not count.
    """

    stall_seconds: float
    minimum_rate: int


class BodyReader:
    """A request body as a synchronous reader.

    The loop collects blocks, and the server stops taking bytes from the client while the reader is busy. A block has 64
    KiB, and up to 1 MiB where the client is fast; one is collected ahead of the reader where `room` says that there is
    memory. So memory stays flat at any size, and a slow client has little of it. `declared` is the ``Content-Length``
    or None.
    """

    def __init__(self, receive: Receive, declared: int | None, patience: Patience, room: Room = ROOM) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._patience = patience
        self._room = room
        self._pace = Pace(patience.stall_seconds)
        self._size = SMALL_BLOCK
        self._ended = False
        self._buffer = b""
        self._next: Future[bytes | GlareError] | None = None
        self._received = 0
        self._waiting: asyncio.Timeout | None = None
        self._broken: GlareError | None = None
        self.declared = declared
        self.watched: Pace | None = None
        """Told of the client's pace too."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, empty at the end of the body; called in a worker thread.

        Raises `ClientDisconnected` when the client goes away before the body is whole, `RequestTimeout` when it stalls.
        """
        if not self._buffer:
            self._buffer = self._take()
        if len(self._buffer) <= size:
            data, self._buffer = self._buffer, b""
        else:
            data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def close(self) -> None:
        """Stop collecting; what was collected and not read is dropped."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._ended = True
        self._buffer = b""

    def break_off(self, reason: GlareError) -> None:
        """Let the next read raise `reason`, and one that waits for the client do so now; called on the event loop."""
        self._broken = reason
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self._loop.time())

    def _take(self) -> bytes:
        if self._next is None:
            if self._ended:
                return b""
            self._next = asyncio.run_coroutine_threadsafe(self._collect(), self._loop)
        block = self._next.result()
        self._next = None
        if isinstance(block, GlareError):
            try:
                raise block
            finally:
                del block
        if not self._ended and self._room.ahead():
            self._next = asyncio.run_coroutine_threadsafe(self._collect(), self._loop)
        return block

    async def _collect(self) -> bytes | GlareError:
        """The next block, or what went wrong.

        The error is returned, not raised: raised in a task, it would hold the task's frames and they it, and with them
        the connection until the garbage collector comes by; the server closes a connection when nobody holds it any
        more.
        """
        parts = Parts()
        began = self._loop.time()
        stall_seconds = self._patience.stall_seconds
        paces = [self._pace] if self.watched is None else [self._pace, self.watched]
        try:
            async with asyncio.timeout(stall_seconds) as waiting:
                self._waiting = waiting
                while len(parts) < self._size and self._broken is None:
                    for pace in paces:
                        pace.wait()
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        return ClientDisconnected()
                    part = message.get("body", b"")
                    for pace in paces:
                        pace.moved(len(part))
                    if part:
                        parts.add(part)
                        if self._pace.is_below(self._patience.minimum_rate):
                            return RequestTimeout(
                                f"The request body arrives at less than {self._patience.minimum_rate} bytes a second; "
                                "nothing was stored."
                            )
                        waiting.reschedule(self._loop.time() + stall_seconds)
                    if not message.get("more_body", False):
                        self._ended = True
                        break
        except TimeoutError:
            return self._broken or RequestTimeout(
                f"No byte of the request body arrived for {stall_seconds:g} seconds; nothing was stored."
            )
        finally:
            self._waiting = None
        if self._broken is not None:
            return self._broken
        self._received += len(parts)
        self._fit(self._loop.time() - began)
        if self._ended and self.declared is not None and self._received != self.declared:
            return ClientDisconnected(
                f"The body has {self._received} bytes but Content-Length says {self.declared}; nothing was stored."
            )
        return parts.take()

    def _fit(self, seconds: float) -> None:
        """Choose the size of the next block by how long this one took."""
        if seconds < _SOON:
            self._size = min(self._size * 2, BLOCK)
        elif seconds > _LATE:
            self._size = SMALL_BLOCK
        if not self._room.large():
            self._size = min(self._size, SMALL_BLOCK * 4)
