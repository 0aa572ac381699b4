"""Options of what tells of the service: its log, its numbers, its record of changes."""

from __future__ import annotations

from glare.settings.declare import (
    Network,
    Section,
    choice,
    flag,
    integer,
    networks,
    optional_address,
    seconds,
    section,
)
from glare.settings.units import DAY


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
        "One line for each request, by the logger `glare.access`: method, route, status, bytes, seconds, project and "
        "request id. Off where a proxy in front logs the same.",
    )


@section("metrics")
class MetricsSettings(Section):
    """Numbers for Prometheus, at `/metrics`."""

    enabled: bool = flag("true", "Whether numbers are kept and `/metrics` answers.")
    allowed_peers: tuple[Network, ...] = networks(
        "127.0.0.0/8, ::1",
        "Addresses that may read `/metrics`; everybody else is refused, and so is every request that a proxy has "
        "passed on (Forwarded, X-Forwarded-For, X-Real-IP or Via). The default is for a Prometheus, or an agent of "
        "it, on this machine.",
    )

    worker_bind: tuple[str, int] | None = optional_address(
        "Address and port at which `glare-server worker` answers `/metrics` and `/healthz`, for `allowed_peers` "
        "only. "
        "Unset: it does not listen; one on the machine of `glare-server serve`, with the same `state_dir`, is among "
        "the numbers of that. Each worker of a machine needs a port of its own."
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
        "Refused requests that one server process records in a minute, of one caller at most a quarter of them; "
        "the rest is counted in one row. It bounds what an attacker can write: 60 are about 90000 rows, or 30 MB, a "
        "day.",
        at_least=4,
        at_most=6000,
    )
