"""Identity from the headers of a proxy."""

from __future__ import annotations

import ipaddress

import pytest

from glare.domain.actor import ANONYMOUS, Actor
from glare.errors import BadRequest, Forbidden, Unauthorized
from glare.identity.base import Credentials
from glare.identity.pipeline import Pipeline
from glare.identity.trusted_headers import IDENTITY_HEADERS, TrustedHeadersSource
from support.identities import decided

PROXY = "10.1.2.3"
PEERS = (ipaddress.ip_network("10.1.2.0/24"), ipaddress.ip_network("fd00::/8"))
CONFIRMED = {"x-identity-status": "Confirmed", "x-user-id": "ann", "x-project-id": "p1", "x-roles": "member, Admin ,,"}


def who(
    headers: dict[str, str],
    peer: str | None = PROXY,
    *,
    allow_anonymous: bool = False,
    trust_unix_socket: bool = False,
) -> Actor:
    source = TrustedHeadersSource(PEERS, trust_unix_socket=trust_unix_socket)
    return decided(Pipeline([source], allow_anonymous=allow_anonymous), Credentials(headers, peer))


@pytest.mark.parametrize("peer", [PROXY, "10.1.2.255", "fd12::1", "::ffff:10.1.2.9"])
def test_a_trusted_peer_is_believed(peer: str) -> None:
    """Headers from a configured network name the caller, also when IPv6 wraps its address."""
    assert who(CONFIRMED, peer) == Actor("ann", "p1", frozenset({"member", "Admin"}))


@pytest.mark.parametrize("peer", ["10.1.3.1", "::1", "::ffff:10.1.3.1", None, "", "proxy.example", "10.1.2.3:80"])
@pytest.mark.parametrize("anonymous", [True, False])
def test_nobody_else_is_believed(peer: str | None, anonymous: bool) -> None:
    """From any other place the headers are refused, and not taken for no credentials."""
    with pytest.raises(Unauthorized, match="proxy"):
        who(CONFIRMED, peer, allow_anonymous=anonymous)


@pytest.mark.parametrize("header", ["x-user-id", "x-project-id", "x-roles"])
def test_names_that_end_in_different_letters_are_different_ones(header: str) -> None:
    """In UTF-8 `à` and `Å` end with bytes that ISO 8859-1, as which headers are read, has among its blanks."""
    one, two = (
        who(CONFIRMED | {header: f" \t{name.encode().decode('latin-1')} \t"}) for name in ("caf\u00e0", "caf\u00c5")
    )
    assert one != two


@pytest.mark.parametrize("name", IDENTITY_HEADERS)
def test_each_header_of_an_identity_is_a_claim(name: str) -> None:
    """One of the headers is enough to be refused from a place that is not trusted."""
    with pytest.raises(Unauthorized):
        who({name: "x"}, "192.0.2.1", allow_anonymous=True)


def test_a_unix_socket_is_trusted_only_by_name() -> None:
    """A connection without an address is believed only when the configuration says so."""
    with pytest.raises(Unauthorized):
        who(CONFIRMED, None)
    assert who(CONFIRMED, None, trust_unix_socket=True).project == "p1"


@pytest.mark.parametrize("status", [None, "Invalid", "confirmed", ""])
def test_an_unconfirmed_caller_is_anonymous_or_refused(status: str | None) -> None:
    """Any status but Confirmed is the anonymous reader where that is allowed, else 401, whatever the other headers
    say.
    """
    headers = {name: value for name, value in CONFIRMED.items() if name != "x-identity-status"}
    if status is not None:
        headers["x-identity-status"] = status
    with pytest.raises(Unauthorized, match="X-Identity-Status: Confirmed"):
        who(headers)
    assert who(headers, allow_anonymous=True) is ANONYMOUS


def test_without_headers_anybody_is_anonymous_where_allowed() -> None:
    """A request without identity from elsewhere is the anonymous reader, or 401."""
    assert who({}, "192.0.2.1", allow_anonymous=True) is ANONYMOUS
    with pytest.raises(Unauthorized):
        who({}, "192.0.2.1")


def test_the_tenant_header_stands_in_for_the_project_header() -> None:
    """X-Tenant-Id is used where X-Project-Id is absent or empty; where both are there they have to say the same."""
    base = {"x-identity-status": "Confirmed", "x-tenant-id": "old"}
    assert who(base).project == "old"
    assert who({**base, "x-project-id": ""}).project == "old"
    assert who({**base, "x-project-id": "old"}).project == "old"
    with pytest.raises(BadRequest, match="different projects"):
        who({**base, "x-project-id": "new"})


def test_a_confirmed_caller_may_have_no_project() -> None:
    """Confirmed without a project is a user without one, and not the anonymous reader."""
    assert who({"x-identity-status": "Confirmed", "x-user-id": "ann"}) == Actor("ann", None, frozenset())


def test_a_caller_of_a_domain_is_refused() -> None:
    """The roles of a domain hold nowhere here, also where they are an administrator's; beside a project it is no
    matter.
    """
    headers = {"x-identity-status": "Confirmed", "x-user-id": "ann", "x-domain-id": "d1", "x-roles": "admin"}
    with pytest.raises(Forbidden, match="of a domain"):
        who(headers)
    assert who({**headers, "x-project-id": "p1"}).project == "p1"


@pytest.mark.parametrize("catalog", ["{", "not json", '{"a": 1}', "[1,", ""])
def test_a_garbled_catalogue_is_refused(catalog: str) -> None:
    """A service catalogue that is no JSON array is 400 with the header's name."""
    with pytest.raises(BadRequest, match="X-Service-Catalog"):
        who({**CONFIRMED, "x-service-catalog": catalog})


def test_a_sound_catalogue_changes_nothing() -> None:
    """A service catalogue is accepted and not used."""
    assert who({**CONFIRMED, "x-service-catalog": '[{"type": "artifact"}]'}) == who(CONFIRMED)
