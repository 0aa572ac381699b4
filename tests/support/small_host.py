"""The server around an application of a test's own, on the event loop of a thread."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import trustme

from glare.metrics import Metrics
from glare.server.host import listening
from glare.server.limits import Limits
from glare.server.tally import Tally

Application = Callable[[Any, Any, Any], Awaitable[None]]

PATIENCE = 30.0


class Counts(Metrics):
    """What the server has reported."""

    def __init__(self) -> None:
        self.open = 0
        self.turned_away: Counter[str] = Counter()
        self.cut_off: Counter[str] = Counter()

    def client_connected(self) -> None:
        self.open += 1

    def client_gone(self) -> None:
        self.open -= 1

    def client_refused(self, reason: str, count: int) -> None:
        self.turned_away[reason] += count

    def client_cut_off(self, reason: str) -> None:
        self.cut_off[reason] += 1


class SmallHost:
    """Where it listens, and what it has counted."""

    def __init__(self, port: int, counts: Counts, loop: asyncio.AbstractEventLoop) -> None:
        self.port = port
        self.counts = counts
        self._loop = loop

    def call(self, function: Callable[[], object]) -> None:
        """Have the event loop of the server call it."""
        self._loop.call_soon_threadsafe(function)

    def connect(self, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> socket.socket:
        """A connection from `address`, with a small window: what is not read stays with the server."""
        client = socket.socket()
        client.settimeout(PATIENCE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        # That of a network, for what a window opens by depends on it, and loopback has one of 64 KiB.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
        client.bind((address, 0))
        client.connect(("127.0.0.1", self.port))
        return client if tls is None else tls.wrap_socket(client, server_hostname="127.0.0.1")


@contextmanager
def small_host(
    application: Application, limits: Limits | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[SmallHost]:
    """Serve `application` for the duration of the block. At its end, no connection may be counted as open."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    loop = asyncio.new_event_loop()
    host = SmallHost(listener.getsockname()[1], Counts(), loop)
    stop = asyncio.Event()

    async def serve() -> None:
        async with listening(application, limits or Limits(), Tally(host.counts), (listener,), tls):
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield host
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        loop.close()
    assert host.counts.open == 0


def code(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def everything(client: socket.socket) -> bytes:
    """What comes until the server closes; what a reset destroys is missing."""
    data = b""
    with suppress(ConnectionResetError):
        while piece := client.recv(65536):
            data += piece
    return data


class Rounds:
    """Counts the rounds of the event loop on which something of the server is called."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._count = 0
        self._goes = False

    @property
    def now(self) -> int:
        """The round that this is; called on the loop."""
        self._loop = asyncio.get_running_loop()
        return self._count

    @property
    def asked(self) -> bool:
        """Whether something was called already."""
        return self._loop is not None

    def start(self) -> None:
        """Begin to count, on the loop that has asked before."""
        assert self._loop is not None
        self._goes = True
        self._loop.call_soon_threadsafe(self._tick)

    def stop(self) -> None:
        self._goes = False

    def _tick(self) -> None:
        self._count += 1
        if self._goes and self._loop is not None:
            self._loop.call_soon(self._tick)


def get(path: str = "/", headers: str = "", method: str = "GET", version: str = "1.1") -> bytes:
    """The head of a request."""
    return f"{method} {path} HTTP/{version}\r\nHost: x\r\n{headers}\r\n".encode()


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server and its client need for TLS."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client
