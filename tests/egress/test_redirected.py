"""Redirects: each one is decided anew."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable

import pytest

from glare.egress.client import EgressClient
from glare.egress.decision import UNREACHABLE
from glare.egress.race import begin_connect
from glare.errors import LocationRefused, OriginFailed
from support.origins.egress import NAME, quick, read, resolve
from support.origins.hostile import CONTENT, Hostile
from support.origins.origin import Origin


@pytest.mark.parametrize("status", ["300", "301", "302", "303", "307", "308"])
def test_redirects(client: EgressClient, hostile: Hostile, status: str) -> None:
    """A redirect is followed, relative or absolute, with a fragment dropped, and its own body never read."""
    for to in ("/honest", hostile.url("honest", NAME) + "#part"):
        with client.open(client.parse(hostile.url("redirect", to=to, status=status))) as response:
            assert response.url.target == "/honest"
    assert read(client, hostile.url("endless_redirect", to="/honest")) == CONTENT


def test_redirect_in_utf8(client: EgressClient, hostile: Hostile, origin: Origin) -> None:
    """Bytes of a Location that are not ASCII lead to the path with those bytes percent-encoded, whatever they spell."""
    origin.put("/%C3%BC", b"1")
    origin.put("/%FC", b"2")
    assert read(client, hostile.url("redirect", to=origin.url("/ü"))) == b"2"  # One byte, Latin-1
    to = origin.url("/ü").encode().decode("latin-1")
    assert read(client, hostile.url("redirect", to=to)) == b"1"


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://private.test.example/",
        "http://two.test.example/",
        "http://unknown.test.example/",
    ],
)
def test_redirect_to_a_forbidden_place(hostile: Hostile, to: str) -> None:
    """A redirect is decided like a first request, and nothing connects to where it may not lead."""
    tried = []

    def connect(host: str, port: int) -> socket.socket:
        tried.append(host)
        return begin_connect(host, port)

    client = EgressClient(quick(hostile.port, 80), resolve=resolve, connect=connect)
    with pytest.raises(LocationRefused) as caught:
        client.open(client.parse(hostile.url("redirect", to=to)))
    assert caught.value.message == UNREACHABLE
    assert set(tried) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "to",
    [
        "ftp://8.8.8.8/",
        "http://u:p@8.8.8.8/",
        "file:///etc/passwd",
        "//[::1",
        "http://a b.example/",
        "http:/path",
        "http://8.8.8.8\\@127.0.0.1/",
        "http://8.8.8.8:22/",
    ],
)
def test_redirect_to_a_bad_url(client: EgressClient, hostile: Hostile, to: str) -> None:
    """A redirect to what is no acceptable URL is refused."""
    with pytest.raises(OriginFailed, match="redirect"):
        client.open(client.parse(hostile.url("redirect", to=to)))


def test_redirect_from_https_to_http(
    hostile: Hostile, certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """No redirect leads from https to http."""
    with Hostile(certified(NAME)) as secure:
        client = EgressClient(quick(hostile.port, secure.port), resolve=resolve, tls=trusting)
        with pytest.raises(OriginFailed, match="from https to http"):
            client.open(client.parse(secure.url("redirect", NAME, to=hostile.url("honest"))))
        assert hostile.visits("honest") == 0


@pytest.mark.parametrize("location", ["http://[s3cr3t", "http://a\u2100s3cr3t/", "//user:s3cr3t@x/"])
def test_a_broken_redirect_is_not_quoted(
    client: EgressClient, origin: Origin, caplog: pytest.LogCaptureFixture, location: str
) -> None:
    """Neither the error nor the log repeats a Location that is no URL, since it may hold a signature."""
    caplog.set_level(logging.INFO)
    origin.refuse("/start", 302, {"Location": location.encode().decode("latin-1")})
    with pytest.raises(OriginFailed) as caught:
        client.open(client.parse(origin.url("/start")))
    assert "s3cr3t" not in f"{caught.value} {caught.value.reason} {[vars(record) for record in caplog.records]}"
