"""A web server on loopback that misbehaves on purpose; the path of a request names how.

    with Hostile() as hostile:
        url = hostile.url("short")              # declares more bytes than it sends
        url = hostile.url("redirect", to="http://10.0.0.1/")

`BEHAVIOURS` is the whole table; the docstring of each function says what it does. `CONTENT` is what an honest answer
would hold, and `hostile.visits(name)` counts the requests.
"""

from __future__ import annotations

import contextlib
import gzip
import random
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit

CONTENT: Final = random.Random(7).randbytes((2 << 20) + 12345)
"""The honest content: two blocks and a part of a third."""

BEAT: Final = 0.05
"""Seconds between two steps of a slow behaviour."""


class Hostile:
    """The server; it listens from `__enter__` to `__exit__`, which ends every connection and thread."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.host = host
        self._tls = tls
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._visits: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._listener = socket.create_server((self.host, 0))
        self.port = int(self._listener.getsockname()[1])
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for connection in self._connections:
                _shut(connection)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def url(self, behaviour: str, host: str | None = None, **arguments: str) -> str:
        """The URL that meets `behaviour`. `arguments` go into the query; `host` is another name for the server."""
        assert behaviour in BEHAVIOURS, behaviour
        scheme = "http" if self._tls is None else "https"
        query = f"?{urlencode(arguments)}" if arguments else ""
        return f"{scheme}://{host or self.host}:{self.port}/{behaviour}{query}"

    def visits(self, behaviour: str) -> int:
        """How many requests met `behaviour`."""
        return self._visits[behaviour]

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="hostile", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.append(connection)
                self._spawn(self._serve, connection)

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        with contextlib.suppress(OSError, ValueError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._connections.append(connection)
            visit = self._read_request(connection)
            if visit is not None:
                BEHAVIOURS[visit.behaviour](visit)
        _shut(connection)
        connection.close()

    def _read_request(self, connection: socket.socket) -> Visit | None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(65536)
            if not data:
                return None
            head += data
        first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        parts = urlsplit(first.split(" ")[1])
        behaviour = parts.path.strip("/")
        with self._lock:
            self._visits[behaviour] += 1
            number = self._visits[behaviour]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        arguments = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return Visit(connection, behaviour, number, headers, arguments, self.port, self._stop)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, and the connection to misbehave on. `number` counts this behaviour's requests from 1."""

    connection: socket.socket
    behaviour: str
    number: int
    headers: dict[str, str]
    arguments: dict[str, str]
    port: int
    stop: threading.Event

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def head(self, status: str, *headers: str) -> None:
        """Status line and headers, ended."""
        self.send("\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1"))

    def answer(self, data: bytes, *headers: str, status: str = "200 OK") -> None:
        """A whole answer with its true length."""
        self.head(status, f"Content-Length: {len(data)}", *headers)
        self.send(data)

    def beats(self) -> Iterator[None]:
        """For ever, slowly, until the server stops or the client goes."""
        while not self.stop.wait(BEAT):
            yield

    def hold(self) -> None:
        """Keep the connection and say nothing."""
        self.stop.wait(30)


def honest(visit: Visit) -> None:
    """Serve the content, with a media type and an ETag."""
    visit.answer(CONTENT, "Content-Type: image/qcow2; x=y", 'ETag: "v1"')


def short(visit: Visit) -> None:
    """Declare the content's length and end ten bytes early."""
    visit.head("200 OK", f"Content-Length: {len(CONTENT)}")
    visit.send(CONTENT[:-10])


def long(visit: Visit) -> None:
    """Send ten bytes more than declared."""
    visit.head("200 OK", f"Content-Length: {len(CONTENT)}")
    visit.send(CONTENT + b"0123456789")


def long_tiny(visit: Visit) -> None:
    """Send more than declared in one packet with the headers."""
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")


def reset(visit: Visit) -> None:
    """Break the connection (RST) in the middle of the body."""
    visit.head("200 OK", f"Content-Length: {len(CONTENT)}")
    visit.send(CONTENT[: len(CONTENT) // 2])
    visit.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visit.connection.close()


def changing(visit: Visit) -> None:
    """Serve the content once, and from then on one byte of it changed, under the same length and ETag."""
    data = CONTENT if visit.number == 1 else b"\x00" + CONTENT[1:-1] + bytes([CONTENT[-1] ^ 1])
    visit.answer(data, 'ETag: "same"')


def gzipped(visit: Visit) -> None:
    """Answer with a content encoding that nobody asked for."""
    visit.answer(gzip.compress(CONTENT[:1000]), "Content-Encoding: gzip")


def redirect(visit: Visit) -> None:
    """Redirect to the argument `to`, with the status of the argument `status` (302)."""
    visit.head(
        f"{visit.arguments.get('status', '302')} Found", f"Location: {visit.arguments['to']}", "Content-Length: 0"
    )


def endless_redirect(visit: Visit) -> None:
    """Redirect to the argument `to` with a body that never ends."""
    visit.head("302 Found", f"Location: {visit.arguments['to']}", "Transfer-Encoding: chunked")
    while not visit.stop.is_set():
        visit.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def loop(visit: Visit) -> None:
    """Redirect to itself."""
    visit.head("302 Found", "Location: /loop", "Content-Length: 0")


def lost(visit: Visit) -> None:
    """Redirect to nowhere: no Location."""
    visit.head("302 Found", "Content-Length: 0")


def drip_headers(visit: Visit) -> None:
    """Send one header after the other, slowly, for ever."""
    visit.send(b"HTTP/1.1 200 OK\r\n")
    for _ in visit.beats():
        visit.send(b"X: 1\r\n")


def drip_body(visit: Visit) -> None:
    """Send the body one byte at a time, slowly."""
    visit.head("200 OK", f"Content-Length: {len(CONTENT)}")
    for _ in visit.beats():
        visit.send(b"x")


def stall(visit: Visit) -> None:
    """Send half of the body, and then nothing."""
    visit.head("200 OK", f"Content-Length: {len(CONTENT)}")
    visit.send(CONTENT[: len(CONTENT) // 2])
    visit.hold()


def endless(visit: Visit) -> None:
    """Send a chunked body as fast as it goes, for ever."""
    visit.head("200 OK", "Transfer-Encoding: chunked")
    while not visit.stop.is_set():
        visit.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def interim(visit: Visit) -> None:
    """Send interim responses for ever, as fast as they go."""
    while not visit.stop.is_set():
        visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)


def interim_drip(visit: Visit) -> None:
    """Send interim responses for ever, slowly."""
    for _ in visit.beats():
        visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def interim_once(visit: Visit) -> None:
    """Send two interim responses and then an honest answer."""
    visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
    visit.answer(CONTENT)


def huge_header(visit: Visit) -> None:
    """Send one header that never ends."""
    visit.send(b"HTTP/1.1 200 OK\r\nX: ")
    while not visit.stop.is_set():
        visit.send(b"x" * 65536)


def many_headers(visit: Visit) -> None:
    """Send a thousand small headers and an honest body."""
    visit.answer(CONTENT, *(f"X-{number}: 1" for number in range(1000)))


def partial(visit: Visit) -> None:
    """Answer 206 to everything, with a part of the content."""
    visit.answer(CONTENT[:100], f"Content-Range: bytes 0-99/{len(CONTENT)}", status="206 Partial Content")


def lying_range(visit: Visit) -> None:
    """Answer a range with another one, and say so."""
    visit.answer(CONTENT[100:200], f"Content-Range: bytes 100-199/{len(CONTENT)}", status="206 Partial Content")


def no_range(visit: Visit) -> None:
    """Answer 206 without saying which range it is."""
    visit.answer(CONTENT[:100], status="206 Partial Content")


def both_framings(visit: Visit) -> None:
    """Declare a length and a chunked body at once."""
    visit.head("200 OK", "Content-Length: 3", "Transfer-Encoding: chunked")
    visit.send(b"3\r\nabc\r\n0\r\n\r\n")


def two_lengths(visit: Visit) -> None:
    """Declare two lengths."""
    visit.head("200 OK", "Content-Length: 3", "Content-Length: 4")
    visit.send(b"abcd")


def no_length(visit: Visit) -> None:
    """Let the end of the connection be the end of the body."""
    visit.head("200 OK")
    visit.send(CONTENT)


def chunked(visit: Visit) -> None:
    """Serve the content honestly, in chunks."""
    visit.head("200 OK", "Transfer-Encoding: chunked")
    for at in range(0, len(CONTENT), 50_000):
        part = CONTENT[at : at + 50_000]
        visit.send(b"%x\r\n%b\r\n" % (len(part), part))
    visit.send(b"0\r\n\r\n")


def chunked_cut(visit: Visit) -> None:
    """End a chunked body without its last chunk."""
    visit.head("200 OK", "Transfer-Encoding: chunked")
    visit.send(b"5\r\nabcde\r\n")


def chunked_broken(visit: Visit) -> None:
    """Send a chunk whose length is not a number."""
    visit.head("200 OK", "Transfer-Encoding: chunked")
    visit.send(b"zz\r\nabcde\r\n0\r\n\r\n")


def crumbs(visit: Visit) -> None:
    """Serve the content in chunks of one byte."""
    visit.head("200 OK", "Transfer-Encoding: chunked")
    for at in range(0, len(CONTENT), 1000):
        visit.send(b"".join(b"1\r\n%c\r\n" % byte for byte in CONTENT[at : at + 1000]))
    visit.send(b"0\r\n\r\n")


def not_http(visit: Visit) -> None:
    """Answer in another protocol."""
    visit.send(b"220 mail.example ESMTP\r\n\r\n")


def switch(visit: Visit) -> None:
    """Switch protocols, unasked."""
    visit.head("101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")


def silent(visit: Visit) -> None:
    """Take the request and never answer."""
    visit.hold()


def hang_up(visit: Visit) -> None:
    """Take the request and close."""


def missing(visit: Visit) -> None:
    """Answer 404."""
    visit.answer(b"gone", status="404 Not Found")


def choices(visit: Visit) -> None:
    """Answer 300 with a Location."""
    visit.answer(b"", "Location: /honest", status="300 Multiple Choices")


def not_modified(visit: Visit) -> None:
    """Answer 304 to everything."""
    visit.head("304 Not Modified", 'ETag: "v1"')


def odd_headers(visit: Visit) -> None:
    """Serve the content with a media type, an ETag and a date that are none."""
    visit.answer(CONTENT, f"Content-Type: {'a' * 300}/html", 'ETag: "a" "b"', "Last-Modified: yesterday")


def two_faced(visit: Visit) -> None:
    """Serve the content to plain requests, and other bytes of the right length to ranges."""
    asked = visit.headers.get("range", "").removeprefix("bytes=")
    if not asked:
        visit.answer(CONTENT)
        return
    first, last = (int(part) for part in asked.split("-"))
    length = min(last, len(CONTENT) - 1) - first + 1
    visit.answer(
        b"x" * length, f"Content-Range: bytes {first}-{first + length - 1}/{len(CONTENT)}", status="206 Partial Content"
    )


BEHAVIOURS: Final[dict[str, Callable[[Visit], None]]] = {
    behaviour.__name__: behaviour
    for behaviour in (
        *(honest, short, long, long_tiny, reset, changing, gzipped, redirect, endless_redirect, loop, lost),
        *(drip_headers, drip_body, stall, endless, interim, interim_drip, interim_once, huge_header, many_headers),
        *(partial, lying_range, no_range, both_framings, two_lengths, no_length, chunked, chunked_cut, chunked_broken),
        *(crumbs, not_http, switch, silent, hang_up, missing, choices, not_modified, odd_headers, two_faced),
    )
}


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
