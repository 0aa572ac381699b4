"""Identity from the headers of a proxy that has authenticated the caller (the contract's §3, rows *keystone* and
*noauth*).

Whoever connects from a trusted peer may be anybody, so the proxy must remove these headers from what it receives and
set its own, and nothing else may reach the service from its address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from glare.domain.actor import Actor
from glare.errors import BadRequest, Unauthorized
from glare.identity.base import Credentials, of_a_domain, split_roles, trimmed

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

IDENTITY_HEADERS = ("x-identity-status", "x-user-id", "x-project-id", "x-tenant-id", "x-domain-id", "x-roles")


class TrustedHeadersSource:
    """Takes requests whose headers say that an identity is confirmed.

    `peers` are the networks that proxies connect from; `trust_unix_socket` trusts connections that have no address.
    """

    name = "trusted_headers"
    remedy = (
        "Connect through the proxy that authenticates for this service, and log in there; it has to say "
        "X-Identity-Status: Confirmed."
    )
    challenges = ()

    def __init__(self, peers: Iterable[Network], *, trust_unix_socket: bool = False) -> None:
        self._networks = tuple(peers)
        self._trust_unix_socket = trust_unix_socket
        # Reading an address costs more than all the rest, and there are few proxies.
        self._is_trusted = lru_cache(maxsize=1024)(self._decide)

    def known(self, credentials: Credentials) -> Actor | None:
        headers = credentials.headers
        if not self._is_trusted(credentials.peer):
            if any(name in headers for name in IDENTITY_HEADERS):
                raise Unauthorized(
                    "This request names an identity, and comes from an address whose word is not taken for it. "
                    "Connect through the proxy that authenticates."
                )
            return None
        if trimmed(headers.get("x-identity-status", "")) != "Confirmed":
            return None
        if (catalog := headers.get("x-service-catalog")) is not None:
            _check_catalog(catalog)
        project = trimmed(headers.get("x-project-id", ""))
        tenant = trimmed(headers.get("x-tenant-id", ""))
        if project and tenant and project != tenant:
            raise BadRequest(
                "The headers X-Project-Id and X-Tenant-Id name different projects; the proxy has to set both to the "
                "same, or to remove one."
            )
        if trimmed(headers.get("x-domain-id", "")) and not (project or tenant):
            raise of_a_domain()
        user = trimmed(headers.get("x-user-id", ""))
        roles = split_roles(headers.get("x-roles", ""))
        return Actor(user or None, project or tenant or None, roles, source=self.name)

    def decide(self, credentials: Credentials) -> Actor | None:
        return self.known(credentials)

    def again(self, actor: Actor, _: str | None) -> Actor | None:
        return actor if actor.source == self.name else None

    def _decide(self, peer: str | None) -> bool:
        if peer is None:
            return self._trust_unix_socket
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        # A socket that listens on IPv6 shows an IPv4 client in this form.
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _check_catalog(text: str) -> None:
    """Glare needs nothing out of the catalogue, but a proxy that garbles it should hear so."""
    try:
        msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise BadRequest(
            "The X-Service-Catalog header is not a JSON array; mend the proxy that sets it, or let it leave it out."
        ) from None
