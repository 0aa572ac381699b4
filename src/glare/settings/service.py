"""Options of the service itself: listening, the API, who is calling, what it runs on."""

from __future__ import annotations

from pathlib import Path

from glare.settings.declare import (
    Network,
    Section,
    choice,
    flag,
    integer,
    ip_text,
    networks,
    optional_address,
    optional_choice,
    optional_path,
    optional_secret,
    optional_url,
    path,
    seconds,
    section,
    size,
    text,
    words,
)

DAY = 86400.0
KIB = 1024
MIB = 1024**2
GIB = 1024**3


@section("DEFAULT")
class ServerSettings(Section):
    """How the service listens."""

    state_dir: Path = path(
        "var",
        "Directory of the embedded database, the local blob store and the token file; made at start, for its owner only. "
        "Relative to the working directory, so that a first try leaves nothing outside of it.",
    )
    bind_host: str = ip_text(
        "127.0.0.1",
        "Address to listen on. The default keeps a fresh installation to its own machine; 0.0.0.0 or :: opens it to the network.",
    )
    bind_port: int = integer("9494", "TCP port to listen on; Glare's customary one.", at_least=1, at_most=65535)
    backlog: int = integer(
        "4096",
        "Connections that the operating system keeps waiting before it refuses; its own limit (net.core.somaxconn) may be lower.",
        at_least=128,
        at_most=65535,
    )
    workers: int = integer(
        "1",
        "Server processes; 0 is one per CPU. One is right for the embedded database, which takes one writer at a time.",
        at_least=0,
        at_most=256,
    )
    cert_file: Path | None = optional_path(
        "PEM file with the server's certificate and its chain. With `key_file` it switches TLS on."
    )
    key_file: Path | None = optional_path("PEM file with the certificate's private key, not encrypted.")
    ca_file: Path | None = optional_path(
        "PEM file with the authorities that client certificates must come from. When set, clients without one are refused."
    )
    http_keepalive: bool = flag(
        "true", "Whether a connection may carry several requests; off only to look for faults of a proxy."
    )
    client_socket_timeout: float = seconds(
        "60 s",
        "How long a client may take to send the head of a request, from its connection or its first byte on. A minute is ample for people and short "
        "for those who hold connections open on purpose; a stalled body is the matter of `[uploads] stall_timeout`.",
        at_least=0.1,
        at_most=3600,
    )
    max_head_size: int = size(
        "64 KiB",
        "Longest head of a request: its line and all of its headers; 431 beyond it.",
        at_least=8 * KIB,
        at_most=MIB,
    )
    keepalive_timeout: float = seconds(
        "75 s",
        "How long a connection may wait for its next request. Longer than a proxy in front keeps its own idle ones (60 s with nginx), "
        "so that it never sends a request into one that is just being closed.",
        at_least=0.1,
        at_most=3600,
    )
    send_stall_timeout: float = seconds(
        "60 s",
        "How long a client may take no byte of an answer that waits for it, before its connection is cut off.",
        at_least=0.1,
        at_most=3600,
    )
    send_minimum_throughput: int = size(
        "4 KiB",
        "Bytes a second that a client must take of what waits for it, on average over `send_stall_timeout`; its connection is cut off otherwise, "
        "because it holds a place and a file. Any modem is faster.",
        at_least=1,
        at_most=GIB,
    )
    max_connections: int = integer(
        "4096",
        "Connections of one server process; fewer where the system allows it too few file descriptors. Beyond it the one that is idle longest makes room; "
        "where none is idle, a new one is answered 503, except for the probes `/healthz`, `/readyz` and `/metrics`.",
        at_least=1,
        at_most=1000000,
    )
    max_connections_per_address: int = integer(
        "256",
        "Connections from one address (of IPv6 a /64) to one server process. Beyond it the one that is idle longest makes room; "
        "where none is idle, a new one is answered 429, probes excepted.",
        at_least=1,
        at_most=1000000,
    )
    trusted_proxies: tuple[Network, ...] = networks(
        "",
        "Addresses of your own proxies and balancers, to which `max_connections_per_address` does not apply: the clients of many come from one address there. "
        "Their X-Forwarded-For is believed, to tell the networks of anonymous callers apart; nothing else is decided by it.",
    )
    shutdown_timeout: float = seconds(
        "10 s",
        "How long requests under way may go on after SIGTERM, while new ones are answered 503. Uploads that take longer are broken off and undone. "
        "A process that still has not ended some seconds later is killed; what it leaves is removed by the next sweep.",
        at_least=1,
        at_most=3600,
    )
    shutdown_lead_time: float = seconds(
        "0 s",
        "How long after SIGTERM requests are still served while `/readyz` answers 503, before `shutdown_timeout` begins. Set it to the time in which your balancer "
        "notices, such as two of its periods; Ctrl-C does not wait for it.",
        at_least=0,
        at_most=3600,
    )
    public_endpoint: str | None = optional_url(
        "URL under which clients reach the service, for the links that it hands out. Unset: the Host header of the request."
    )
    debug: bool = flag(
        "false",
        "Add tracebacks to error answers and log in detail. For development: tracebacks tell strangers about the inside.",
    )


@section("DEFAULT")
class ListSettings(Section):
    """Lists and events, as the API names them."""

    default_api_limit: int = integer(
        "25", "Artifacts on a page of a list when the request has no `limit`.", at_least=1, at_most=10000
    )
    max_api_limit: int = integer(
        "1000",
        "Most artifacts on a page, whatever the request asks. A long page is read and sent in parts.",
        at_least=1,
        at_most=10000,
    )
    glare_publisher_id: str = text(
        "artifact.localhost", "Publisher id in notifications; name the deployment when several share a bus."
    )


@section("api")
class ApiSettings(Section):
    """What one server process may spend on requests."""

    request_threads: int = integer(
        "12",
        "Threads per process that decide requests and talk to the database; each holds at most one connection. Lists have threads of "
        "their own.",
        at_least=1,
        at_most=512,
    )
    request_threads_per_project: int = integer(
        "6",
        "How many of them one project may have at the same time, or one network of anonymous callers; the others stay for others.",
        at_least=1,
        at_most=512,
    )
    list_threads: int = integer(
        "4",
        "Threads per process that read lists. A page of more than 100, or a query of more than ten conditions, counts as two. They are few, so that "
        "lists leave the processor to short requests.",
        at_least=1,
        at_most=512,
    )
    list_threads_per_project: int = integer(
        "2", "How many of them one project, or one network of anonymous callers, may have.", at_least=1, at_most=512
    )
    max_waiting: int = integer(
        "1024",
        "Requests that may wait for a thread in one process, of short ones and of lists each; 503 beyond it, to whoever has most that wait.",
        at_least=1,
        at_most=100000,
    )
    max_waiting_per_project: int = integer(
        "128",
        "How many of these may be of one project, or of one network of anonymous callers; 429 beyond it.",
        at_least=1,
        at_most=100000,
    )
    max_wait: float = seconds(
        "10 s", "How long a request may wait for a thread before it is answered 503.", at_least=0.1, at_most=600
    )
    body_timeout: float = seconds(
        "10 s",
        "How long a JSON body may bring no byte, or on average less than `[uploads] minimum_throughput`, before it is refused with 408.",
        at_least=0.1,
        at_most=3600,
    )
    max_body_memory: int = size(
        "64 MiB",
        "Bytes of JSON bodies that one process holds; further ones wait unread. A body of unknown length counts as `max_body_size`.",
        at_least=MIB,
        at_most=64 * GIB,
    )
    max_body_memory_per_project: int = size(
        "16 MiB",
        "How many of these one project, or one network of anonymous callers, may have.",
        at_least=MIB,
        at_most=64 * GIB,
    )
    max_answer_memory: int = size(
        "64 MiB",
        "Bytes of answers of more than 64 KiB that one process holds while clients read them; blobs are not among them. Further ones wait for their turn. "
        "A list has 256 KiB of it, whatever its length.",
        at_least=MIB,
        at_most=64 * GIB,
    )
    max_answer_memory_per_project: int = size(
        "16 MiB",
        "How many of these one project, or one network of anonymous callers, may have.",
        at_least=MIB,
        at_most=64 * GIB,
    )
    probe_age: float = seconds(
        "1 s",
        "How old what `/readyz` and `/metrics` say may be. One look serves all who ask within this time.",
        at_least=0,
        at_most=60,
    )
    max_patch_operations: int = integer(
        "1000",
        "Operations in one JSON Patch; 400 beyond it. Each of them works on a copy of what it changes.",
        at_least=1,
        at_most=100000,
    )
    max_filters: int = integer(
        "100",
        "Conditions in one list query, each tag being one; 400 beyond it. The database tests each of them.",
        at_least=1,
        at_most=500,
    )
    max_filter_values: int = integer(
        "1000",
        "Values that one list query compares with, those of `in:` included; 400 beyond it.",
        at_least=1,
        at_most=2000,
    )
    max_text_length: int = integer(
        "4096",
        "Characters of a text for which its type says nothing, such as values of `metadata` and tags, since API version 1.3; 400 beyond it. Before 1.3 it is "
        "255, and names and whatever lists can be sorted by stay at that.",
        at_least=255,
        at_most=16383,
    )
    max_items: int = integer(
        "2000",
        "Elements of a list, or keys of a dict, for which its type says nothing, such as `tags` and `metadata`, since API version 1.3; 400 beyond it. "
        "Before 1.3 it is 255. Each is a row that filters search.",
        at_least=255,
        at_most=10000,
    )
    max_body_size: int = size(
        "1 MiB",
        "Largest JSON body of a request (blobs are streamed and not meant). It is held in memory whole, so it stays small.",
        at_least=KIB,
        at_most=64 * MIB,
    )


@section("cors")
class CorsSettings(Section):
    """Web pages of other origins that may call the API from a browser."""

    allowed_origin: tuple[str, ...] = words(
        "",
        "Origins whose pages may call the API, such as `https://dashboard.example`. None: no cross-origin header is ever sent.",
    )
    allow_credentials: bool = flag("true", "Whether such pages may send cookies and client certificates along.")
    max_age: float = seconds("1 h", "How long a browser may keep the answer to a preflight.", at_least=0, at_most=DAY)


@section("logging")
class LoggingSettings(Section):
    """What is logged, on standard error."""

    level: str = choice(
        "info",
        "Least severe messages that are logged; `debug = true` means debug.",
        ("debug", "info", "warning", "error"),
    )
    format: str = choice("text", "`text` for people, `json` for collectors: one object a line.", ("text", "json"))
    access: bool = flag(
        "true",
        "One line for each request, by the logger `glare.access`: method, route, status, bytes, seconds, project and request id. "
        "Off where a proxy in front logs the same.",
    )


@section("metrics")
class MetricsSettings(Section):
    """Numbers for Prometheus, at `/metrics`."""

    enabled: bool = flag("true", "Whether numbers are kept and `/metrics` answers.")
    allowed_peers: tuple[Network, ...] = networks(
        "127.0.0.0/8, ::1",
        "Addresses that may read `/metrics`; everybody else is refused, and so is every request that a proxy has passed on "
        "(Forwarded, X-Forwarded-For, X-Real-IP or Via). The default is for a Prometheus, or an agent of it, on this machine.",
    )

    worker_bind: tuple[str, int] | None = optional_address(
        "Address and port at which `glare-server worker` answers `/metrics` and `/healthz`, for `allowed_peers` only. Unset: it does not listen; one on the machine "
        "of `glare-server serve`, with the same `state_dir`, is among the numbers of that. Each worker of a machine needs a port of its own."
    )


@section("audit")
class AuditSettings(Section):
    """The record of who changed what, in the database."""

    retention: float = seconds(
        "365 d", "How long changes stay in the record; the sweep removes older ones.", at_least=60, at_most=3650 * DAY
    )
    refusal_retention: float = seconds(
        "30 d",
        "How long refused requests stay in the record. Anybody can cause those, so they leave sooner.",
        at_least=60,
        at_most=3650 * DAY,
    )
    refusals_per_minute: int = integer(
        "60",
        "Refused requests that one server process records in a minute, of one caller at most a quarter of them; what is more is "
        "counted in one row. It bounds what an attacker can write: 60 are about 90000 rows, or 30 MB, a day.",
        at_least=4,
        at_most=6000,
    )


@section("identity")
class IdentitySettings(Section):
    """Who is calling."""

    pipeline: str = choice(
        "token_file",
        "`token_file`: tokens made with `glare-server token create`. `trusted_headers`: a proxy in `trusted_peers` has "
        "authenticated the caller and says so in X-Identity-Status, X-User-Id, X-Project-Id and X-Roles. `test_token`: anyone may "
        "be anybody with `X-Auth-Token: user:project:role1,role2`; for tests only.",
        ("token_file", "trusted_headers", "test_token"),
        planned={name: f"{name} is not part of this version" for name in ("keystone", "oidc", "keycloak")},
    )
    token_file: Path = path("$state_dir/tokens.json", "File of the hashed tokens.")
    trusted_peers: tuple[Network, ...] = networks(
        "127.0.0.1, ::1", "Addresses whose identity headers `trusted_headers` believes; everybody else is refused."
    )


@section("DEFAULT")
class AnonymousSettings(Section):
    """Callers without a token."""

    allow_anonymous_access: bool = flag(
        "false",
        "Let callers without a token read public artifacts and schemas. Off, because publishing to the world is a decision.",
    )


@section("paste_deploy")
class PasteDeploySettings(Section):
    """The older way to choose the identity pipeline."""

    flavor: str | None = optional_choice(
        "Name of the identity pipeline in older configuration files: `noauth` is `[identity] pipeline = trusted_headers`. "
        "Use that option in new ones.",
        ("noauth",),
        planned={name: f"the {name} pipeline is not part of this version" for name in ("keystone", "keycloak")},
    )


@section("database")
class DatabaseSettings(Section):
    """Where metadata lives."""

    connection: str = text(
        "sqlite:///$state_dir/glare.sqlite",
        "SQLAlchemy URL of the database: `sqlite:///FILE`, `postgresql://USER:PASSWORD@HOST/NAME` (install `glare-server[postgresql]`) or "
        "`mysql://USER:PASSWORD@HOST/NAME` for MariaDB and MySQL (install `glare-server[mysql]`).",
        secret=True,
    )
    max_pool_size: int = integer(
        "20",
        "Most database connections of one process: one for each thread of requests and lists, and a few for the background work; each server "
        "process and each `glare-server worker` takes as many. Where the server grants fewer, the process works with those, and asks for more now and "
        "then.",
        at_least=2,
        at_most=1000,
    )
    pool_timeout: float = seconds(
        "10 s",
        "How long a request waits for a connection or a lock, or tries a change again that others keep undoing, before it is answered 503.",
        at_least=0.1,
        at_most=600,
    )
    statement_timeout: float = seconds(
        "15 s",
        "Time for one statement, after which a database server stops it and the request is answered 503. SQLite has no such bound.",
        at_least=0.1,
        at_most=3600,
    )
    answer_timeout: float = seconds(
        "20 s",
        "Time for which nothing may come from a database server that was asked something. The connection is given up then, and one "
        "request at a time tries whether the server answers again, while the others are answered 503 at once.",
        at_least=1,
        at_most=3600,
    )


@section("oslo_policy")
class PolicySettings(Section):
    """Who may do what."""

    policy_file: Path | None = optional_path(
        "YAML or JSON file of policy rules that differ from the defaults; `glare-server policy sample` prints them all. Unset: the defaults."
    )
    policy_default_rule: str = text("default", "Rule that decides when the rule asked for does not exist.")


@section("DEFAULT")
class TransportSettings(Section):
    """The message bus of the deployment."""

    transport_url: str | None = optional_secret(
        "URL of the message bus, `rabbit://USER:PASSWORD@HOST:PORT/VHOST`, several hosts with commas between them. Notifications go there "
        "when `[oslo_messaging_notifications] transport_url` is unset; Glare uses the bus for nothing else."
    )
    control_exchange: str = text(
        "openstack",
        "Exchange that notifications are sent to; the library's own default, which listeners expect.",
        at_most=127,
    )


@section("oslo_messaging_notifications")
class NotificationSettings(Section):
    """Events for operators."""

    driver: str = choice(
        "noop",
        "`messagingv2` sends each event over the message bus (install `glare-server[messaging]`), `messaging` does so in the older format without an "
        "envelope, `log` writes it to the log, `noop` tells nobody.",
        ("noop", "log", "messaging", "messagingv2"),
    )
    transport_url: str | None = optional_secret(
        "URL of the message bus for notifications, where it is another one than `[DEFAULT] transport_url`."
    )
    topics: tuple[str, ...] = words(
        "notifications",
        "Topics that each event is sent to. The queue of a topic has `.info` behind its name, and is made where there is none yet.",
        empty=False,
    )
    retry: int = integer(
        "-1",
        "How often a message that the broker has not taken is sent again at once, on a new connection; at most twice, whatever is set. After that the "
        "event waits in the outbox. -1 and 0 leave all of it to the outbox. Whatever is set, no event is given up.",
        at_least=-1,
        at_most=2**31 - 1,
    )


@section("oslo_messaging_rabbit")
class RabbitSettings(Section):
    """How notifications speak to RabbitMQ."""

    amqp_durable_queues: bool = flag(
        "false",
        "Whether exchange and queues survive a restart of the broker. It must be as listeners have it, so it is off as it is in the library; "
        "switch it on in both so that a restart of the broker loses nothing.",
    )
    amqp_auto_delete: bool = flag("false", "Whether the broker removes queues that nobody listens to any more.")
    rabbit_quorum_queue: bool = flag(
        "false", "Whether queues are quorum queues, which are durable and replicated. It must be as listeners have it."
    )
    ssl: bool = flag("false", "Whether the connection is encrypted.")
    ssl_ca_file: Path | None = optional_path(
        "PEM file with the authorities that the broker's certificate must come from. Needed with `ssl`: without it nothing is verified."
    )
    ssl_cert_file: Path | None = optional_path("PEM file of the certificate that Glare shows to the broker.")
    ssl_key_file: Path | None = optional_path("PEM file of that certificate's private key.")


@section("outbox")
class OutboxSettings(Section):
    """Recorded events on their way to consumers."""

    retention: float = seconds(
        "7 d", "How long delivered events are kept, to look things up.", at_least=60, at_most=3650 * DAY
    )
    poll_interval: float = seconds(
        "1 s", "How often a worker looks for new events: the delay that a subscriber sees.", at_least=0.05, at_most=600
    )
    broker_timeout: float = seconds(
        "5 s",
        "How long the broker of notifications may take to answer, in whole seconds; after that the event waits and the connection is made anew. "
        "It is short, so that a worker which is told to stop does so soon. Idle connections send heartbeats at this pace.",
        at_least=1,
        at_most=10,
    )
    retry_delay: float = seconds(
        "1 s",
        "How long notifications wait after a delivery that failed; twice as long after the next failure, and so on.",
        at_least=0.05,
        at_most=3600,
    )
    max_retry_delay: float = seconds(
        "60 s",
        "The longest of these waits: how late notifications come once the broker is back.",
        at_least=0.05,
        at_most=DAY,
    )
    patience: int = integer(
        "10",
        "How often the delivery of the oldest notification may fail before younger ones are tried as well. Where they can be delivered the "
        "fault is the event's: it lets them pass, and comes again up to an hour later. None is given up.",
        at_least=2,
        at_most=1000,
    )


@section("fsck")
class FsckSettings(Section):
    """`glare-server fsck`: reading stored bytes again, to see whether they are still those that were recorded."""

    rate: int = size(
        "64 MiB",
        "Bytes a second that a check reads at most, so that it does not slow the service; 0 is no limit. A TiB takes about 4.6 hours.",
        at_least=0,
        at_most=2**53,
    )
    orphan_age: float = seconds(
        "1 h",
        "Objects of a store that nothing knows are reported once they are so old: younger ones may be on their way.",
        at_least=0,
        at_most=DAY,
    )


@section("patrol")
class PatrolSettings(Section):
    """Reading all stored bytes again in the background, as `glare-server fsck` does: what is wrong is marked, told, and
    repaired from an equal stored blob.

    One object of a store is read at a time, over all nodes.
    """

    interval: float = seconds(
        "30 d",
        "Time from the beginning of one round through a store to that of the next; a round that takes longer is followed by the next one at once. "
        "0 is never: then run `glare-server fsck` from time to time.",
        at_least=0,
        at_most=3650 * DAY,
    )
    rate: int = size(
        "8 MiB",
        "Bytes a second that are read of a store at most, repairs included, so that disks serve others; 0 is no limit. A TiB takes 36 hours.",
        at_least=0,
        at_most=2**53,
    )
    poll_interval: float = seconds(
        "60 s",
        "How often a process with background work looks whether a round is due, or was left by a node that died.",
        at_least=0.05,
        at_most=DAY,
    )


@section("scrubber")
class ScrubberSettings(Section):
    """The sweep: delayed deletions, dead uploads, objects without an owner."""

    scrub_time: float = seconds(
        "0 s",
        "How long the data of a deleted artifact stays when its deletion is delayed; 0 removes it at the next sweep.",
        at_least=0,
        at_most=3650 * DAY,
    )
    scrub_pool_size: int = integer(
        "1", "Deleted artifacts that a sweep removes at the same time.", at_least=1, at_most=64
    )
    wakeup_time: float = seconds(
        "300 s",
        "Time between two sweeps, and between two rounds of `glare-server scrub --daemon`.",
        at_least=1,
        at_most=DAY,
    )
    daemon: bool = flag(
        "false", "Whether `glare-server scrub` goes on until it is stopped, as with `--daemon`, rather than work once."
    )
