"""Options of what goes on with the world outside: external locations, their jobs and checks, and subscriptions."""

from __future__ import annotations

from ipaddress import IPv6Network
from pathlib import Path

from glare.egress.confidential import HARMLESS
from glare.settings.content import PROMOTE_WHEN
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
    path,
    ports,
    seconds,
    section,
    size,
    size_or_unlimited,
    text,
    urls,
    words,
)
from glare.settings.service import DAY, GIB, KIB, MIB


@section("locations")
class LocationsSettings(Section):
    """External locations: what may be reached, and what it may cost."""

    measure: str = choice(
        "require",
        "`require`: Glare downloads every location and records what it measured itself. `off`, for API nodes without a way out: what "
        "the client says is recorded, and the state is `unverified` until a worker has measured it. Until then the blob is not served.",
        ("require", "off"),
    )
    measure_later: bool = flag(
        "true",
        "Whether workers measure what was recorded with `measure = off`. Set it to false where no process has a way out: an owner "
        "may still ask for a check.",
    )
    allowed_schemes: tuple[str, ...] = words(
        "http, https", "URL schemes that may be recorded.", allowed=("http", "https"), empty=False
    )
    allowed_ports: tuple[int, ...] = ports(
        "80, 443", "Ports that may be reached; more than the web's own make Glare a port scanner."
    )
    harmless_parameters: tuple[str, ...] = words(
        ", ".join(HARMLESS),
        "Query parameters that are no secret, with values of at most 24 letters, digits and ` ./_+-`. A URL with any other in its query is confidential, "
        "unless its owner records it with `confidential` false; one with the parameter of a known secret always is.",
    )
    allowed_networks: tuple[Network, ...] = networks(
        "",
        "Networks that may be reached although they are not public, such as an internal mirror's. Forbidden ones stay forbidden.",
    )
    forbidden_networks: tuple[Network, ...] = networks(
        "", "Networks that are never reached, above all your own endpoints that have public addresses."
    )
    forbidden_hosts: tuple[str, ...] = host_names("", "Host names that are never reached, with every name below them.")
    nat64_prefixes: tuple[IPv6Network, ...] = nat64_prefixes(
        "",
        "NAT64 prefixes of your network besides the well-known one: addresses below them are judged by the IPv4 address inside.",
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
        "Time until an origin sends a first byte, in TLS counted from the connection, then from the request. It lies within "
        "`header_deadline`.",
        at_least=0.1,
        at_most=300,
    )
    hurry: float = seconds(
        "2 s",
        "What `connect_timeout` and `answer_timeout` are at most where another location of the same content waits; where all of them fail, "
        "those that only were too slow are asked again without hurry.",
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
        "How often one download, recording or promotion goes on at the byte it has, after an origin that knows ranges broke off. Twice in a "
        "row without a block between ends it, as does a second time with an origin that knows none.",
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
        "Largest head of an origin's answer, interim answers included; and the longest URL that a redirect may lead to.",
        at_least=KIB,
        at_most=MIB,
    )
    max_headers: int = integer("100", "Most header fields in an origin's answer.", at_least=10, at_most=1000)
    max_redirects: int = integer(
        "5",
        "Redirects that are followed; each is decided afresh, and the body of none is read. A request that fails where a redirect led is sent "
        "once more, from the start.",
        at_least=0,
        at_most=20,
    )
    resolve_timeout: float = seconds(
        "5 s", "Time for one name resolution, from when it has a thread.", at_least=0.1, at_most=60
    )
    resolve_patience: float = seconds(
        "2 s",
        "How long a name resolution waits for a free thread. Then it is given up with 503, and the location is not blamed.",
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
        "Most of these threads, slow ones included, for names of one registered domain; one project may have half of them.",
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
        "Name of this deployment in the CDN-Loop header of outbound requests; a request that carries it is answered 508. "
        "Give each deployment its own when one records locations of another.",
        at_most=255,
    )
    pass_trace: bool = flag(
        "false",
        "Whether requests to origins carry the `traceparent` of the request or job that causes them; `tracestate` never goes there. Off, because an origin is a "
        "stranger, which could tell from it what belongs together. On where origins are your own mirrors, and traces should reach them.",
    )
    redirect: bool = flag(
        "false",
        "Whether a download of an external blob may be answered by a redirect (302) to its origin, where the request carries no credentials or asks "
        "for it with `?redirect=true`. Glare then vouches for its last proof only, not for the bytes that the client gets. Never for confidential locations.",
    )
    shared_memory: int = size(
        "16 MiB",
        "Memory per process for checked blocks of external locations that readers of the same content share. Each fetch keeps 2 MiB at least.",
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
        "Bytes that origins send in a window for anonymous downloads of one network and that it does not take, such as what comes before a "
        "range. So nobody has a hundred bytes fetched for each that they read.",
    )
    read_host_requests: int = count_or_unlimited(
        "200000", "Requests to one host in a window for downloads of everybody; 503 beyond it."
    )
    read_host_bytes: int = size_or_unlimited(
        "16 TiB", "Bytes that one host sends in a window for downloads of everybody; 503 beyond it."
    )
    range_skip: int = size(
        "16 MiB",
        "An origin that knows no ranges is read from its beginning for a range that begins within so many bytes. For a later one the whole "
        "blob is sent (200), as HTTP allows.",
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


@section("jobs")
class JobsSettings(Section):
    """Work that outlives the request that asked for it: asynchronous recording, later measuring, promotion. Any number
    of processes shares it.
    """

    workers: int = integer(
        "4",
        "Jobs of each process with background work that are at work at the same time; 0 leaves them to other processes. Those that wait "
        "for a slow origin do not count.",
        at_least=0,
        at_most=256,
    )
    max_workers: int = integer(
        "256",
        "Jobs of each process under way together, slow ones included. Each has a thread, which costs about 200 KB while it waits.",
        at_least=1,
        at_most=4096,
    )
    project_workers: int = integer(
        "8", "Jobs of one project under way in each process, slow ones included.", at_least=1, at_most=4096
    )
    slow_after: float = seconds(
        "1 s",
        "A job that has waited for its origin for nearly all of so long gives its place among `workers` to the next.",
        at_least=0.01,
        at_most=3600,
    )
    poll_interval: float = seconds("1 s", "Pause between two looks for a job that is due.", at_least=0.1, at_most=3600)
    tries: int = integer(
        "5",
        "How often a job is begun before it fails for good, where its failure may pass, such as a server that does not answer.",
        at_least=1,
        at_most=1000,
    )
    retry_first: float = seconds(
        "30 s", "Time until a job is tried again; doubled with each further failure.", at_least=0.1, at_most=DAY
    )
    retry_most: float = seconds(
        "1 h",
        "Longest time until a job is tried again, and the most that the Retry-After of an origin is obeyed.",
        at_least=0.1,
        at_most=365 * DAY,
    )
    busy_wait: float = seconds(
        "5 s",
        "How long a job waits where its project or host has as much under way as `[locations]` allows, or its window is used up.",
        at_least=0.1,
        at_most=DAY,
    )
    project_jobs: int = integer(
        "1000", "Jobs of one project that have not ended; 429 beyond it.", at_least=1, at_most=10**6
    )
    retention: float = seconds(
        "30 d",
        "How long ended jobs are kept, and with them why a recording failed; the sweep removes older ones.",
        at_least=60,
        at_most=3650 * DAY,
    )


@section("promotion")
class PromotionSettings(Section):
    """Copying external blobs of active artifacts into a store without being asked for it. The owner's quota holds."""

    when: str = choice(
        "never",
        "`unreachable`: when another location of the same content has become unreachable or has changed, and this one is the last good "
        "one. `last_good`: whenever a location is the only good one of its content.",
        PROMOTE_WHEN,
    )
    interval: float = seconds("1 min", "Pause between two looks for locations to promote.", at_least=0.1, at_most=DAY)
    batch: int = integer("100", "Locations that one look goes through.", at_least=1, at_most=10000)
    retry: float = seconds(
        "1 d", "Time until a promotion that failed is tried again by itself.", at_least=1, at_most=365 * DAY
    )


@section("verification")
class VerificationSettings(Section):
    """Checks of external locations after they were recorded. Any number of processes shares the work."""

    workers: int = integer(
        "4",
        "Checks of locations of each process with background work that are at work at the same time; 0 leaves them to other processes. Those that wait "
        "for a slow origin do not count.",
        at_least=0,
        at_most=256,
    )
    max_workers: int = integer(
        "256",
        "Checks of locations of each process under way together, slow ones included. Each has a thread, which costs about 200 KB while it waits.",
        at_least=1,
        at_most=4096,
    )
    project_workers: int = integer(
        "8",
        "Checks of locations of one project under way in each process, slow ones included.",
        at_least=1,
        at_most=4096,
    )
    slow_after: float = seconds(
        "0.25 s",
        "A check that has waited for its origin for nearly all of so long gives its place among `workers` to the next.",
        at_least=0.01,
        at_most=3600,
    )
    poll_interval: float = seconds("1 s", "Pause between two looks for a host that is due.", at_least=0.1, at_most=3600)
    check_interval: float = seconds(
        "6 h", "Time between two checks of a location, most of them cheap ones.", at_least=1, at_most=365 * DAY
    )
    full_interval: float = seconds(
        "30 d", "Time between two downloads of a whole location to prove it again.", at_least=1, at_most=3650 * DAY
    )
    daily_bytes: int = size_or_unlimited(
        "1 TiB",
        "Bytes that full checks may read in a day (UTC), on all nodes together. Beyond it cheap checks go on, and full ones that a cheap "
        "one has hinted at, unless hints at this location were wrong lately.",
    )
    spot_blocks: int = integer(
        "4",
        "Blocks of 1 MiB that a spot check reads; a location of no more than that is always read whole.",
        at_least=1,
        at_most=1024,
    )
    spot_percent: int = integer(
        "50",
        "How many of a hundred cheap checks read blocks, which no validator can lie about; the others compare validators and length.",
        at_least=0,
        at_most=100,
    )
    failures: int = integer("3", "Failed checks in a row that make a location unreachable.", at_least=2, at_most=100)
    retry_first: float = seconds(
        "5 min", "Time until the check after a failed one; doubled with each further failure.", at_least=1, at_most=DAY
    )
    retry_most: float = seconds(
        "1 d",
        "Longest time between checks of a failing location, and the most that its Retry-After is obeyed.",
        at_least=1,
        at_most=365 * DAY,
    )
    quarantine_interval: float = seconds(
        "6 h", "Time between checks of a location that has changed.", at_least=1, at_most=365 * DAY
    )
    recovery_gap: float = seconds(
        "1 h",
        "Time that must lie between the two equal full checks which make a location good again.",
        at_least=1,
        at_most=365 * DAY,
    )
    host_interval: float = seconds(
        "1 s", "Least time between two checks of one host, on all nodes together.", at_least=0, at_most=DAY
    )
    hint_interval: float = seconds(
        "5 min",
        "A download that failed has its location checked whole, unless it was proven this recently. The time doubles with each hint at a change, by a reader or "
        "by a cheap check, that a full check has shown to be wrong: nobody may make Glare download it again and again.",
        at_least=0,
        at_most=365 * DAY,
    )
    host_retry_most: float = seconds(
        "1 h",
        "Longest time between checks of a host that was out of reach, whichever of its locations was asked for: `retry_first`, doubled with "
        "each further failure. What somebody asks for is checked at once.",
        at_least=1,
        at_most=DAY,
    )
    beacons: tuple[str, ...] = urls(
        "",
        "URLs of your choice that answer whenever this service can reach the world, in networks that have nothing to do with one another; https, so "
        "that no portal can answer for them. When a check finds something bad they are asked, at most once in `beacon_interval`: where fewer than half "
        "answer it is an outage of ours, and no location changes its state. They decide alone; without them hosts that fail together do.",
        at_most=16,
    )
    beacon_interval: float = seconds("1 min", "How long the beacons' answers count.", at_least=1, at_most=3600)
    outage_hosts: int = integer(
        "3",
        "Without beacons: so many unrelated hosts that fail together are an outage of ours, and no location changes its state. Those of one network "
        "(/24, of IPv6 /64) or one domain count as one.",
        at_least=2,
        at_most=1000,
    )
    outage_projects: int = integer(
        "3",
        "And they have to be of locations of so many projects, or of all that were checked in the window where those are fewer: no project may hold "
        "up the states of others.",
        at_least=1,
        at_most=1000,
    )
    outage_patience: float = seconds(
        "2 h",
        "How long a finding waits for the end of an outage that hosts are the witnesses of; then it counts. One that beacons tell of has no such end.",
        at_least=60,
        at_most=7 * DAY,
    )
    outage_percent: int = integer(
        "60", "And so many of a hundred hosts that were checked within the window.", at_least=1, at_most=100
    )
    outage_window: float = seconds("15 min", "How long ago is together.", at_least=1, at_most=DAY)
    stale_after: float = seconds(
        "90 d", "Age at which a proof is called stale, and its subscribers are told.", at_least=1, at_most=3650 * DAY
    )
    history_retention: float = seconds(
        "365 d",
        "How long the outcomes of checks are kept; the sweep removes older ones.",
        at_least=60,
        at_most=3650 * DAY,
    )


@section("subscriptions")
class SubscriptionsSettings(Section):
    """Webhooks: events that projects have sent to URLs of theirs."""

    secret_key_file: Path = path(
        "$state_dir/subscriptions.key",
        "File of the keys that the secrets of subscriptions are encrypted with: 32 bytes in url-safe base64, one a line. The first is for new "
        "secrets, all are for old ones. `glare-server serve` makes it where there is none; all nodes need the same.",
    )
    allowed_schemes: tuple[str, ...] = words(
        "https",
        "URL schemes of targets. Over http everybody on the way reads the events.",
        allowed=("http", "https"),
        empty=False,
    )
    allowed_ports: tuple[int, ...] = ports(
        "443", "Ports of targets. Which addresses they may have is said in [locations]."
    )
    max_per_project: int = count_or_unlimited("20", "Most subscriptions of one project.")
    confirmation_time: float = seconds(
        "3 d",
        "How long a target may take to confirm that it wants events; without that a subscription expires.",
        at_least=60,
        at_most=365 * DAY,
    )
    delivery_timeout: float = seconds(
        "10 s",
        "Time for one message: name resolution, connection, TLS, sending, and the answer. A target is to take messages, and work on them later.",
        at_least=0.1,
        at_most=60,
    )
    delivery_threads: int = integer(
        "4",
        "Targets that one worker process works for at the same time; each target gets its messages one after the other. Those that are waited "
        "for do not count.",
        at_least=1,
        at_most=256,
    )
    max_delivery_threads: int = integer(
        "64",
        "Targets that one worker process sends to together, slow ones included. Each has a thread, which costs about 200 KB while it waits.",
        at_least=1,
        at_most=4096,
    )
    project_delivery_threads: int = integer(
        "4", "Targets of one project among them, slow ones included.", at_least=1, at_most=4096
    )
    delivery_slow_after: float = seconds(
        "0.25 s",
        "A target that has been waited for nearly all of so long gives its place among `delivery_threads` to the next.",
        at_least=0.01,
        at_most=3600,
    )
    retry_delay: float = seconds(
        "5 s",
        "Pause before a message is tried again; it doubles with each try. 0.8 to 1.2 times as much, so that not all come at once.",
        at_least=0.05,
        at_most=DAY,
    )
    max_retry_delay: float = seconds("2 h", "Longest pause between two tries.", at_least=0.05, at_most=7 * DAY)
    retry_time: float = seconds(
        "24 h",
        "How long a message is tried before it counts as failed, and the next one has its turn. It stays in the log and can be sent again.",
        at_least=0,
        at_most=30 * DAY,
    )
    max_retry_after: float = seconds(
        "6 h", "Longest pause that a target may ask for with Retry-After.", at_least=0, at_most=7 * DAY
    )
    suspend_after: float = seconds(
        "5 d",
        "A target that has failed for so long gets no more messages, until its owner switches the subscription on again.",
        at_least=1,
        at_most=365 * DAY,
    )
    secret_overlap: float = seconds(
        "24 h",
        "How long messages carry a signature with the old secret too, after it was replaced.",
        at_least=0,
        at_most=30 * DAY,
    )
    log_retention: float = seconds(
        "30 d",
        "How long messages stay in the log once they are delivered or given up.",
        at_least=60,
        at_most=3650 * DAY,
    )
