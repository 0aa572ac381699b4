"""Connecting to one of several addresses."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from ipaddress import ip_address

import pytest

from glare.egress.asked import Asked
from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient
from glare.egress.decision import UNREACHABLE
from glare.egress.lately import Lately
from glare.egress.race import Connect, Course, address_key, begin_connect, in_order, race
from glare.errors import LocationRefused, OriginFailed
from support.origins.black_hole import BlackHole
from support.origins.egress import quick
from support.origins.origin import Origin

SIX, OTHER_SIX = ip_address("2606:4700::1"), ip_address("2606:4700::2")
FOUR, OTHER_FOUR = ip_address("8.8.8.8"), ip_address("9.9.9.9")
HERE = ip_address("127.0.0.1")
QUICK = Course(5, 0.01, 16)


@pytest.fixture
def lately() -> Lately:
    return Lately(60, 100)


def trying(
    tried: list[str], hole: BlackHole, origin: Origin, silent: frozenset[str] = frozenset(), refusing: str = ""
) -> Connect:
    """Leads every address to the origin but those that are silent, and the one that refuses. Notes what is tried."""

    def connect(host: str, port: int) -> socket.socket:
        tried.append(host)
        if host == refusing:
            raise OSError(errno.ECONNREFUSED, "refused")
        return hole.connect() if host in silent else begin_connect("127.0.0.1", origin.port)

    return connect


def test_families_take_turns(lately: Lately) -> None:
    """The first address decides which family begins; what failed lately comes after all others."""
    assert in_order([SIX, OTHER_SIX, FOUR, OTHER_FOUR], 80, lately) == [SIX, FOUR, OTHER_SIX, OTHER_FOUR]
    assert in_order([FOUR, OTHER_FOUR, SIX], 80, lately) == [FOUR, SIX, OTHER_FOUR]
    lately.failed(address_key(SIX, 80))
    assert in_order([SIX, OTHER_SIX, FOUR], 80, lately) == [OTHER_SIX, FOUR, SIX]
    assert in_order([SIX, OTHER_SIX, FOUR], 443, lately) == [SIX, FOUR, OTHER_SIX]
    assert in_order([], 80, lately) == []


def test_a_silent_address_does_not_hold_up_the_next(lately: Lately, origin: Origin) -> None:
    """The next address is tried beside one that does not answer, and the silent one last the next time."""
    tried: list[str] = []
    with BlackHole() as hole:
        connect = trying(tried, hole, origin, silent=frozenset({str(SIX)}))
        for _ in range(2):
            connection, address = race([SIX, FOUR], 80, QUICK, connect, lately, Cancellation())
            connection.close()
            assert address == FOUR
    assert tried == [str(SIX), str(FOUR), str(FOUR)]


def test_a_refusing_address_is_followed_at_once(lately: Lately, origin: Origin) -> None:
    """Where the connection is refused, nobody waits for the delay."""
    tried: list[str] = []
    with BlackHole() as hole:
        connect = trying(tried, hole, origin, refusing=str(SIX))
        connection, address = race([SIX, FOUR], 80, Course(60, 60, 16), connect, lately, Cancellation())
        connection.close()
    assert (tried, address) == ([str(SIX), str(FOUR)], FOUR)


def test_an_attempt_that_fails_later_is_followed_at_once(lately: Lately, origin: Origin) -> None:
    """A refusal that comes while the connection is made counts like one that comes at once."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    tried: list[str] = []

    def connect(host: str, _: int) -> socket.socket:
        tried.append(host)
        return begin_connect("127.0.0.1", port if host == str(SIX) else origin.port)

    connection, address = race([SIX, FOUR], 80, Course(60, 60, 16), connect, lately, Cancellation())
    connection.close()
    assert (tried, address) == ([str(SIX), str(FOUR)], FOUR)


def test_an_address_that_is_quick_is_alone(lately: Lately, origin: Origin) -> None:
    """Where the first answers within the delay, no other is tried."""
    tried: list[str] = []
    with BlackHole() as hole:
        course = Course(60, 60, 16)
        connection, address = race([SIX, FOUR], 80, course, trying(tried, hole, origin), lately, Cancellation())
        connection.close()
    assert (tried, address) == ([str(SIX)], SIX)
    assert not lately.has_failed(address_key(FOUR, 80))


def test_no_more_addresses_than_allowed(lately: Lately, origin: Origin) -> None:
    """A name with very many addresses makes no port scanner of the service."""
    tried: list[str] = []
    with BlackHole() as hole:
        connect = trying(tried, hole, origin, silent=frozenset({str(SIX), str(FOUR)}))
        with pytest.raises(LocationRefused) as caught:
            race([SIX, FOUR, OTHER_FOUR], 80, Course(0.1, 0.01, 2), connect, lately, Cancellation())
    assert caught.value.message == UNREACHABLE
    assert "no answer" in caught.value.reason
    assert tried == [str(SIX), str(FOUR)]


def test_a_race_that_is_cancelled_begins_nothing(lately: Lately, origin: Origin) -> None:
    """Whoever has gone wants no connection, and nothing is held against the addresses."""
    tried: list[str] = []
    cancellation = Cancellation()

    def connect(host: str, _: int) -> socket.socket:
        tried.append(host)
        cancellation.cancel()
        return hole.connect()

    with BlackHole() as hole, pytest.raises(OriginFailed, match="cancelled"):
        race([SIX, FOUR], 80, Course(60, 60, 16), connect, lately, cancellation)
    assert tried == [str(SIX)]
    assert not lately.has_failed(address_key(SIX, 80))


@pytest.mark.parametrize("seconds", [{"connect_seconds": 0.1}, {"hurry_seconds": 0.1}])
def test_connecting_has_a_limit_of_its_own(origin: Origin, seconds: dict[str, float]) -> None:
    """The deadline of the headers is not used up by connecting; who can ask elsewhere waits shorter."""
    with BlackHole() as hole:
        client = EgressClient(quick(origin.port, header_seconds=300, **seconds), connect=lambda *_: hole.connect())
        with pytest.raises(LocationRefused) as caught:
            client.open(client.parse(origin.url("/a")), Asked(hurried="hurry_seconds" in seconds))
    assert caught.value.message == UNREACHABLE


def test_a_server_that_accepts_and_is_silent_is_asked_last(
    origin: Origin,
) -> None:
    """An address whose server took the request and did not answer in time is tried after the others of its name."""
    origin.put("/a", b"1")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        leads: Callable[[str], int] = {str(FOUR): int(mute.getsockname()[1]), str(OTHER_FOUR): origin.port}.__getitem__
        client = EgressClient(
            quick(80, answer_seconds=0.1),
            resolve=lambda _: [FOUR, OTHER_FOUR],
            connect=lambda host, _: begin_connect("127.0.0.1", leads(host)),
        )
        url = client.parse("http://mirror.test.example/a")
        with pytest.raises(OriginFailed, match=r"did not begin to answer within 0\.1 s"):
            client.open(url)
        with client.open(url) as response:
            assert response.read(10) == b"1"
