"""Which addresses an outbound request may go to. Pure: tables and one decision.

An address is allowed when it is global unicast, or when the operator has opened a network that holds it. Addresses
that carry an IPv4 address are decided on both: the outer one and what it leads to. The tables follow the IANA IPv4 and
IPv6 Special-Purpose Address Registries, and are stricter than them in one way: blocks whose parts differ (192.0.0.0/24,
2001::/23) are forbidden whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from glare.errors import Cause, LocationRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNREACHABLE: Final = (
    "The value of 'url' cannot be used: its host does not resolve, does not answer, or may not be reached from this "
    "service. Check the name and the port. Only public addresses may be reached, unless the operator opens others with "
    "[locations] allowed_networks; forbidden_networks and forbidden_hosts close them."
)
"""The one sentence for a name that does not exist, a forbidden address and a closed port."""


@dataclass(frozen=True, slots=True)
class EgressRules:
    """What the operator has opened and closed beyond the registries.

    `opened` are networks that may be reached although they are not global; `forbidden` and `forbidden_hosts`
    (lower-case names, with everything below them) are the operator's own endpoints and win over `opened`. `nat64` are
    the prefixes of the operator's translators (RFC 6052: /32, /40, /48, /56, /64 or /96).
    """

    opened: tuple[Network, ...] = ()
    forbidden: tuple[Network, ...] = ()
    forbidden_hosts: frozenset[str] = frozenset()
    nat64: tuple[IPv6Network, ...] = ()

    def __post_init__(self) -> None:
        for prefix in self.nat64:
            if prefix.prefixlen not in _NAT64_SHIFTS:
                raise ValueError(f"NAT64 prefix {prefix} must be a /32, /40, /48, /56, /64 or /96 (RFC 6052)")


@dataclass(frozen=True, slots=True)
class Special:
    """One block that is not global unicast, with the name under which its registry lists it."""

    network: Network
    name: str


def _table(*rows: tuple[str, str]) -> tuple[Special, ...]:
    return tuple(Special(ip_network(network), name) for network, name in rows)


METADATA: Final = _table(
    ("169.254.169.254/32", "instance metadata (AWS, Google, Azure, OpenStack)"),
    ("169.254.170.2/32", "container credentials (AWS ECS)"),
    ("168.63.129.16/32", "platform endpoint (Azure)"),
    ("100.100.100.200/32", "instance metadata (Alibaba)"),
    ("192.0.0.192/32", "instance metadata (Oracle)"),
    ("fd00:ec2::254/128", "instance metadata (AWS)"),
    ("fd20:ce::254/128", "instance metadata (Google)"),
)
"""Endpoints that hand out credentials. Only a network that names exactly this one address opens it."""

SPECIAL: Final = _table(
    # IANA IPv4 Special-Purpose Address Registry
    ("0.0.0.0/8", "this network (RFC 791)"),
    ("10.0.0.0/8", "private use (RFC 1918)"),
    ("100.64.0.0/10", "shared address space (RFC 6598)"),
    ("127.0.0.0/8", "loopback (RFC 1122)"),
    ("169.254.0.0/16", "link local (RFC 3927)"),
    ("172.16.0.0/12", "private use (RFC 1918)"),
    ("192.0.0.0/24", "IETF protocol assignments (RFC 6890)"),
    ("192.0.2.0/24", "documentation (RFC 5737)"),
    ("192.88.99.0/24", "deprecated 6to4 relay anycast (RFC 7526)"),
    ("192.168.0.0/16", "private use (RFC 1918)"),
    ("198.18.0.0/15", "benchmarking (RFC 2544)"),
    ("198.51.100.0/24", "documentation (RFC 5737)"),
    ("203.0.113.0/24", "documentation (RFC 5737)"),
    ("240.0.0.0/4", "reserved (RFC 1112)"),
    # IANA IPv4 Multicast Address Space Registry
    ("224.0.0.0/4", "multicast (RFC 5771)"),
    # IANA IPv6 Special-Purpose Address Registry, inside 2000::/3
    ("2001::/23", "IETF protocol assignments (RFC 2928)"),
    ("2001:db8::/32", "documentation (RFC 3849)"),
    ("2002::/16", "6to4 (RFC 3056)"),
    ("3fff::/20", "documentation (RFC 9637)"),
)

GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that IANA assigns as global unicast; loopback, ULA, site local, multicast and the rest lie outside."""


def decide(addresses: Sequence[Address], rules: EgressRules) -> tuple[Address, ...]:
    """The addresses to try, in order: all of `addresses`, since one forbidden address refuses the whole name.

    IPv4-mapped addresses come back as the IPv4 address that they are. Raises `LocationRefused` with the message
    `UNREACHABLE`; its reason names the address and the rule.
    """
    if not addresses:
        raise LocationRefused(UNREACHABLE, reason="the name has no address", cause=Cause.DNS)
    for address in addresses:
        why = objection(address, rules)
        if why is not None:
            raise LocationRefused(UNREACHABLE, reason=f"{address} is {why}")
    unmapped = (getattr(address, "ipv4_mapped", None) or address for address in addresses)
    return tuple(dict.fromkeys(unmapped))


def check_host(host: str, rules: EgressRules) -> None:
    """Raises `LocationRefused` where the normalised `host` is one of the operator's own names or lies below one."""
    labels = host.split(".")
    for at in range(len(labels)):
        if ".".join(labels[at:]) in rules.forbidden_hosts:
            raise LocationRefused(UNREACHABLE, reason=f"{host} is an endpoint of the operator")


def objection(address: Address, rules: EgressRules) -> str | None:
    """Why `address` is forbidden, None where it is allowed."""
    if isinstance(address, IPv6Address):
        address = IPv6Address(int(address))  # A zone id decides nothing.
    if _inside(address, rules.forbidden):
        return "an endpoint of the operator"
    embedding = _embedding(address, rules)
    if embedding is None:
        return _plain_objection(address, rules)
    for inner in embedding.carried(int(address)):
        why = objection(inner, rules)
        if why is not None:
            return f"{embedding.name} of {inner}, which is {why}"
    return None if embedding.transparent else _plain_objection(address, rules)


def _plain_objection(address: Address, rules: EgressRules) -> str | None:
    for special in METADATA:
        if address in special.network:
            return None if special.network in rules.opened else special.name
    if _inside(address, rules.opened):
        return None
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return "outside IPv6 global unicast"
    return next((special.name for special in SPECIAL if address in special.network), None)


def _inside(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


@dataclass(frozen=True, slots=True)
class _Embedding:
    """A form of IPv6 address that carries IPv4 addresses.

    `transparent` where it is only another spelling of the IPv4 address, which then decides alone.
    """

    network: IPv6Network
    name: str
    carried: Callable[[int], tuple[IPv4Address, ...]]
    transparent: bool


def _low(value: int) -> tuple[IPv4Address, ...]:
    return (IPv4Address(value & 0xFFFFFFFF),)


def _sixtofour(value: int) -> tuple[IPv4Address, ...]:
    return (IPv4Address(value >> 80 & 0xFFFFFFFF),)


def _teredo(value: int) -> tuple[IPv4Address, ...]:
    """Server, and client with its bits inverted (RFC 4380, section 4)."""
    return IPv4Address(value >> 64 & 0xFFFFFFFF), IPv4Address(~value & 0xFFFFFFFF)


def _nat64(prefix: int) -> Callable[[int], tuple[IPv4Address, ...]]:
    high, low = _NAT64_SHIFTS[prefix]

    def carried(value: int) -> tuple[IPv4Address, ...]:
        # Bits 64 to 71 are not part of the IPv4 address: take them out, then the 32 bits after the prefix.
        joined = (value >> 64 << 56) | (value & (1 << 56) - 1) if high else value
        return (IPv4Address(joined >> low & 0xFFFFFFFF),)

    return carried


# Prefix length to (whether bits 64-71 are skipped, how far the IPv4 address is from the right end without them).
_NAT64_SHIFTS: Final = {
    32: (False, 64),
    40: (True, 48),
    48: (True, 40),
    56: (True, 32),
    64: (True, 24),
    96: (False, 0),
}

_EMBEDDINGS: Final = (
    _Embedding(IPv6Network("::ffff:0:0/96"), "the IPv4-mapped form", _low, transparent=True),
    _Embedding(IPv6Network("64:ff9b::/96"), "the NAT64 form", _nat64(96), transparent=True),
    _Embedding(IPv6Network("::ffff:0:0:0/96"), "the IPv4-translated form", _low, transparent=False),
    _Embedding(IPv6Network("2002::/16"), "the 6to4 form", _sixtofour, transparent=False),
    _Embedding(IPv6Network("2001::/32"), "the Teredo form", _teredo, transparent=False),
    _Embedding(IPv6Network("::/96"), "the IPv4-compatible form", _low, transparent=False),
)
_NO_EMBEDDING: Final = frozenset({IPv6Address("::"), IPv6Address("::1")})


def _embedding(address: Address, rules: EgressRules) -> _Embedding | None:
    if isinstance(address, IPv4Address) or address in _NO_EMBEDDING:
        return None
    for prefix in rules.nat64:
        if address in prefix:
            return _Embedding(prefix, "the NAT64 form", _nat64(prefix.prefixlen), transparent=True)
    return next((embedding for embedding in _EMBEDDINGS if address in embedding.network), None)
