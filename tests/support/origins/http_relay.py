"""An HTTP relay in front of a server of this machine, which sees each request and spoils those that a test names."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came. `head` ends with an empty line."""

    method: str
    path: str
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header."""
        found = re.search(rf"(?im)^{re.escape(name)}: *(.*?)\r?$", self.head.decode("latin1"))
        return None if found is None else found[1]


Change = Callable[[bytes, bytes], tuple[bytes, bytes]]
"""Makes another head and another body out of those that came."""


def _as_it_is(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    return head, body


@dataclass(frozen=True, slots=True)
class Spoiled:
    """What becomes of one request.

    `before` is changed on its way to the server and `after` on its way back. `status` answers it without asking the
    server, or, if `lost`, after the server has done it. `cut` breaks the connection after so many bytes of the answer's
    body, `drip` has so many seconds between two bytes of it. Everything waits for `delay` seconds first.
    """

    before: Change = _as_it_is
    after: Change = _as_it_is
    status: int | None = None
    lost: bool = False
    cut: int | None = None
    delay: float = 0.0
    drip: float = 0.0


@dataclass(eq=False)
class HttpRelay:
    """Passes requests on to the port `target` of 127.0.0.1. `spoil` says what becomes of a request, None for nothing;
    it may be exchanged at any time. With `tls` clients come over TLS.
    """

    target: int
    spoil: Callable[[Request], Spoiled | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.endpoint = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def seen(self) -> list[str]:
        """Methods and paths without queries, of what came since the last call."""
        requests, self.requests[:] = list(self.requests), []
        return [f"{request.method} {request.path.partition('?')[0]}" for request in requests]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, _Closed), client:
            self._sockets.append(client)
            if self.tls is not None:
                client = self.tls.wrap_socket(client, server_side=True)
            self._exchange(client)

    def _exchange(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.target)) as up:
            self._sockets.append(up)
            come, back = _Stream(client), _Stream(up)
            while True:
                head = come.until_empty_line()
                method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                request = Request(method, path, head, come.exactly(_length(head)))
                self.requests.append(request)
                spoiled = self.spoil(request) or Spoiled()
                if not self._pass_on(request, spoiled, client, up, back):
                    return

    def _pass_on(
        self, request: Request, spoiled: Spoiled, client: socket.socket, up: socket.socket, back: _Stream
    ) -> bool:
        """Whether the connection goes on."""
        time.sleep(spoiled.delay)
        if spoiled.status is None or spoiled.lost:
            up.sendall(b"".join(spoiled.before(request.head, request.body)))
            head = back.until_empty_line()
            if request.method == "HEAD":
                body = b""
            else:
                head, body = back.body(head)
        if spoiled.status is not None:
            client.sendall(b"HTTP/1.1 %d Spoiled\r\nContent-Length: 0\r\n\r\n" % spoiled.status)
            return True
        head, body = spoiled.after(head, body)
        if spoiled.drip:
            client.sendall(head)
            for byte in body:
                client.sendall(bytes([byte]))
                time.sleep(spoiled.drip)
            return True
        if spoiled.cut is not None:
            client.sendall(head + body[: spoiled.cut])
            client.shutdown(socket.SHUT_RDWR)
            return False
        client.sendall(head + body)
        return True


class _Closed(Exception):
    pass


class _Stream:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = bytearray()

    def until_empty_line(self) -> bytes:
        while (end := self._rest.find(b"\r\n\r\n")) < 0:
            self._more()
        return self._take(end + 4)

    def exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._more()
        return self._take(size)

    def body(self, head: bytes) -> tuple[bytes, bytes]:
        """The head of an answer and its body; one in chunks is put together, and has a length in its head."""
        chunked = re.search(rb"(?im)^transfer-encoding: *chunked\r\n", head)
        if chunked is None:
            return head, self.exactly(_length(head))
        body, size = bytearray(), -1
        while size:
            while (end := self._rest.find(b"\r\n")) < 0:
                self._more()
            size = int(self._take(end + 2), 16)
            body += self.exactly(size + 2)[:size]
        return head.replace(chunked[0], b"Content-Length: %d\r\n" % len(body)), bytes(body)

    def _take(self, size: int) -> bytes:
        data = bytes(self._rest[:size])
        del self._rest[:size]
        return data

    def _more(self) -> None:
        data = self._connection.recv(1 << 20)
        if not data:
            raise _Closed
        self._rest += data


def _length(head: bytes) -> int:
    found = re.search(rb"(?im)^content-length: *(\d+)", head)
    return 0 if found is None else int(found[1])


def flipped(at: int) -> Change:
    """Flips a bit of the body's byte at `at`, where there is one."""

    def change(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        if at < len(body):
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        return head, body

    return change
