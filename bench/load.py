"""The load: closed loops over raw sockets, in one thread, with as little Python for each answer as can be."""

from __future__ import annotations

import json
import re
import selectors
import socket
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PIECE = 1 << 20

Operation = Generator[bytes, bytes, None]
"""What one client does once: yields requests, and is sent the bodies of their answers."""


class LoadError(Exception):
    """A server that answers something else than it should: the figures would mean nothing."""


def request(method: str, path: str, token: str, body: bytes = b"", content_type: str = "") -> bytes:
    """A request as bytes."""
    described = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n" if content_type else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Auth-Token: {token}\r\n{described}\r\n".encode() + body


@dataclass(slots=True)
class Load:
    """What came of a load: latencies in seconds, in order of completion, and how long it lasted."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Operations a second."""
        return len(self.latencies) / self.seconds

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)] * 1000


@dataclass(slots=True)
class _Client:
    sock: socket.socket
    operation: Operation
    began: float
    received: bytearray = field(default_factory=bytearray)
    expected: int = 0


def drive(port: int, start: Callable[[], Operation], *, connections: int, until: Callable[[], bool]) -> Load:
    """Let `connections` clients repeat an operation, each as soon as its last one has ended, `until` says so."""
    load = Load()
    selector = selectors.DefaultSelector()
    began = time.perf_counter()
    clients = []
    try:
        for _ in range(connections):
            client = _Client(socket.create_connection(("127.0.0.1", port)), start(), time.perf_counter())
            clients.append(client)
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(client.sock, selectors.EVENT_READ, client)
            client.sock.sendall(next(client.operation))
        while not until():
            for key, _ in selector.select(1):
                _proceed(key.data, start, load)
        load.seconds = time.perf_counter() - began
    finally:
        selector.close()
        for client in clients:
            client.sock.close()
    return load


def during(seconds: float) -> Callable[[], bool]:
    """For `drive`: until so much time has passed."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


def _proceed(client: _Client, start: Callable[[], Operation], load: Load) -> None:
    received = client.received
    data = client.sock.recv(262144)
    if not data:
        raise LoadError("the server closed the connection")
    received += data
    if not client.expected:
        head = received.find(b"\r\n\r\n")
        if head < 0:
            return
        client.expected = head + 4 + _body_length(bytes(received[:head]))
    if len(received) < client.expected:
        return
    body = bytes(received[received.find(b"\r\n\r\n") + 4 :])
    received.clear()
    client.expected = 0
    try:
        following = client.operation.send(body)
    except StopIteration:
        now = time.perf_counter()
        load.latencies.append(now - client.began)
        client.operation, client.began = start(), now
        following = next(client.operation)
    client.sock.sendall(following)


def _body_length(head: bytes) -> int:
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201", b"HTTP/1.1 206")):
        raise LoadError(head.decode("latin-1"))
    found = _LENGTH.search(head)
    if found is None:
        raise LoadError(f"no length in {head!r}")
    return int(found[1])


def call(port: int, asked: bytes) -> bytes:
    """One request and the body of its answer."""
    bodies: list[bytes] = []

    def once() -> Operation:
        bodies.append((yield asked))

    drive(port, once, connections=1, until=lambda: bool(bodies))
    return bodies[0]


def create(port: int, token: str, name: str, **fields: object) -> str:
    """Make an image; its path."""
    body = json.dumps({"name": name, **fields}).encode()
    made = json.loads(call(port, request("POST", "/artifacts/images", token, body, "application/json")))
    return f"/artifacts/images/{made['id']}"


def send_file(port: int, path: str, token: str, file: Path) -> float:
    """Upload a file by sendfile; seconds until the answer."""
    head = request("PUT", path, token).removesuffix(b"\r\n")
    head += b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % file.stat().st_size
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as sock, file.open("rb") as data:
        sock.sendall(head)
        sock.sendfile(data)
        _skip_answer(sock)
    return time.perf_counter() - began


def fetch(port: int, path: str, token: str) -> float:
    """Download something and drop it; seconds until its last byte."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(request("GET", path, token))
        _skip_answer(sock)
    return time.perf_counter() - began


def _skip_answer(sock: socket.socket) -> int:
    received = b""
    while b"\r\n\r\n" not in received:
        if not (data := sock.recv(65536)):
            raise LoadError(f"the server closed the connection after {received!r}")
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    length = _body_length(head)
    left = length - len(rest)
    buffer = bytearray(_PIECE)
    while left:
        got = sock.recv_into(buffer)
        if not got:
            raise LoadError(f"the answer ended {left} bytes early")
        left -= got
    return length
