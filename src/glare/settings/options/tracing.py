"""Options of traces."""

from __future__ import annotations

from glare.settings.declare import Section, flag, integer, optional_url, section


@section("tracing")
class TracingSettings(Section):
    """Spans for a collector of OpenTelemetry. They need `glare-server[otel]`."""

    collector: str | None = optional_url(
        "URL of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318, to which `/v1/traces` is added; "
        "unset records nothing."
    )
    sampled_of_1000: int = integer(
        "50", "How many of 1000 traces are recorded. Their ids decide, so all nodes agree.", at_least=0, at_most=1000
    )
    trust_callers: bool = flag(
        "false",
        "Whether the flag of a `traceparent` decides if a request is recorded, and not `sampled_of_1000`. Then whoever "
        "may call may have everything recorded that they do.",
    )
