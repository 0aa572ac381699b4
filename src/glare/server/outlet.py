"""Sending on one connection: bytes and files, as fast as the peer takes them, and holding next to nothing of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from glare.errors import ClientDisconnected
from glare.server.pace import Pace

T = TypeVar("T")

UNSENT: Final = 256 << 10
"""Bytes that the kernel holds for a peer beyond those that are on their way to it."""

_STEP: Final = 1 << 20  # Sent at most before others have their turn.
_NUDGE: Final = 4096  # Given to the transport, which tells when the socket takes more.
_TLS_PIECE: Final = 64 << 10

_threads: Final[Executor] = ThreadPoolExecutor(4, "files")
"""Wait for disks, so that the event loop does not."""


class Outlet:
    """The sending half of a transport. Where it is `plain`, a socket of Linux without TLS, bytes go to it directly, and
    only what waits goes by way of asyncio.

    Everything raises `ClientDisconnected` once the connection is over.
    """

    def __init__(self, transport: asyncio.Transport, pace: Pace, *, plain: bool) -> None:
        self._transport = transport
        self._pace = pace
        self._socket = transport.get_extra_info("socket").fileno() if plain else None
        self._loop = asyncio.get_running_loop()
        self._given = 0
        self._paused = False
        self._open = True
        self._waiter: asyncio.Future[None] | None = None

    def watch(self) -> None:
        """Be notified of waiting bytes from now on: at once, where the handshake has left some."""
        # The least that asyncio can be told: `pause_writing` comes whenever a byte waits.
        self._transport.set_write_buffer_limits(high=0 if self._socket is not None else 1, low=0)

    @property
    def taken(self) -> int:
        """Bytes that the kernel has accepted, in all."""
        return self._given - self._transport.get_write_buffer_size()

    def pause(self) -> None:
        """Bytes wait from now on."""
        self._paused = True
        self._pace.wait(self._loop.time())

    def resume(self) -> None:
        """Nothing waits any more."""
        self._paused = False
        self._pace.proceed(self._loop.time())
        self._wake()

    def close(self) -> None:
        """The connection is over. The descriptor of its socket may be another's soon."""
        self._open = False
        self._wake()

    @property
    def is_free(self) -> bool:
        """Whether nothing waits to be sent."""
        return self._open and not self._paused

    def push(self, data: bytes) -> None:
        """Send so little that what the socket does not take at once may wait in this process."""
        self._require_open()
        sent = 0 if self._socket is None else self._write_directly(self._socket, memoryview(data))
        if sent < len(data):
            self._give(data[sent:])

    async def write(self, data: bytes) -> None:
        """Send `data`; returns when none of it waits in this process."""
        view = memoryview(data)
        while view:
            await self._ready()
            if self._socket is None:
                size = self._give(view[:_TLS_PIECE])
            else:
                size = self._write_directly(self._socket, view[:_STEP])
                if size < min(len(view), _STEP):
                    size += self._give(view[size : size + _NUDGE])
                elif size < len(view):
                    await asyncio.sleep(0)
            view = view[size:]
        if self._paused:
            await self._ready()

    async def send_file(self, path: Path, size: int) -> None:
        """Send the first `size` bytes of a file. Raises `OSError` where it cannot be read, `EOFError` where it is
        shorter.
        """
        file = await self._loop.run_in_executor(_threads, open, path, "rb", 0)
        try:
            if self._socket is None:
                await self._write_file(file, size)
            else:
                await self._send_file(self._socket, file, size)
        finally:
            file.close()

    async def _send_file(self, socket: int, file: BinaryIO, size: int) -> None:
        source = file.fileno()
        offset = loaded = 0
        while offset < size:
            await self._ready()
            if offset == loaded:
                loaded = min(size, offset + _STEP)
                if not _in_memory(source, offset, loaded - offset):
                    await self._in_thread(_load, source, offset, loaded - offset)
                    self._require_open()
            step = loaded - offset
            sent = self._send_directly(socket, source, offset, step)
            if sent < step:
                sent += self._give(_some(source, offset + sent, min(_NUDGE, step - sent)))
            else:
                await asyncio.sleep(0)
            offset += sent
        if self._paused:
            await self._ready()

    async def _write_file(self, file: BinaryIO, size: int) -> None:
        offset = 0
        while offset < size:
            piece = await self._in_thread(_some, file.fileno(), offset, min(size - offset, _STEP))
            await self.write(piece)
            offset += len(piece)

    async def _in_thread(self, function: Callable[[int, int, int], T], file: int, offset: int, size: int) -> T:
        # Cancelled meanwhile, the thread may read from a descriptor that is another's by then: nobody sees what it
        # reads.
        return await self._loop.run_in_executor(_threads, function, file, offset, size)

    def _write_directly(self, socket: int, data: memoryview) -> int:
        try:
            sent = os.write(socket, data)
        except BlockingIOError:
            return 0
        except OSError:
            raise self._lost() from None
        self._given += sent
        return sent

    def _send_directly(self, socket: int, source: int, offset: int, size: int) -> int:
        try:
            sent = os.sendfile(socket, source, offset, size)
        except BlockingIOError:
            return 0
        except ConnectionError:
            raise self._lost() from None
        if not sent:
            raise EOFError
        self._given += sent
        return sent

    def _give(self, data: bytes | memoryview) -> int:
        self._transport.write(data)
        self._given += len(data)
        return len(data)

    async def _ready(self) -> None:
        """Wait until nothing waits to be sent."""
        self._require_open()
        if self._paused:
            self._waiter = self._loop.create_future()
            await self._waiter
            self._require_open()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _require_open(self) -> None:
        if not self._open or self._transport.is_closing():
            raise ClientDisconnected(_GONE)

    def _lost(self) -> ClientDisconnected:
        self._transport.abort()
        return ClientDisconnected(_GONE)


_GONE: Final = "The client left before its answer was sent."


def _in_memory(file: int, offset: int, size: int) -> bool:
    """Whether both ends of a stretch of a file can be read without waiting for a disk; the kernel reads ahead what is
    between.
    """
    try:
        for position in (offset, offset + size - 1):
            os.preadv(file, [_byte], position, os.RWF_NOWAIT)
    except (BlockingIOError, NotImplementedError):
        return False
    except OSError:  # A file system that cannot say.
        return False
    return True


_byte: Final = bytearray(1)


def _load(file: int, offset: int, size: int) -> None:
    """Wait until a stretch of a file is in memory."""
    scratch = bytearray(min(size, 128 << 10))
    end = offset + size
    while offset < end:
        offset += os.preadv(file, [scratch], offset) or size


def _some(file: int, offset: int, size: int) -> bytes:
    """Bytes of a file, at least one. Raises `EOFError` at its end."""
    data = os.pread(file, size, offset)
    if not data:
        raise EOFError
    return data
