"""Options of how the service listens, and of who may hold its connections."""

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
    optional_path,
    optional_url,
    path,
    seconds,
    section,
    size,
)
from glare.settings.units import GIB, KIB, MIB


@section("DEFAULT")
class ServerSettings(Section):
    """How the service listens."""

    state_dir: Path = path(
        "var",
        "Directory of the embedded database, the local blob store and the token file; made by `glare-server init`, "
        "for its owner only. Relative to the working directory, so that a first try leaves nothing outside of it.",
    )
    bind_host: str = ip_text(
        "127.0.0.1",
        "Address to listen on. The default keeps a fresh installation to its own machine; 0.0.0.0 or :: opens it to "
        "the network.",
    )
    bind_port: int = integer("9494", "TCP port to listen on; Glare's customary one.", at_least=1, at_most=65535)
    backlog: int = integer(
        "4096",
        "Connections that the operating system keeps waiting before it refuses; its own limit (net.core.somaxconn) "
        "may be lower.",
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
        "PEM file with the authorities that client certificates must come from. When set, clients without one are "
        "refused."
    )
    http_keepalive: bool = flag(
        "true", "Whether a connection may carry several requests; off only to look for faults of a proxy."
    )
    client_socket_timeout: float = seconds(
        "60 s",
        "How long a client may take to send the head of a request, from its connection or its first byte on. A "
        "minute is ample for people and short for those who hold connections open on purpose; `[uploads] "
        "stall_timeout` limits a stalled body.",
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
        "How long a connection may wait for its next request. Longer than a proxy in front keeps its own idle ones "
        "(60 s with nginx), so that it never sends a request into one that is just being closed.",
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
        "Bytes a second that a client must take of what waits for it, on average over `send_stall_timeout`; its "
        "connection is cut off otherwise, because it holds a place and a file. Any modem is faster.",
        at_least=1,
        at_most=GIB,
    )
    max_connections: int = integer(
        "4096",
        "Connections of one server process; fewer where the system allows it too few file descriptors. Beyond it the "
        "one that is idle longest makes room; where none is idle, a new one is answered 503, except for the probes "
        "`/healthz`, `/readyz` and `/metrics`.",
        at_least=1,
        at_most=1000000,
    )
    max_connections_per_address: int = integer(
        "256",
        "Connections from one address (of IPv6 a /64) to one server process. Beyond it the one that is idle longest "
        "makes room; where none is idle, a new one is answered 429, probes excepted.",
        at_least=1,
        at_most=1000000,
    )
    trusted_proxies: tuple[Network, ...] = networks(
        "",
        "Addresses of your own proxies and balancers, to which `max_connections_per_address` does not apply: the "
        "clients of many come from one address there. Their X-Forwarded-For is believed, to tell the networks of "
        "anonymous callers apart; nothing else is decided by it.",
    )
    shutdown_timeout: float = seconds(
        "10 s",
        "How long requests under way may go on after SIGTERM, while new ones are answered 503. Uploads that take "
        "longer are broken off and undone. A process that still has not ended some seconds later is killed; what it "
        "leaves is removed by the next sweep.",
        at_least=1,
        at_most=3600,
    )
    shutdown_lead_time: float = seconds(
        "0 s",
        "How long after SIGTERM requests are still served while `/readyz` answers 503, before `shutdown_timeout` "
        "begins. Set it to the time in which your balancer notices, such as two of its periods; Ctrl-C does not wait "
        "for it.",
        at_least=0,
        at_most=3600,
    )
    public_endpoint: str | None = optional_url(
        "URL under which clients reach the service, for the links that it hands out. Unset: the Host header of the "
        "request."
    )
    unknown_options: str = choice(
        "refuse",
        "What `serve` and `worker` do about a name in the configuration that is no option: `refuse` to start, so "
        "that "
        "a misspelt option is seen, or `warn`. Options of the original service and of OpenStack libraries only warn.",
        ("refuse", "warn"),
    )
    debug: bool = flag(
        "false",
        "Add tracebacks to error answers and log in detail. For development: tracebacks reveal internals.",
    )
