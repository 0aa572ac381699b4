"""Whom a request belongs to."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from starlette.datastructures import Headers

from glare.domain.actor import ANONYMOUS, Actor
from glare.http.parties import Parties
from glare.shares import Party

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

PARTIES = Parties((ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")))


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        ("192.0.2.1", [], "192.0.2.0/24"),
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.0/24"),
        ("127.0.0.1", [], "127.0.0.0/24"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.0/24"),
        ("::ffff:127.0.0.1", ["2001:db8::1"], "2001:db8::/64"),
        ("127.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.0/24"),
        ("127.0.0.1", ["203.0.113.9", "198.51.100.1, 10.1.1.1"], "198.51.100.0/24"),
        ("127.0.0.1", ["10.9.9.9, 10.1.1.1"], "10.9.9.0/24"),
        ("127.0.0.1", ["203.0.113.9, nonsense, 10.1.1.1"], "10.1.1.0/24"),
        ("127.0.0.1", ["203.0.113.9, " + ", ".join(["10.1.1.1"] * 5000)], "10.1.1.0/24"),
        (None, ["198.51.100.1"], "unknown"),
    ],
)
def test_the_network_is_where_the_last_trusted_proxy_heard_from(
    peer: str | None, forwarded: list[str], network: str
) -> None:
    """X-Forwarded-For counts from a trusted proxy only, and only what trusted proxies have written into it."""
    headers = Headers(raw=[(b"x-forwarded-for", value.encode()) for value in forwarded])
    assert PARTIES.of_address(peer, headers) == Party("network", network)


def test_who_has_a_project_is_that_project_wherever_they_are() -> None:
    """The anonymous stay with their network."""
    network = Party.network("192.0.2.1")
    assert PARTIES.of_actor(Actor("u", "p", frozenset()), network) == Party.project("p")
    assert PARTIES.of_actor(ANONYMOUS, network) == network
    assert PARTIES.of_actor(Actor("u", None, frozenset()), network) == network
