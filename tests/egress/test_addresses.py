"""Addresses: which are asked for, decided on and connected to, and what a refusal tells."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address

import pytest

from glare.egress.asked import Asked
from glare.egress.client import EgressClient
from glare.egress.decision import UNREACHABLE, Address
from glare.egress.names import NameBounds, system_resolve
from glare.egress.race import begin_connect
from glare.egress.url import Url
from glare.errors import Blocked, LocationRefused, OutboundBusy
from support.origins.black_hole import BlackHole
from support.origins.egress import NAME, closed_port, quick, read, resolve
from support.origins.origin import Origin


def test_mixed_addresses(client: EgressClient, origin: Origin) -> None:
    """A name that resolves to an allowed and a forbidden address is refused, and nothing is requested."""
    origin.put("/a", b"1")
    with pytest.raises(LocationRefused) as caught:
        client.open(client.parse(origin.url("/a", "two.test.example")))
    assert "169.254.169.254" in caught.value.reason
    assert "169.254" not in caught.value.message
    assert origin.seen == []


def test_address_that_changes_after_the_decision(origin: Origin) -> None:
    """A name is resolved once; the connection goes to the address that was decided on, whatever the name says later."""
    answers = iter([[ip_address("127.0.0.1")], [ip_address("127.0.0.2")]])
    tried = []

    def connect(host: str, port: int) -> socket.socket:
        tried.append(host)
        return begin_connect(host, port)

    origin.put("/a", b"1")
    client = EgressClient(quick(origin.port), resolve=lambda _: next(answers), connect=connect)
    assert read(client, origin.url("/a", NAME)) == b"1"
    assert tried == ["127.0.0.1"]
    assert list(answers) == [[ip_address("127.0.0.2")]]
    assert origin.seen[0].headers["host"].startswith(NAME)


def test_next_address(origin: Origin) -> None:
    """Where the first of a name's addresses does not answer, the next one is tried."""
    tried = []

    def connect(host: str, port: int) -> socket.socket:
        tried.append(host)
        if host == "8.8.8.8":
            raise ConnectionRefusedError
        return begin_connect(host, port)

    origin.put("/a", b"1")
    addresses = [ip_address("8.8.8.8"), ip_address("127.0.0.1")]
    client = EgressClient(quick(origin.port), resolve=lambda _: addresses, connect=connect)
    assert read(client, origin.url("/a", NAME)) == b"1"
    assert tried == ["8.8.8.8", "127.0.0.1"]


def test_system_names_are_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system is asked for the absolute name, so that no search domain is tried, and for every address once."""
    asked = []

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(0, 0, 0, "", (text, 0)) for text in ("192.0.2.1", "fe80::1%lo", "192.0.2.1")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert system_resolve("mirror.example") == (ip_address("192.0.2.1"), ip_address("fe80::1"))
    assert asked == ["mirror.example."]


def test_refusals_look_alike() -> None:
    """Unknown name, forbidden address and closed port give one message, in no less than the floor; reasons differ."""
    port = closed_port()
    client = EgressClient(quick(port, refusal_floor_seconds=0.3), resolve=resolve)
    seen = []
    for host in ("unknown.test.example", "private.test.example", "10.0.0.1", "2130706434", "127.0.0.1", NAME):
        began = time.monotonic()
        with pytest.raises(LocationRefused) as caught:
            client.open(client.parse(f"http://{host}:{port}/"))
        assert 0.3 <= time.monotonic() - began < 1
        seen.append(caught.value)
    assert {error.message for error in seen} == {UNREACHABLE}
    assert len({error.reason for error in seen}) >= 4


def test_operator_host_is_not_resolved(origin: Origin) -> None:
    """A name of the operator's own is refused before anybody is asked for its address."""
    client = EgressClient(quick(origin.port, forbidden_hosts=frozenset({"test.example"})), resolve=pytest.fail)
    with pytest.raises(LocationRefused, match="may not be reached"):
        client.open(client.parse(origin.url("/a", NAME)))


def test_a_takedown_is_asked_about_before_the_name_is_resolved(
    origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    """What is blocked is refused with an error of its own, for any method, and the log has the attempt."""
    asked: list[str] = []

    def blocked(url: Url) -> str:
        asked.append(url.host)
        return "takedown-1"

    client = EgressClient(quick(origin.port), resolve=pytest.fail, blocked=blocked)
    for method in ("GET", "POST"):
        with pytest.raises(Blocked, match="takedown-1"):
            client.open(client.parse(origin.url("/a", NAME)), Asked(method))
    assert asked == [NAME, NAME]
    assert [vars(record)["egress"]["outcome"] for record in caplog.records if "egress" in vars(record)] == [
        "refused"
    ] * 2
    assert origin.seen == []


def test_slow_name_blocks_nobody(origin: Origin) -> None:
    """A name that does not answer is given up at its deadline, and others are resolved meanwhile."""
    release = threading.Event()

    def slow(host: str) -> list[Address]:
        if host.startswith("slow"):
            release.wait(10)
        return [ip_address("127.0.0.1")]

    origin.put("/a", b"1")
    bounds = NameBounds(threads=1, slow_threads=1, patience=0.0, quick=0.1)
    client = EgressClient(quick(origin.port, resolve_seconds=0.2, name_bounds=bounds), resolve=slow)
    with pytest.raises(LocationRefused) as caught:
        client.open(client.parse(origin.url("/a", "slow.one.example")))
    assert "no answer" in caught.value.reason
    assert read(client, origin.url("/a", NAME)) == b"1"
    with pytest.raises(LocationRefused):
        client.open(client.parse(origin.url("/a", "slow.two.example")))
    with pytest.raises(OutboundBusy) as full:
        client.open(client.parse(origin.url("/a", NAME)))
    assert full.value.retry_after
    release.set()


def test_connection_that_hangs_ends_at_the_deadline(origin: Origin) -> None:
    """An address that never answers is unreachable, like a closed port."""
    with BlackHole() as hole:
        client = EgressClient(quick(origin.port, header_seconds=0.2), connect=lambda *_: hole.connect())
        with pytest.raises(LocationRefused) as caught:
            client.open(client.parse(origin.url("/a")))
    assert caught.value.message == UNREACHABLE
