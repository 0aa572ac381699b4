"""TLS: the certificate is for the host of the URL, and of an authority that is trusted."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from glare.egress.client import EgressClient
from glare.errors import OriginFailed
from support.origins.egress import NAME, quick, read, resolve
from support.origins.hostile import CONTENT, Hostile
from support.origins.origin import Origin


def test_tls(certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext) -> None:
    """Over TLS the name of the URL is checked, while the connection goes to the address that was decided on."""
    with Origin(certified(NAME)) as origin:
        origin.put("/a", CONTENT)
        client = EgressClient(quick(origin.port), resolve=resolve, tls=trusting)
        assert read(client, origin.url("/a", NAME)) == CONTENT
        with pytest.raises(OriginFailed, match="certificate"):
            client.open(client.parse(origin.url("/a")))


def test_tls_by_address(certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext) -> None:
    """An address as host is checked against the certificate's addresses."""
    with Origin(certified("127.0.0.1")) as origin:
        origin.put("/a", b"1")
        assert read(EgressClient(quick(origin.port), tls=trusting), origin.url("/a")) == b"1"


def test_untrusted_certificate(certified: Callable[..., ssl.SSLContext]) -> None:
    """The system's trust store is the default, and an authority that it does not hold is refused."""
    with Origin(certified(NAME)) as origin:
        client = EgressClient(quick(origin.port), resolve=resolve)
        with pytest.raises(OriginFailed, match="certificate"):
            client.open(client.parse(origin.url("/a", NAME)))


def test_tls_to_a_plain_server(impatient: EgressClient, hostile: Hostile) -> None:
    """A server that does not speak TLS, or does not answer the handshake, is refused in time."""
    url = hostile.url("honest").replace("http:", "https:")
    with pytest.raises(OriginFailed):
        impatient.open(impatient.parse(url))
