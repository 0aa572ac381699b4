"""Options of external locations: what may be reached, and what it may cost."""

from __future__ import annotations

from ipaddress import IPv6Network

from glare.egress.confidential import HARMLESS
from glare.settings.declare import (
    Network,
    Section,
    choice,
    count_or_unlimited,
    flag,
    host_names,
    integer,
    nat64_prefixes,
    networks,
    optional_proxy,
    ports,
    seconds,
    section,
    size,
    size_or_unlimited,
    text,
    words,
)
from glare.settings.units import DAY, GIB, KIB, MIB


@section("locations")
class LocationsSettings(Section):
    """External locations: what may be reached, and what it may cost."""

    measure: str = choice(
        "require",
        "`require`: Glare downloads every location and records what it measured itself. `off`, for API nodes without "
        "a way out: what the client says is recorded, and the state is `unverified` until a worker has measured it. "
        "Until then the blob is not served.",
        ("require", "off"),
    )
    measure_later: bool = flag(
        "true",
        "Whether workers measure what was recorded with `measure = off`. Set it to false where no process has a way "
        "out: an owner may still ask for a check.",
    )
    allowed_schemes: tuple[str, ...] = words(
        "http, https", "URL schemes that may be recorded.", allowed=("http", "https"), empty=False
    )
    allowed_ports: tuple[int, ...] = ports(
        "80, 443", "Ports that may be reached; more than the web's own make Glare a port scanner."
    )
    harmless_parameters: tuple[str, ...] = words(
        ", ".join(HARMLESS),
        "Query parameters that are no secret, with values of at most 24 letters, digits and ` ./_+-`. A URL with any "
        "other in its query is confidential, unless its owner records it with `confidential` false; one with the "
        "parameter of a known secret always is.",
    )
    allowed_networks: tuple[Network, ...] = networks(
        "",
        "Networks that may be reached although they are not public, such as an internal mirror's. Forbidden ones "
        "stay forbidden.",
    )
    forbidden_networks: tuple[Network, ...] = networks(
        "", "Networks that are never reached, above all your own endpoints that have public addresses."
    )
    forbidden_hosts: tuple[str, ...] = host_names("", "Host names that are never reached, with every name below them.")
    nat64_prefixes: tuple[IPv6Network, ...] = nat64_prefixes(
        "",
        "NAT64 prefixes of your network besides the well-known one: addresses below them are judged by the IPv4 "
        "address inside.",
    )
    egress_proxy: tuple[str, int] | None = optional_proxy(
        "HTTP proxy for outbound requests: Glare resolves and decides, then asks it to CONNECT to the address. "
        "Proxies of the environment are ignored."
    )
    header_deadline: float = seconds(
        "15 s",
        "Time for name resolution, connection, TLS and the headers of an answer, together.",
        at_least=0.1,
        at_most=300,
    )
    connect_timeout: float = seconds(
        "5 s",
        "Time for the connection to one host, all of its addresses together. It lies within `header_deadline`.",
        at_least=0.1,
        at_most=300,
    )
    answer_timeout: float = seconds(
        "10 s",
        "Time until an origin sends a first byte, in TLS counted from the connection, then from the request. It lies "
        "within `header_deadline`.",
        at_least=0.1,
        at_most=300,
    )
    hurry: float = seconds(
        "2 s",
        "What `connect_timeout` and `answer_timeout` are at most where another location of the same content waits; "
        "where all of them fail, those that only were too slow are asked again without hurry.",
        at_least=0.1,
        at_most=300,
    )
    address_delay: float = seconds(
        "250 ms",
        "Time that an address of a host gets to connect until the next one is tried beside it (RFC 8305).",
        at_least=0.01,
        at_most=60,
    )
    max_addresses: int = integer(
        "16", "Addresses of one host that one request tries at most.", at_least=1, at_most=1000
    )
    failure_memory: float = seconds(
        "1 min",
        "How long each process asks what has just failed, an address or a location, only after what has not.",
        at_least=0,
        at_most=DAY,
    )
    remembered_failures: int = integer(
        "10000",
        "How many such failures each process remembers; the oldest are forgotten first.",
        at_least=1,
        at_most=10**6,
    )
    resumptions: int = integer(
        "20",
        "How often one download, recording or promotion goes on at the byte it has, after an origin that knows "
        "ranges broke off. Twice in a row without a block between ends it, as does a second time with an origin that "
        "knows none.",
        at_least=0,
        at_most=10**6,
    )
    total_time: float = seconds(
        "6 h",
        "Time that one measurement may wait for its origin: enough for 100 GB at 5 MB a second.",
        at_least=1,
        at_most=7 * DAY,
    )
    minimum_throughput: int = size(
        "16 KiB",
        "Bytes a second that an origin must deliver, so that a dripping one does not hold a thread.",
        at_least=1,
        at_most=GIB,
    )
    max_header_bytes: int = size(
        "64 KiB",
        "Largest head of an origin's answer, interim answers included; and the longest URL that a redirect may lead "
        "to.",
        at_least=KIB,
        at_most=MIB,
    )
    max_headers: int = integer("100", "Most header fields in an origin's answer.", at_least=10, at_most=1000)
    max_redirects: int = integer(
        "5",
        "Redirects that are followed; each is decided afresh, and the body of none is read. A request that fails "
        "where a redirect led is sent once more, from the start.",
        at_least=0,
        at_most=20,
    )
    resolve_timeout: float = seconds(
        "5 s", "Time for one name resolution, from when it has a thread.", at_least=0.1, at_most=60
    )
    resolve_patience: float = seconds(
        "2 s",
        "How long a name resolution waits for a free thread. Then it is given up with 503, and the location is not "
        "blamed.",
        at_least=0,
        at_most=60,
    )
    resolve_slow_after: float = seconds(
        "1 s",
        "A name resolution that is not answered by then gives its place among `resolver_threads` to the next.",
        at_least=0.01,
        at_most=60,
    )
    resolve_memory: float = seconds(
        "10 s", "How long a name that was not answered in time is not asked for again.", at_least=0, at_most=3600
    )
    resolver_threads: int = integer(
        "16",
        "Host names that are resolved at the same time and are not slow; each has a thread of its own.",
        at_least=1,
        at_most=256,
    )
    resolver_slow_threads: int = integer(
        "128", "Further threads, for names that are not answered by `resolve_slow_after`.", at_least=1, at_most=4096
    )
    resolver_project_threads: int = integer(
        "8", "Most of these threads, slow ones included, for one project or anonymous network.", at_least=1, at_most=256
    )
    resolver_domain_threads: int = integer(
        "8",
        "Most of these threads, slow ones included, for names of one registered domain; one project may have half of "
        "them.",
        at_least=1,
        at_most=256,
    )
    refusal_floor: float = seconds(
        "1 s",
        "Least time that a refusal takes, so that nobody learns from its speed whether a name or port exists.",
        at_least=0,
        at_most=60,
    )
    cdn_loop_id: str = text(
        "glare",
        "Name of this deployment in the CDN-Loop header of outbound requests; a request that carries it is answered "
        "508. Give each deployment its own when one records locations of another.",
        at_most=255,
    )
    pass_trace: bool = flag(
        "false",
        "Whether requests to origins carry the `traceparent` of the request or job that causes them; `tracestate` "
        "never goes there. Off, because an origin is a stranger, which could tell from it what belongs together. On "
        "where origins are your own mirrors, and traces should reach them.",
    )
    redirect: bool = flag(
        "false",
        "Whether a download of an external blob may be answered by a redirect (302) to its origin, where the request "
        "carries no credentials or asks for it with `?redirect=true`. Glare then vouches for its last proof only, "
        "not for the bytes that the client gets. Never for confidential locations.",
    )
    shared_memory: int = size(
        "16 MiB",
        "Memory per process for checked blocks of external locations that readers of the same content share. Each "
        "fetch keeps 2 MiB at least.",
        at_least=2 * MIB,
        at_most=64 * GIB,
    )
    read_project_requests: int = count_or_unlimited(
        "100000", "Requests to origins in a window for downloads of one project; 429 beyond it."
    )
    read_project_bytes: int = size_or_unlimited(
        "4 TiB", "Bytes that origins send in a window for downloads of one project; 429 beyond it."
    )
    read_network_requests: int = count_or_unlimited(
        "10000", "Requests to origins in a window for anonymous downloads of one network (a /24 or /64)."
    )
    read_network_bytes: int = size_or_unlimited(
        "256 GiB", "Bytes that origins send in a window for anonymous downloads of one network."
    )
    read_network_waste: int = size_or_unlimited(
        "1 GiB",
        "Bytes that origins send in a window for anonymous downloads of one network and that it does not take, such "
        "as what comes before a range. So nobody has a hundred bytes fetched for each that they read.",
    )
    read_host_requests: int = count_or_unlimited(
        "200000", "Requests to one host in a window for downloads of everybody; 503 beyond it."
    )
    read_host_bytes: int = size_or_unlimited(
        "16 TiB", "Bytes that one host sends in a window for downloads of everybody; 503 beyond it."
    )
    range_skip: int = size(
        "16 MiB",
        "An origin that knows no ranges is read from its beginning for a range that begins within this many "
        "bytes. For "
        "a later one the whole blob is sent (200), as HTTP allows.",
        at_least=0,
        at_most=64 * GIB,
    )
    window: float = seconds(
        "1 h", "Period that limits of requests and bytes are counted in.", at_least=1, at_most=31 * DAY
    )
    project_requests: int = count_or_unlimited(
        "1000", "Measurements of one project in a window, whatever their outcome; 429 beyond it."
    )
    project_bytes: int = size_or_unlimited(
        "1 TiB", "Bytes measured for one project in a window, whatever the outcome; 429 beyond it."
    )
    project_concurrency: int = integer("8", "Measurements of one project at the same time.", at_least=1, at_most=4096)
    host_concurrency: int = integer(
        "4", "Measurements from one host at the same time, over all projects.", at_least=1, at_most=4096
    )
