"""Addresses that take a connection attempt and never answer it, without a network that drops packets."""

from __future__ import annotations

import contextlib
import socket
from types import TracebackType
from typing import Self


class BlackHole:
    """Makes sockets that stay as they are while a connection is made: nothing can be written, and nothing fails."""

    def __init__(self) -> None:
        self._others: list[socket.socket] = []

    def connect(self) -> socket.socket:
        """One more attempt that is never answered."""
        attempt, other = socket.socketpair()
        attempt.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                attempt.send(bytes(65536))
        self._others.append(other)
        return attempt

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for other in self._others:
            other.close()
