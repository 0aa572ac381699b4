"""A real, well-behaved web server on loopback whose files a test sets, changes and counts requests for.

with Origin() as origin:
    origin.put("/image.raw", b"...")
    client.get(origin.url("/image.raw"))
    assert origin.count("/image.raw") == 1
"""

from __future__ import annotations

import hashlib
import io
import re
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)\Z")


@dataclass(frozen=True, slots=True)
class Served:
    """One file: `content` in memory or on disk, read again at each request."""

    content: bytes | Path
    content_type: str
    etag: str | None
    last_modified: str
    headers: Mapping[str, str]
    status: int = 200
    ranges: bool = True

    def open(self) -> tuple[int, BinaryIO]:
        """Size in bytes, and the stream."""
        if isinstance(self.content, Path):
            return self.content.stat().st_size, self.content.open("rb")
        return len(self.content), io.BytesIO(self.content)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came: method, target, and headers with lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass
class Origin:
    """The server. It listens from `__enter__` to `__exit__`, with TLS where a context is given.

    Knows GET and HEAD, one range a request (206, 416), ``If-None-Match`` (304) and missing files (404). `seen` holds
    every request in order.
    """

    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    seen: list[Seen] = field(default_factory=list)
    _files: dict[str, Served] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._server = _Server((self.host, 0), _Handler)
        self._server.origin = self
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="origin", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, target: str, host: str | None = None) -> str:
        """The URL of `target` (which begins with a slash), under this server's address or another name for it."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{host or self.host}:{self.port}{target}"

    def put(
        self,
        target: str,
        content: bytes | Path,
        *,
        content_type: str = "application/octet-stream",
        etag: str | None = "",
        headers: Mapping[str, str] | None = None,
        ranges: bool = True,
    ) -> None:
        """Serve `content` there from now on, whole for every range where it is told to know no `ranges`. The ETag is
        the content's sha256 unless given; None sends none.
        """
        if etag == "":
            data = content.read_bytes() if isinstance(content, Path) else content
            etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        self._files[target] = Served(content, content_type, etag, formatdate(usegmt=True), headers or {}, ranges=ranges)

    def refuse(self, target: str, status: int, headers: Mapping[str, str]) -> None:
        """Answer `status` there, until something is put there."""
        self._files[target] = Served(b"", "text/plain", None, "", headers, status)

    def remove(self, target: str) -> None:
        """Answer 404 there from now on."""
        del self._files[target]

    def get(self, target: str) -> Served | None:
        return self._files.get(target)

    def count(self, target: str) -> int:
        """How many requests came for it."""
        return sum(seen.target == target for seen in self.seen)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    origin: Origin

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what many tests do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.origin.seen.append(Seen(self.command, self.path, headers))
        served = self.server.origin.get(self.path)
        if served is None:
            self._begin(404, {"Content-Length": "0"})
            return
        if served.status != 200:
            self._begin(served.status, {"Content-Length": "0", **served.headers})
            return
        size, stream = served.open()
        with stream:
            self._serve(served, headers, size, stream)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _serve(self, served: Served, headers: Mapping[str, str], size: int, stream: BinaryIO) -> None:
        common = {"Content-Type": served.content_type, "Last-Modified": served.last_modified, "Accept-Ranges": "bytes"}
        common |= {"ETag": served.etag} if served.etag is not None else {}
        common |= served.headers
        if served.etag is not None and headers.get("if-none-match") == served.etag:
            self._begin(304, common)
            return
        asked = _RANGE.match(headers.get("range", ""))
        if asked is None or not served.ranges:
            self._begin(200, common | {"Content-Length": str(size)})
            self._send(stream, size)
            return
        first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
        if first > last:
            self._begin(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        length = last - first + 1
        self._begin(206, common | {"Content-Range": f"bytes {first}-{last}/{size}", "Content-Length": str(length)})
        stream.seek(first)
        self._send(stream, length)

    def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, stream: BinaryIO, size: int) -> None:
        if self.command == "HEAD":
            return
        while size:
            data = stream.read(min(size, 1 << 20))
            if not data:
                return  # The file became shorter while it was served.
            self.wfile.write(data)
            size -= len(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's.
        """Tests read `Origin.seen`."""
