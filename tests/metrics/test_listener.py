"""What a process without an HTTP server of the API tells of itself."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_network

import pytest

from glare.metrics import listener
from glare.metrics.listener import Listener, is_allowed

HERE = (ip_network("127.0.0.0/8"),)
PAGES = {"/metrics": lambda: b"glare_something 1\n", "/none": lambda: None}


@pytest.fixture
def port() -> Iterator[int]:
    with Listener(("127.0.0.1", 0), HERE, PAGES) as running:
        yield running.port


def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of an answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=dict(headers or {}))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_numbers_are_given_to_those_who_may_have_them(port: int) -> None:
    """The page, with or without a query; what is none, or has nothing to say, is 404; what a proxy has passed on is
    403.
    """
    assert get(port, "/metrics") == (200, b"glare_something 1\n")
    assert get(port, "/metrics?x=1")[0] == 200
    assert get(port, "/none")[0] == 404
    assert get(port, "/")[0] == 404
    for header in listener.FORWARDED:
        assert get(port, "/metrics", {header: "192.0.2.1"})[0] == 403


def test_others_are_hung_up_on() -> None:
    """An address that is not named gets no answer, whatever it sends."""
    with (
        Listener(("127.0.0.1", 0), (ip_network("192.0.2.0/24"),), PAGES) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection,
    ):
        assert connection.recv(1) == b""


def test_who_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that drips a head ends at a fixed time, and the next one is answered."""
    monkeypatch.setattr(listener, "_SECONDS", 0.3)
    with (
        Listener(("127.0.0.1", 0), HERE, PAGES) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection,
    ):
        stop = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                while not stop.wait(0.02):
                    connection.send(b"G")

        dripping = threading.Thread(target=drip)
        dripping.start()
        assert get(running.port, "/metrics")[0] == 200
        stop.set()
        dripping.join()


def test_it_listens_on_ipv6() -> None:
    """An address of IPv6 is listened on as one of IPv4 is."""
    with (
        Listener(("::1", 0), (ip_network("::1"),), PAGES) as running,
        socket.create_connection(("::1", running.port), timeout=10) as connection,
    ):
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.0 200")


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("127.0.0.9", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False),
        ("::1", False),
        ("x", False),
        (None, False),
    ],
)
def test_addresses_are_compared_as_what_they_are(peer: str | None, allowed: bool) -> None:
    """An IPv4 address is itself in the spelling of IPv6 too; what is no address is in no network."""
    assert is_allowed(peer, HERE) is allowed
