"""A connection that was accepted and has not begun yet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from glare.server.places import Place

_RECORD: Final = 5
"""Bytes of the head of a record of TLS: a type, two of a version, two of a length."""

_HANDSHAKE: Final = 22
_LONGEST: Final = (16 << 10) + 256


class Arrival:
    """A socket and its place: a few hundred bytes, however long it waits. Whoever takes it in gives it its place."""

    __slots__ = ("_drop", "_loop", "_timer", "_waits", "place", "seconds", "sock", "turn")

    place: Place

    def __init__(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, drop: Callable[[Arrival, str], None]
    ) -> None:
        self.sock = sock
        self.seconds = 0.0
        self.turn = 0  # Its number in a line, if it stands in one.
        self._loop = loop
        self._drop = drop
        self._timer: asyncio.TimerHandle | None = None
        self._waits = False

    def owed(self) -> bool:
        """Nothing was answered yet."""
        return False

    def make_room(self) -> None:
        """End at once, because somebody else needs the place."""
        self._drop(self, "replaced")

    def await_hello(self, seconds: float, came: Callable[[Arrival], None]) -> None:
        """Call `came` once the client's first message is here whole, or cannot be one: until then there is nothing to
        do for it. Where it has not come after so many seconds, the connection is dropped. What is left of them is in
        `seconds` then.
        """
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _RECORD)
        self._timer = self._loop.call_later(seconds, self._drop, self, "head")
        self._loop.add_reader(self.sock, self._look, came)

    def end(self) -> None:
        """Wait no more. Idempotent; the socket is left as it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._loop.remove_reader(self.sock)

    def _look(self, came: Callable[[Arrival], None]) -> None:
        try:
            head = self.sock.recv(_RECORD, socket.MSG_PEEK)
            if not self._waits and len(head) == _RECORD and head[0] == _HANDSHAKE:
                whole = min(_RECORD + int.from_bytes(head[3:]), _LONGEST)
                if len(self.sock.recv(whole, socket.MSG_PEEK)) < whole:
                    # Woken again, by the rest of it, its end, or a system that wakes for less, it is looked at by TLS.
                    self._waits = True
                    self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, whole)
                    return
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        except BlockingIOError:
            return
        except OSError:  # The client has left.
            self._drop(self, "left")
            return
        if self._timer is not None:
            self.seconds = self._timer.when() - self._loop.time()
        self.end()
        came(self)
