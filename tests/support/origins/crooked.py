"""An origin on loopback whose behaviour a test changes at any time: honest while it is measured, say, and then not.

with Crooked(honest(data)) as crooked:
    glare.alice.locate(artifact, "image", crooked.url)
    crooked.behave = honest(other)
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

Asked = tuple[int, int]


class Visit(BaseHTTPRequestHandler):
    """One request, to be answered in any way."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        crooked = self.server.crooked
        crooked.visits += 1
        self.close_connection = True
        with contextlib.suppress(OSError):
            crooked.behave(self)

    def asked(self, size: int) -> Asked | None:
        """The range that was asked for: first and last byte."""
        text = self.headers.get("Range")
        if text is None:
            return None
        first, last = text.removeprefix("bytes=").split("-")
        return int(first), min(int(last), size - 1)

    def head(self, status: int, **headers: object) -> None:
        """Send a status line and these headers; ``_`` in names stands for ``-``."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, data: bytes) -> None:
        self.wfile.write(data)

    def reset(self) -> None:
        """Break the connection off."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Say nothing more until the server ends."""
        self.server.crooked.stop.wait(30)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's.
        """Nobody reads it."""


Behaviour = Callable[[Visit], None]


class Crooked:
    """The server. `visits` counts requests; `stop` is set when it ends."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.visits = 0
        self.stop = threading.Event()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), Visit)
        self._server.crooked = self
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="crooked", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/file"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    crooked: Crooked

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what many tests do."""


def honest(data: bytes) -> Behaviour:
    """Serve `data`, whole or a range of it."""

    def behave(visit: Visit) -> None:
        asked = visit.asked(len(data))
        if asked is None:
            visit.head(200, Content_Length=len(data))
            visit.send(data)
            return
        first, last = asked
        visit.head(206, Content_Length=last - first + 1, Content_Range=f"bytes {first}-{last}/{len(data)}")
        visit.send(data[first : last + 1])

    return behave
