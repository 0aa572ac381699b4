"""Whom a request belongs to where there is little of something: the project of its caller, or the network that it comes
from.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from starlette.datastructures import Headers

from glare.domain.actor import Actor
from glare.shares import Party

_MOST_ADDRESSES: Final = 16
"""Addresses that are read of ``X-Forwarded-For``: no chain of proxies is longer."""


class Parties:
    """Tells parties apart. `proxies` are the networks whose word is taken for where a request comes from."""

    def __init__(self, proxies: tuple[IPv4Network | IPv6Network, ...]) -> None:
        self._proxies = proxies
        # Most requests come from few addresses, and reading one costs more than all the rest.
        self._network = lru_cache(4096)(Party.network)
        self._is_proxy = lru_cache(1024)(self._decide)

    def of_address(self, peer: str | None, headers: Headers) -> Party:
        """The network that a request comes from; `peer` is the other end of its connection."""
        return self._network(self.address(peer, headers))

    def of_actor(self, actor: Actor, by_address: Party) -> Party:
        """The party of somebody who is known now; the anonymous, and who has no project, stay with their network."""
        return by_address if actor.project is None else Party.project(actor.project)

    def address(self, peer: str | None, headers: Headers) -> str | None:
        """Where a request comes from: the last address that no proxy of ours has, read from the nearest one backwards.
        Anybody may write what comes before it.
        """
        if peer is None or not self._is_proxy(peer):
            return peer
        forwarded = ",".join(headers.getlist("x-forwarded-for"))
        if not forwarded:
            return peer
        nearest = peer
        for part in reversed(forwarded.rsplit(",", _MOST_ADDRESSES)):
            address = part.strip()
            if not _is_address(address):
                return nearest
            nearest = address
            if not self._is_proxy(address):
                return address
        return nearest

    def _decide(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._proxies)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
