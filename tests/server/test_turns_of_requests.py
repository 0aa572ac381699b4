"""Whose connection, and whose request, begins next."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import pytest

from glare.server import acceptor
from glare.server.acceptor import _OF_ADDRESS, Acceptor
from glare.server.arrival import Arrival
from glare.server.limits import Limits
from glare.server.sockets import closed_by_peer
from glare.server.turns import LIGHT, Turns
from support.conversation import eventually
from support.small_host import Counts, Rounds, SmallHost, code, contexts, everything, get, small_host

pytestmark = pytest.mark.sqlite  # The server knows of no database.

HELLO = b"\x16\x03\x01\x00\x40" + bytes(64)
"""As long as it says, so that it is taken for a first message, whatever comes of it."""


def _run(play: Callable[[Turns, list[str]], Coroutine[Any, Any, None]]) -> list[str]:
    """What has begun after `play`, with two turns in each round."""
    begun: list[str] = []

    async def run() -> None:
        await play(Turns(asyncio.get_running_loop(), at_once=2), begun)

    asyncio.run(run())
    return begun


def test_few_requests_begin_at_once() -> None:
    """Where nobody waits, nobody is made to."""

    async def play(turns: Turns, begun: list[str]) -> None:
        turns.take("a", lambda: begun.append("a"))
        turns.take("b", lambda: begun.append("b"))
        assert begun == ["a", "b"]

    _run(play)


def test_a_round_takes_on_a_few_and_leaves_the_loop_to_others() -> None:
    """Between two rounds whatever else is ready is done, such as the answers of those who are in."""

    async def play(turns: Turns, begun: list[str]) -> None:
        for number in range(6):
            turns.take("a", partial(begun.append, str(number)))
        assert begun == ["0", "1"]
        await asyncio.sleep(0)
        assert begun == ["0", "1", "2", "3"]
        await asyncio.sleep(0)

    assert _run(play) == ["0", "1", "2", "3", "4", "5"]


def test_more_are_answered_on_the_spot_than_begin() -> None:
    """What leaves nothing behind costs a part of a turn, so of refusals a round has several."""

    async def play(turns: Turns, begun: list[str]) -> None:
        def light() -> bool:
            begun.append("light")
            return True

        for _ in range(5 * LIGHT):
            turns.take("a", light)
        assert begun == ["light"] * 2 * LIGHT
        await asyncio.sleep(0)
        assert begun == ["light"] * 4 * LIGHT
        turns.take("b", lambda: begun.append("b"))
        turns.take("a", light)
        await asyncio.sleep(0)
        assert begun[4 * LIGHT :].count("light") == LIGHT
        assert begun[4 * LIGHT + 1] == "b"
        await asyncio.sleep(0)

    _run(play)


def test_who_comes_back_from_its_own_turn_waits_for_the_next_one() -> None:
    """A connection whose request is answered on the spot brings the next one: no round is made of those alone."""

    async def play(turns: Turns, begun: list[str]) -> None:
        def light() -> bool:
            begun.append("light")
            turns.take("a", light)
            return True

        turns.take("a", light)
        assert len(begun) == 2 * LIGHT
        await asyncio.sleep(0)
        assert len(begun) == 4 * LIGHT

    _run(play)


def test_networks_take_turns() -> None:
    """A thousand of one network do not stand before one of another."""

    async def play(turns: Turns, begun: list[str]) -> None:
        for _ in range(1000):
            turns.take("a", lambda: begun.append("a"))
        turns.take("b", lambda: begun.append("b"))
        await asyncio.sleep(0)
        assert begun == ["a", "a", "a", "b"]

    _run(play)


def test_a_client_that_has_left_is_seen_without_reading() -> None:
    """Also when it has sent something before, which stays unread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            client.sendall(b"GET / HTTP/1.1\r\n")
            assert not closed_by_peer(accepted)
            client.close()
            accepted.settimeout(10)
            while accepted.recv(1024):
                pass
            assert closed_by_peer(accepted)


class Opened:
    """Which connections have begun, by address, and in which round of the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: list[str] = []
        self.rounds: list[int] = []
        self.clock = Rounds()
        begin = Acceptor._open

        def opening(acceptor: Acceptor, arrival: Arrival) -> bool:
            if not self.rounds:
                _ = self.clock.now
                self.clock.start()
            self.rounds.append(self.clock.now)
            self.addresses.append(arrival.sock.getpeername()[0])
            return begin(acceptor, arrival)

        monkeypatch.setattr(Acceptor, "_open", opening)


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """A short answer to everything."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def waiting(host: SmallHost, stack: ExitStack, addresses: list[str], said: bytes) -> threading.Event:
    """Connections that wait to be accepted, in this order, and have said something; all go on with the event."""
    held = threading.Event()
    host.call(held.wait)
    for address in addresses:
        stack.enter_context(host.connect(address)).sendall(said)
    return held


@pytest.mark.parametrize(("with_tls", "most"), [(True, 1), (False, 4)])
def test_a_round_opens_fewer_connections_where_each_shakes_hands(
    monkeypatch: pytest.MonkeyPatch, with_tls: bool, most: int
) -> None:
    """Of twelve that wait to be accepted, a round takes on four, or one with TLS."""
    opened = Opened(monkeypatch)
    with small_host(answering, tls=contexts()[0] if with_tls else None) as host, ExitStack() as stack:
        waiting(host, stack, ["127.0.0.1"] * 12, HELLO).set()
        eventually(lambda: len(opened.rounds) == 12)
        opened.clock.stop()
    assert max(Counter(opened.rounds).values()) == most


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "TLS"])
def test_a_new_connection_does_not_stand_behind_those_of_others(
    monkeypatch: pytest.MonkeyPatch, with_tls: bool
) -> None:
    """The kernel's line is one for all; what comes from another network has the next turn all the same."""
    opened = Opened(monkeypatch)
    many = ["127.7.0.1"] * 60 + ["127.7.0.2"] * 40
    with small_host(answering, tls=contexts()[0] if with_tls else None) as host, ExitStack() as stack:
        waiting(host, stack, [*many, "127.0.0.1"], HELLO if with_tls else get()).set()
        eventually(lambda: "127.0.0.1" in opened.addresses)
        opened.clock.stop()
        assert opened.addresses.index("127.0.0.1") <= 16  # Few rounds, of four.


def test_an_address_has_a_few_handshakes_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them takes memory; its next ones wait their turn, and another address has its own."""
    opened = Opened(monkeypatch)
    server, client = contexts()
    with small_host(answering, tls=server) as host, ExitStack() as stack:
        first = [stack.enter_context(host.connect("127.7.0.1")) for _ in range(_OF_ADDRESS + 2)]
        hello = _hello(client)
        for sock in first:
            sock.sendall(hello)
        eventually(lambda: len(opened.addresses) == _OF_ADDRESS)
        with host.connect("127.7.0.2", client) as other:
            other.sendall(get("/", "Connection: close\r\n"))
            assert code(everything(other)) == 200
        assert Counter(opened.addresses) == {"127.7.0.1": _OF_ADDRESS, "127.7.0.2": 1}
        first[0].close()
        eventually(lambda: Counter(opened.addresses)["127.7.0.1"] == _OF_ADDRESS + 1)
        first[-1].close()  # It still waits, and is passed by.
        first[1].close()
        eventually(lambda: host.counts.turned_away["left"] == 1)
        opened.clock.stop()


def test_handshakes_that_stand_still_keep_no_neighbour_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes from the same address, by the same router for example, gets in after a moment."""
    monkeypatch.setattr(acceptor, "_HANDSHAKE_SECONDS", 0.3)
    server, client = contexts()
    with small_host(answering, tls=server) as host, ExitStack() as stack:
        hello = _hello(client)
        for _ in range(2 * _OF_ADDRESS):
            stack.enter_context(host.connect("127.7.0.1")).sendall(hello)
        eventually(lambda: host.counts.open == 2 * _OF_ADDRESS)
        for _ in range(2):
            with host.connect("127.7.0.1", client) as neighbour:
                neighbour.sendall(get("/", "Connection: close\r\n"))
                assert code(everything(neighbour)) == 200
        assert host.counts.cut_off["replaced"] >= _OF_ADDRESS


def _hello(context: ssl.SSLContext) -> bytes:
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def test_a_hello_may_come_in_pieces() -> None:
    """It is waited for until it is whole, and what the client says next is not lost."""
    server, client = contexts()
    with small_host(answering, tls=server) as host, host.connect() as sock:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        for piece in (hello[:3], hello[3:7], hello[7:90], hello[90:]):
            sock.sendall(piece)
            eventually(lambda: host.counts.open == 1)
        while True:
            incoming.write(sock.recv(65536))
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            break
        tls.write(get("/", "Connection: close\r\n"))
        sock.sendall(outgoing.read())
        answer = b""
        while not answer.endswith(b"ok"):
            incoming.write(sock.recv(65536))
            with suppress(ssl.SSLWantReadError):
                answer += tls.read(65536)
        assert code(answer) == 200


def test_who_says_half_a_hello_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time of a head, as whoever says nothing; neither has begun to shake hands."""
    opened = Opened(monkeypatch)
    with (
        small_host(answering, Limits(head_seconds=0.5), contexts()[0]) as host,
        host.connect() as half,
        host.connect() as silent,
    ):
        half.sendall(HELLO[:20])
        assert everything(half) == everything(silent) == b""
        assert host.counts.cut_off == {"head": 2}
        assert opened.addresses == []


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "TLS"])
def test_what_has_not_begun_makes_room(monkeypatch: pytest.MonkeyPatch, with_tls: bool) -> None:
    """Over the bound of its address the oldest is ended before anything was done for it, and waits nowhere."""
    opened = Opened(monkeypatch)
    monkeypatch.setattr("glare.server.acceptor._ACCEPTING_SECONDS", 5.0)  # All come in one round, always.
    limits = Limits(per_address=4)
    with small_host(answering, limits, contexts()[0] if with_tls else None) as host, ExitStack() as stack:
        waiting(host, stack, ["127.7.0.9"] * 8 + ["127.7.0.1"] * 30, HELLO).set()
        eventually(lambda: len(opened.addresses) >= 8)
        eventually(lambda: host.counts.open == 0 if with_tls else host.counts.open <= 8)
        opened.clock.stop()
        assert Counter(opened.addresses)["127.7.0.1"] <= (4 if with_tls else 12)


def test_at_the_end_what_has_not_begun_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that has said nothing yet does not keep the process."""
    counts: list[Counts] = []
    with ExitStack() as clients:
        with small_host(answering, tls=contexts()[0]) as host:
            for _ in range(3):
                clients.enter_context(host.connect())
            eventually(lambda: host.counts.open == 3)
            counts.append(host.counts)
        assert counts[0].open == 0
