"""Every bound of an outbound request, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Network

from glare.egress.decision import EgressRules, Network
from glare.egress.names import NameBounds
from glare.egress.url import UrlRules


@dataclass(frozen=True, slots=True)
class EgressSettings:
    """What limits the guarded client. Times are seconds, sizes are bytes."""

    schemes: frozenset[str] = frozenset({"http", "https"})
    """URL schemes that may be recorded and requested."""
    ports: frozenset[int] = frozenset({80, 443})
    """TCP ports that a URL may name."""
    ports_option: str = "[locations] allowed_ports"
    """The option that opens ports, for messages."""
    opened_networks: tuple[Network, ...] = ()
    """Networks that may be reached although they are not global. A metadata endpoint is opened only by its own /32 or
    /128."""
    forbidden_networks: tuple[Network, ...] = ()
    """The operator's own endpoints; they win over `opened_networks`."""
    forbidden_hosts: frozenset[str] = frozenset()
    """Lower-case names of the operator's own endpoints; what lies below them is forbidden too."""
    nat64_prefixes: tuple[IPv6Network, ...] = ()
    """Prefixes of the operator's NAT64 translators beside 64:ff9b::/96."""
    proxy: tuple[str, int] | None = None
    """Host and port of an HTTP proxy. Names are still resolved and decided here; it is asked to CONNECT to an
    address."""
    header_seconds: float = 15.0
    """One deadline over name resolution, connecting, TLS, redirects, interim responses and headers."""
    connect_seconds: float = 5.0
    """How long connecting to one host may take, all of its addresses together."""
    answer_seconds: float = 10.0
    """How long the first byte of an answer may take: in TLS from the connection on, else from the request on."""
    hurry_seconds: float = 2.0
    """The same two limits where another location of the content waits."""
    attempt_delay: float = 0.25
    """How long an address may take to connect until the next one is tried as well (RFC 8305)."""
    max_addresses: int = 16
    """Addresses of one name that are tried for one request."""
    failure_seconds: float = 60.0
    """How long what has failed is asked after what has not."""
    max_failures: int = 10_000
    """How many failures are remembered; the oldest are forgotten first."""
    resumptions: int = 20
    """How often one download goes on after its origin broke off, where that knows ranges."""
    body_seconds: float = 6 * 3600.0
    """How long all waiting for one body may take together; the time that its reader takes does not count."""
    grace_seconds: float = 20.0
    """The first window of a body in which the origin's rate is measured."""
    window_seconds: float = 10.0
    """Each later window. Only time spent waiting for the origin counts."""
    minimum_rate: int = 16 << 10
    """Bytes per second that an origin must deliver on average over each window."""
    max_header_bytes: int = 64 << 10
    """All interim responses and headers of one answer together."""
    max_headers: int = 100
    """Header fields of one answer."""
    max_redirects: int = 5
    """Redirects that are followed. Their bodies are never read: the connection is closed after the headers."""
    resolve_seconds: float = 5.0
    """How long one look-up may take, from when it has a thread."""
    name_bounds: NameBounds = field(default_factory=NameBounds)
    """How many look-ups may run at once, of whom."""
    refusal_floor_seconds: float = 1.0
    """The least time that a refusal takes whose cause must not be revealed: unknown name, forbidden address, closed
    port."""
    cdn_loop_id: str = "glare"
    """Our id in ``CDN-Loop`` (RFC 8586); unique to this service."""
    trace_headers: frozenset[str] = frozenset()
    """Which of ``traceparent`` and ``tracestate`` go along, where the work at hand is part of a trace."""
    user_agent: str = "glare"
    """The ``User-Agent``; the composition root adds the version."""

    @property
    def url_rules(self) -> UrlRules:
        return UrlRules(self.schemes, self.ports, self.ports_option)

    @property
    def rules(self) -> EgressRules:
        return EgressRules(self.opened_networks, self.forbidden_networks, self.forbidden_hosts, self.nat64_prefixes)
