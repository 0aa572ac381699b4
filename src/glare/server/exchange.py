"""One request and its answer, as the application sees them: the two functions of ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from glare.errors import ClientDisconnected
from glare.parts import Parts
from glare.server import answers
from glare.server.outlet import Outlet

Message = MutableMapping[str, Any]

Ready = tuple[int, Sequence[tuple[bytes, bytes]], bytes]
"""An answer: its status, its headers with its length, and its body."""

_AHEAD: Final = 256 << 10
"""Bytes of a body that are read before the application wants them, once it has begun to."""

_JOINED: Final = 64 << 10
"""Bytes of a body up to which it is sent in one piece with its head."""


class Line(Protocol):
    """What an exchange needs of its connection."""

    @property
    def outlet(self) -> Outlet: ...

    def steer(self) -> None:
        """Read on, or do not, as the exchange wants it."""

    def say(self, data: bytes) -> None:
        """Send a few bytes beside the answer."""


class Exchange:
    """A request under way. `ends_connection` says whether its answer is the last one.

    Its scope has an extension of this server, ``glare.client``: ``left`` is an event that is set when the client has
    left. To wait for it reads nothing of the body, and asks nobody who expects ``100 Continue`` to send one.
    """

    def __init__(
        self, line: Line, scope: dict[str, Any], *, has_body: bool, expects_continue: bool, last: bool
    ) -> None:
        self.scope = scope
        self.ends_connection = last
        self.body_ended = not has_body
        self.answered = False
        self.begun = False
        self._line = line
        self._expects_continue = expects_continue and scope["http_version"] != "1.0"  # RFC 9110, 10.1.1
        self._wanted = False
        self._parts = Parts()
        self._handed_over = False
        self._left = asyncio.Event()
        scope["extensions"]["glare.client"] = {"left": self._left}
        self._waiter: asyncio.Future[None] | None = None
        self._status = 0  # None yet.
        self._headers: list[tuple[bytes, bytes]] = []
        self._length: int | None = None
        self._chunked = False
        self._sent = 0

    @property
    def wants_body(self) -> bool:
        """Whether more of the body is to be read. What the application has not asked for stays with the kernel."""
        return not self.body_ended and self._wanted and len(self._parts) < _AHEAD

    @property
    def path(self) -> bytes:
        """The path as it was sent."""
        path: bytes = self.scope["raw_path"]
        return path

    @property
    def client_has_left(self) -> bool:
        return self._left.is_set()

    def body_came(self, data: bytes) -> None:
        """A piece of the request's body."""
        if not self.answered:
            self._parts.add(data)
            self._wake()

    def body_is_whole(self) -> None:
        """There is no more of it."""
        self.body_ended = True
        self._wake()

    def client_left(self) -> None:
        """The connection is over."""
        self._left.set()
        self._parts.clear()
        self._wake()

    async def receive(self) -> Message:
        """ASGI: the next message to the application."""
        self._wanted = True
        while not (self.client_has_left or self.answered):
            if self._parts or (self.body_ended and not self._handed_over):
                return self._take()
            if self._expects_continue and not self.body_ended and not self.begun:
                self._expects_continue = False
                self._line.say(answers.CONTINUE)
            self._line.steer()
            if self._waiter is None or self._waiter.done():
                self._waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiter)
        return {"type": "http.disconnect"}

    def answer(self, ready: Ready) -> bytes:
        """Be answered with what is there already; returns the bytes to send."""
        self._status, headers, body = ready
        self._headers = list(headers)
        first = self._begin()
        self.begun = self.answered = True
        return first + body if self._has_body else first

    async def send(self, message: Message) -> None:
        """ASGI: a message from the application. Raises `ClientDisconnected` when nobody is left to get it."""
        kind = message["type"]
        if self.client_has_left:
            raise ClientDisconnected("The client left before its answer was sent.")
        if kind == "http.response.start" and not self._status:
            self._status = message["status"]
            self._headers = list(message.get("headers", ()))
        elif not self._status or self.answered:
            raise RuntimeError(f"The application sent {kind!r}, which cannot come now.")
        elif kind == "http.response.body":
            await self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.pathsend":
            await self._send_file(Path(message["path"]))
        else:
            raise RuntimeError(f"The application sent {kind!r}, which this server does not know.")

    def _take(self) -> Message:
        body = self._parts.take()
        self._handed_over = self.body_ended
        return {"type": "http.request", "body": body, "more_body": not self.body_ended}

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        first = b"" if self.begun else self._begin()
        self._sent += len(body)
        if not self._has_body:
            body = b""
        elif self._length is not None and (self._sent > self._length or (self._sent < self._length and not more)):
            raise RuntimeError(f"The application sent {self._sent} bytes of a body, and announced {self._length}.")
        self.begun = True
        if self._chunked and self._has_body:
            await self._send_chunk(first, body, last=not more)
        else:
            await self._send_joined(first, body)
        if not more:
            self._end()

    async def _send_chunk(self, first: bytes, body: bytes, *, last: bool) -> None:
        end = b"0\r\n\r\n" if last else b""
        if not body:
            await self._send_joined(first, end)
            return
        await self._send_joined(b"%b%x\r\n" % (first, len(body)), body)
        await self._line.outlet.write(b"\r\n" + end)

    async def _send_joined(self, first: bytes, body: bytes) -> None:
        outlet = self._line.outlet
        if first and len(body) <= _JOINED:
            await outlet.write(first + body)
            return
        if first:
            await outlet.write(first)
        if body:
            await outlet.write(body)

    async def _send_file(self, path: Path) -> None:
        if self.begun:
            raise RuntimeError("The application sent a file after the beginning of another body.")
        first = self._begin()
        if self._length is None:
            raise RuntimeError("The application sent a file without its length.")
        self.begun = True
        await self._line.outlet.write(first)
        if self._has_body:
            await self._line.outlet.send_file(path, self._length)
        self._end()

    @property
    def _has_body(self) -> bool:
        return not (self.scope["method"] == "HEAD" or self._status in (204, 304))

    def _begin(self) -> bytes:
        """The head of the answer."""
        for name, value in self._headers:
            key = name.lower()
            if key == b"content-length":
                self._length = int(value)
            elif key == b"connection" and b"close" in value.lower():
                self.ends_connection = True
        more = []
        if self._length is None and self._has_body:
            if self.scope["http_version"] == "1.1":
                self._chunked = True
                more.append(b"transfer-encoding: chunked\r\n")
            else:
                self.ends_connection = True
        if self._expects_continue and not self.body_ended:
            # Whether its body comes after all, or the next request, cannot be told.
            self.ends_connection = True
        if self.ends_connection:
            self._headers = [header for header in self._headers if header[0].lower() != b"connection"]
            more.append(b"connection: close\r\n")
        elif self.scope["http_version"] == "1.0":
            more.append(b"connection: keep-alive\r\n")
        return answers.head(self._status, self._headers, more)

    def _end(self) -> None:
        self.answered = True
        self._parts.clear()
        self._wake()
        self._line.steer()  # What still comes of the request is read away, while the application goes on.

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
