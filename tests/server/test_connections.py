"""Connections beyond their bounds, unfinished heads, idle ones, and readers that take nothing or too little."""

from __future__ import annotations

import json
import socket
import time
import tracemalloc
from contextlib import ExitStack, suppress
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from glare.server import connection
from glare.server.limits import LANE, Limits
from glare.server.turns import Turns
from support.conversation import eventually
from support.small_host import SmallHost, code, contexts, everything, get, small_host

pytestmark = pytest.mark.sqlite  # The server knows of no database.

HANDSHAKES = 40
MOST_OF_A_HANDSHAKE = 64 << 10
UNREAD = 4 << 20
"""Bytes that no kernel takes for a reader with a small window."""


class Site:
    """Answers small things at once; `/big` as one piece, `/pieces` in many, `/file` as a file; `/wait` not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path / "file"
        self._path.write_bytes(bytes(UNREAD))
        self.begun = 0
        self.ended = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        try:
            await self._answer(scope["path"], receive, send)
        finally:
            self.ended += 1

    async def _answer(self, path: str, receive: Any, send: Any) -> None:
        if path == "/wait":
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        size = UNREAD if path in ("/big", "/pieces", "/file") else 2
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(size).encode())]})
        if path == "/file":
            await send({"type": "http.response.pathsend", "path": str(self._path)})
            return
        step = 1 << 20 if path == "/pieces" else size
        for left in range(size - step, -1, -step):
            await send({"type": "http.response.body", "body": bytes(step), "more_body": left > 0})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def status(host: SmallHost, path: str, address: str = "127.0.0.1") -> int:
    """How a request on a new connection is answered; 0 where it is not."""
    with host.connect(address) as client:
        client.sendall(get(path, "Connection: close\r\n"))
        return code(everything(client))


def hold(stack: ExitStack, host: SmallHost, count: int, data: bytes, address: str = "127.0.0.1") -> list[socket.socket]:
    """So many connections that have sent `data` and then do nothing."""
    clients = []
    for _ in range(count):
        client = stack.enter_context(host.connect(address))
        client.sendall(data)
        clients.append(client)
    return clients


@pytest.mark.parametrize(
    "data", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Unfinished: ", get()], ids=["silent", "head", "idle"]
)
def test_idle_connections_keep_nobody_out(site: Site, data: bytes) -> None:
    """Hundreds that are silent, or have sent half a head, or wait for another request: everybody gets in, from that
    address too.
    """
    with small_host(site, Limits(connections=100, per_address=50)) as host, ExitStack() as stack:
        hold(stack, host, 300, data, "127.0.0.2")
        hold(stack, host, 300, data, "127.0.0.3")
        assert host.counts.open <= 100
        assert [status(host, "/", f"127.0.0.{number}") for number in (2, 3, 4)] == [200, 200, 200]
        assert host.counts.cut_off["replaced"] >= 500
    assert not host.counts.turned_away


def test_an_address_that_works_all_it_may_is_refused_and_no_other(site: Site) -> None:
    """Its next request is answered 429, with when to come back; its probes, and other addresses, are served."""
    with small_host(site, Limits(connections=100, per_address=20)) as host, ExitStack() as stack:
        hold(stack, host, 20, get("/wait"), "127.0.0.2")
        eventually(lambda: site.begun == 20)
        with host.connect("127.0.0.2") as client:
            client.sendall(get("/artifacts/images"))
            answer = everything(client)
        assert code(answer) == 429
        assert b"\r\nretry-after: 5\r\n" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "TooManyRequests"
        assert [status(host, path, "127.0.0.2") for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
        assert status(host, "/", "127.0.0.3") == 200
        eventually(lambda: host.counts.turned_away == {"address": 1})


def test_where_everybody_works_the_rest_is_refused_and_probes_are_served(site: Site) -> None:
    """503, with when to come back, whatever address it is from; a flood of such connections changes nothing for a
    probe.
    """
    with small_host(site, Limits(connections=40, per_address=20)) as host, ExitStack() as stack:
        for number in (2, 3):
            hold(stack, host, 20, get("/wait"), f"127.0.0.{number}")
        eventually(lambda: site.begun == 40)
        assert status(host, "/", "127.0.0.4") == 503
        hold(stack, host, 5 * LANE, b"GET /unfinished", "127.0.0.5")
        assert status(host, "/healthz", "127.0.0.4") == 200
        assert status(host, "/healthz", "127.0.0.5") == 200
        assert host.counts.open <= 40 + LANE


def test_who_is_in_the_lane_has_little_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a bound, a head that does not end is not waited for as long as other heads, nor is a probe that is not
    read.
    """
    monkeypatch.setattr(connection, "LANE_SECONDS", 0.5)
    with small_host(site, Limits(per_address=1)) as host, ExitStack() as stack:
        hold(stack, host, 1, get("/wait"), "127.0.0.2")
        eventually(lambda: site.begun == 1)
        for data in (b"", b"GET /healthz HTTP/1.1\r\nX-Unfinished: "):
            [client] = hold(stack, host, 1, data, "127.0.0.2")
            began = time.monotonic()
            assert everything(client) == b""
            assert time.monotonic() - began < 5
        eventually(lambda: host.counts.cut_off["lane"] == 2)


def test_trusted_proxies_have_room_for_their_clients(site: Site) -> None:
    """All clients of a proxy come from its address."""
    limits = Limits(connections=100, per_address=5, exempt=(ip_network("127.0.0.2/32"),))
    with small_host(site, limits) as host, ExitStack() as stack:
        hold(stack, host, 50, get("/wait"), "127.0.0.2")
        assert status(host, "/", "127.0.0.2") == 200


def test_a_head_has_one_deadline(site: Site) -> None:
    """A byte now and then does not extend it: the client is told, and sent away. So is who says nothing at all."""
    with small_host(site, Limits(head_seconds=1)) as host:
        with host.connect() as drip, host.connect() as silent:
            answer = b""
            drip.settimeout(0.1)
            for byte in get("/", "X-Long: " + "a" * 1000 + "\r\n"):
                try:
                    drip.sendall(bytes([byte]))
                    answer = drip.recv(65536)
                except TimeoutError:
                    continue
                break
            assert code(answer) == 408
            assert everything(silent) == b""
        assert host.counts.cut_off == {"head": 2}


def test_a_handshake_has_the_time_of_a_head(site: Site) -> None:
    """Who connects to a server that speaks TLS, and says nothing or something else, is sent away."""
    ours, theirs = contexts()
    with small_host(site, Limits(head_seconds=1), ours) as host, host.connect() as silent, host.connect() as plain:
        plain.sendall(get())
        assert everything(plain)[:5] != b"HTTP/"
        assert everything(silent) == b""
        with host.connect(tls=theirs) as client:
            client.sendall(get("/", "Connection: close\r\n"))
            assert code(everything(client)) == 200
        eventually(lambda: host.counts.open == 0)


def test_the_next_request_has_a_deadline_too(site: Site) -> None:
    """An idle connection is closed after its time; one whose next head has begun has the time of a head."""
    with (
        small_host(site, Limits(head_seconds=3600, idle_seconds=0.5)) as host,
        host.connect() as idle,
        host.connect() as slow,
    ):
        for client in (idle, slow):
            client.sendall(get())
        assert slow.recv(65536).endswith(b"\0\0")
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert everything(idle).endswith(b"\0\0")
        slow.sendall(b"Host: x\r\nConnection: close\r\n\r\n")
        assert everything(slow).endswith(b"\0\0")


@pytest.mark.parametrize(
    "data",
    [
        get("/" + "a" * 9000),
        get("/", "X-Long: " + "a" * 9000 + "\r\n"),
        get("/", "X-A: b\r\n" * 2000),
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Unfinished: " + b"a" * 9000,
        b"\r\n" * 5000,
        get("/", "Transfer-Encoding: chunked\r\n", "PUT") + b"1;" + b"a" * 40000,
        get("/", "Transfer-Encoding: chunked\r\n", "PUT") + b"0\r\nX-Trailer: " + b"a" * 40000,
    ],
    ids=["target", "header", "headers", "unfinished", "empty lines", "extension of a chunk", "trailer"],
)
def test_no_head_is_longer_than_it_may_be(site: Site, data: bytes) -> None:
    """Wherever the bytes stand that are no body: 431, and the connection ends."""

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await site(scope, receive, send)

    with small_host(reading, Limits(head_bytes=8192)) as host, host.connect() as client:
        client.sendall(data)
        assert code(everything(client)) == 431
        assert host.counts.cut_off["head"] == 1


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("path", ["/big", "/pieces", "/file"])
def test_a_reader_that_takes_nothing_is_cut_off(site: Site, path: str, encrypted: bool) -> None:
    """Whatever it has asked for; the application learns it, and its place is free again."""
    ours, theirs = contexts() if encrypted else (None, None)
    with small_host(site, Limits(stall_seconds=1, connections=20), ours) as host, ExitStack() as stack:
        clients = [stack.enter_context(host.connect(tls=theirs)) for _ in range(20)]
        for client in clients:
            client.sendall(get(path))
        eventually(lambda: host.counts.cut_off["stall"] == 20)
        eventually(lambda: host.counts.open == 0)
        eventually(lambda: site.ended == 20)
        for client in clients:
            assert len(everything(client)) < UNREAD


@pytest.mark.parametrize("path", ["/big", "/pieces", "/file"])
def test_a_reader_that_drips_is_cut_off_and_a_slow_one_is_served(site: Site, path: str) -> None:
    """Many times the least rate is slow, and enough; a fraction of it is not, though it never stalls."""
    limits = Limits(stall_seconds=2, least_rate=60_000)
    with small_host(site, limits) as host, host.connect() as slow, host.connect() as dripping:
        for client in (slow, dripping):
            client.sendall(get(path))
        received, next_drip = 0, 0.0
        while received < UNREAD:
            piece = slow.recv(100_000)
            assert piece, "it has been cut off"
            received += len(piece)
            if time.monotonic() > next_drip:
                next_drip = time.monotonic() + 0.2
                with suppress(ConnectionResetError):
                    dripping.recv(3000)
            time.sleep(0.03)
        eventually(lambda: host.counts.cut_off.total() == 1)
        assert set(host.counts.cut_off) <= {"slow", "stall"}


REST = 200_000
"""Bytes that the kernel takes of an answer, more than a client with a small window has room for."""


async def last(scope: Any, receive: Any, send: Any) -> None:
    """Answers with `REST` bytes, without their length where the path asks for that."""
    length = [] if scope["path"] == "/unknown" else [(b"content-length", str(REST).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": bytes(REST)})


@pytest.mark.parametrize(
    ("request_", "encrypted"),
    [
        (get("/", "Connection: close\r\n"), False),
        (get("/unknown", version="1.0"), False),
        (get("/", "Connection: close\r\n"), True),
        (get(), False),
        (get("/", "Content-Length: 100000\r\n", "PUT"), False),
    ],
    ids=["close", "HTTP/1.0", "TLS", "idle", "an unread body"],
)
def test_the_end_of_the_last_answer_is_read_as_slowly_as_any(
    monkeypatch: pytest.MonkeyPatch, request_: bytes, encrypted: bool
) -> None:
    """What waits in the kernel when the server is done is the client's for as long as it reads at an allowed rate."""
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.1)
    ours, theirs = contexts() if encrypted else (None, None)
    with small_host(last, Limits(idle_seconds=0.4), ours) as host, host.connect(tls=theirs) as client:
        client.sendall(request_)
        time.sleep(1)
        assert len(everything(client).partition(b"\r\n\r\n")[2]) == REST
        eventually(lambda: host.counts.open == 0)
        assert not host.counts.cut_off


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_who_does_not_read_the_end_of_the_last_answer_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, encrypted: bool
) -> None:
    """As anywhere else: whoever takes nothing for the time of a stall is sent away."""
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.1)
    ours, theirs = contexts() if encrypted else (None, None)
    with small_host(last, Limits(stall_seconds=0.4), ours) as host, host.connect(tls=theirs) as client:
        client.sendall(get("/", "Connection: close\r\n"))
        # Which of the two it is depends on when the client's kernel says what it has room for.
        eventually(lambda: host.counts.cut_off["stall"] + host.counts.cut_off["slow"] == 1)
        eventually(lambda: host.counts.open == 0)


def test_an_answer_that_is_not_read_yet_outlives_its_server(site: Site) -> None:
    """The kernel delivers what was complete when the process ended."""
    with small_host(last) as host:
        client = host.connect()
        client.sendall(get("/", "Connection: close\r\n"))
        first = client.recv(1000)
        assert first
        time.sleep(0.5)  # For the whole of it to be given to the kernel.
    with client:
        assert len((first + everything(client)).partition(b"\r\n\r\n")[2]) == REST


def test_nobody_takes_the_place_of_a_client_that_is_still_reading() -> None:
    """Its answer is complete for the server only; the next connection is refused, and let in once all is read."""
    with small_host(last, Limits(per_address=1, stall_seconds=2)) as host, host.connect() as reader:
        reader.sendall(get())
        received = reader.recv(1000)
        time.sleep(0.2)
        assert status(host, "/") == 429
        while len(received.partition(b"\r\n\r\n")[2]) < REST:
            received += reader.recv(65536)
        eventually(lambda: status(host, "/") == 200)


def test_one_that_can_be_neither_judged_nor_cut_off_keeps_nobody_from_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are judged in that round and in the next ones."""
    look, looks = connection.Connection.look, []

    def cut_off(self: connection.Connection, reason: str) -> None:
        raise RuntimeError("on purpose")

    def failing(self: connection.Connection, now: float) -> None:
        looks.append(self)
        if self is looks[0]:
            raise RuntimeError("on purpose")
        look(self, now)

    monkeypatch.setattr(connection.Connection, "look", failing)
    with small_host(site, Limits(idle_seconds=0.4)) as host, host.connect() as bad:
        bad.sendall(get())
        eventually(lambda: len(looks) > 0)
        monkeypatch.setattr(connection.Connection, "cut_off", cut_off)
        with host.connect() as client:
            client.sendall(get())
            assert everything(client).endswith(b"\0\0")
        monkeypatch.undo()


def test_probes_begin_by_turns_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a turn among the probes, and none among the requests."""
    taken: list[Turns] = []
    take = Turns.take

    def recording(self: Turns, network: str, begin: Any) -> int:
        if not isinstance(begin, partial):  # That is a connection.
            taken.append(self)
        return take(self, network, begin)

    monkeypatch.setattr(Turns, "take", recording)
    with small_host(site) as host:
        assert [status(host, path) for path in ("/healthz", "/readyz", "/")] == [200, 200, 200]
    probes, again, requests = taken
    assert probes is again is not requests


def test_a_reader_of_many_short_answers_is_judged_as_one(site: Site) -> None:
    """An answer that fits into the kernel's buffers makes nobody wait: a connection that takes none of many is idle,
    and ends so.
    """
    with small_host(site, Limits(stall_seconds=1, idle_seconds=1)) as host, host.connect() as client:
        for _ in range(10):
            client.sendall(get())
            time.sleep(0.01)
        eventually(lambda: host.counts.open == 0)


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """No request comes as far."""


def test_a_connection_that_begins_to_shake_hands_takes_little_memory() -> None:
    """Thousands may be open at the same time, before anybody is known."""
    server, _ = contexts()
    with small_host(nothing, tls=server) as host, ExitStack() as stack:
        stack.enter_context(host.connect())
        eventually(lambda: host.counts.open == 1)
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for _ in range(HANDSHAKES):
            stack.enter_context(host.connect()).sendall(b"\x16\x03\x01\x02\x00\x01")
        eventually(lambda: host.counts.open == HANDSHAKES + 1)
        eventually(lambda: tracemalloc.get_traced_memory()[0] > 0)
        assert tracemalloc.get_traced_memory()[1] < HANDSHAKES * MOST_OF_A_HANDSHAKE
