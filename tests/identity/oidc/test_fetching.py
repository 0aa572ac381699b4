"""How the keys of an issuer are fetched: through a guarded client of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from glare.app.oidc import fetch_of, issuer_egress
from glare.errors import GlareError
from glare.identity.oidc.discovery import MAX_DOCUMENT
from glare.identity.oidc.issuers import Reach, issuer_of_document
from glare.identity.oidc.keys import KeysUnusable, read_keys
from glare.settings import Settings
from support.oidc import Issuer, document
from support.origins.origin import Origin
from support.service import configuration

INSIDE: dict[str, Any] = {"networks": ["127.0.0.1/32"], "allow_http": True}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return configuration(tmp_path, "[oidc]\ntimeout = 2 s\n")


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


def fetched(settings: Settings, issuer: Issuer, **changes: Any) -> bytes:
    return fetch_of(settings, issuer_of_document("corp", document(issuer, **changes)))()


def test_keys_come_from_where_the_discovery_document_says(settings: Settings, origin: Origin) -> None:
    """Two requests, without a token, a cookie or a redirect."""
    issuer = Issuer()
    issuer.serve(origin)
    assert read_keys(fetched(settings, issuer, **INSIDE))
    assert [seen.target for seen in origin.seen] == ["/realm/.well-known/openid-configuration", "/realm/jwks"]
    assert not {"authorization", "cookie", "x-auth-token"} & set().union(*(seen.headers for seen in origin.seen))


def test_an_issuer_inside_is_reached_where_its_own_networks_are_open_only(settings: Settings, origin: Origin) -> None:
    """What is open for the URLs of users opens nothing here, and the other way round."""
    issuer = Issuer()
    issuer.serve(origin)
    assert settings.locations.allowed_networks == (ip_network("127.0.0.0/8"),)
    with pytest.raises(GlareError):
        fetched(settings, issuer, allow_http=True)
    with pytest.raises(GlareError):
        fetched(settings, issuer, allow_http=True, networks=["10.0.0.0/8"])
    assert origin.seen == []
    egress = issuer_egress(settings, Reach(networks=(ip_network("10.0.0.0/8"),), ports=frozenset({8443})))
    assert (egress.schemes, egress.ports) == (frozenset({"https"}), frozenset({8443}))
    assert (egress.max_redirects, egress.proxy) == (0, None)


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/jwks",
        "file:///etc/passwd",
        "ftp://127.0.0.1/jwks",
        "http://127.0.0.1:22/jwks",
        "https://user@127.0.0.1/jwks",
        "",
    ],
)
def test_a_discovery_document_does_not_lead_elsewhere_inside(settings: Settings, origin: Origin, place: str) -> None:
    """Only to what is open for this issuer: its own ports, its networks, http and https."""
    issuer = Issuer()
    issuer.serve(origin)
    metadata = json.dumps({"issuer": issuer.url, "jwks_uri": place}).encode()
    origin.put("/realm/.well-known/openid-configuration", metadata)
    with pytest.raises(GlareError):
        fetched(settings, issuer, **INSIDE)
    assert len(origin.seen) == 1


def test_a_document_of_another_issuer_or_without_end_is_refused(settings: Settings, origin: Origin) -> None:
    """The document of another issuer, and one of more bytes than an issuer's keys can have, make no keys."""
    issuer = Issuer()
    issuer.serve(origin)
    other = json.dumps({"issuer": "https://other.example", "jwks_uri": f"{issuer.url}/jwks"}).encode()
    origin.put("/realm/.well-known/openid-configuration", other)
    with pytest.raises(KeysUnusable, match=r"other\.example"):
        fetched(settings, issuer, **INSIDE)
    origin.put("/realm/jwks", b" " * (MAX_DOCUMENT + 1))
    with pytest.raises(GlareError, match="more than"):
        fetched(settings, issuer, jwks_uri=f"{issuer.url}/jwks", **INSIDE)


def test_keys_may_stand_in_a_file(settings: Settings, tmp_path: Path) -> None:
    """Which is read again each time that keys are due, and whose loss is as an issuer that is away."""
    issuer, file = Issuer(), tmp_path / "keys.json"
    file.write_bytes(issuer.jwks)
    fetch = fetch_of(settings, issuer_of_document("corp", document(issuer, jwks_file=str(file))))
    first = read_keys(fetch())[0].kid
    issuer.rotate()
    file.write_bytes(issuer.jwks)
    assert read_keys(fetch())[0].kid != first
    file.unlink()
    with pytest.raises(KeysUnusable, match="cannot be read"):
        fetch()
