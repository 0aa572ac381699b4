"""Spans by OpenTelemetry's SDK, sent to a collector by OTLP over HTTP.

The context at hand is `glare.context.TRACE`, which goes wherever the work goes. A step that is recorded puts itself
there, so that whatever hands the trace on (lines of the log, events, jobs, outbound requests) names it as the parent.
One that is not recorded leaves what the caller has sent as it is: a parent that nobody keeps would tear a trace apart.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan

from glare import __version__
from glare.context import TRACE
from glare.spans import NONE, Attributes, Kind, Span, Tracer
from glare.trace import Trace

_KINDS: Final = {Kind.INTERNAL: SpanKind.INTERNAL, Kind.SERVER: SpanKind.SERVER, Kind.CLIENT: SpanKind.CLIENT}
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SILENT: Final = ""
"""What stands for a step that nobody keeps: its own steps are not kept either."""

_QUEUE: Final = 4096
"""Spans that wait to be sent, of 1 to 2 KB each; what is more is dropped, and nobody waits for it."""

_HERE: Final[ContextVar[str | None]] = ContextVar("glare_span", default=None)
"""The ``traceparent`` of the step of this service that the work belongs to."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which traces are recorded: so many of 1000, by their id, so that all steps of a trace agree. `trust_callers`: of
    a trace that a caller names, the caller's flag decides instead.
    """

    of_1000: int
    trust_callers: bool = False

    def wants(self, trace_id: int, flagged: bool | None) -> bool:
        """`flagged` is what the caller says, None where none has named a trace."""
        if self.trust_callers and flagged is not None:
            return flagged
        return (trace_id & ((1 << 64) - 1)) * 1000 < self.of_1000 << 64


class OtelTracer(Tracer):
    """Hands the steps of sampled traces to a processor of the SDK. Any thread may use it."""

    def __init__(self, processor: SpanProcessor, sampling: Sampling) -> None:
        instance = f"{platform.node()}:{os.getpid()}"
        about = {"service.name": "glare", "service.version": __version__, "service.instance.id": instance}
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource(about), shutdown_on_exit=False, id_generator=RandomIdGenerator()
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("glare", __version__)
        self._new_id = RandomIdGenerator().generate_trace_id
        self._sampling = sampling

    @contextmanager
    def span(self, name: str, attributes: Attributes = NONE, kind: Kind = Kind.INTERNAL) -> Iterator[Span]:
        trace, here = TRACE.get(), _HERE.get()
        if here == _SILENT or ((here is None or trace is None or here != trace.parent) and not self._begins(trace)):
            token = _HERE.set(_SILENT)
            try:
                yield Span()
            finally:
                _HERE.reset(token)
            return
        kept = self._tracer.start_span(name, _parent(trace), _KINDS[kind], attributes)
        parent = _text(kept.get_span_context())
        inside = Trace(parent, trace.state, trace.project) if trace is not None else Trace(parent)
        here_before, trace_before = _HERE.set(parent), TRACE.set(inside)
        span = _Kept(kept)
        try:
            yield span
        except BaseException as error:
            span.fail(str(getattr(error, "code", type(error).__name__)))
            raise
        finally:
            TRACE.reset(trace_before)
            _HERE.reset(here_before)
            kept.end()

    def close(self) -> None:
        self._provider.shutdown()

    def _begins(self, trace: Trace | None) -> bool:
        """Whether the first step of this service in a trace is kept."""
        if trace is None:
            return self._sampling.wants(self._new_id(), None)
        return self._sampling.wants(int(trace.trace_id, 16), bool(int(trace.parent[-2:], 16) & 1))


class _Kept(Span):
    kept = True

    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    def name(self, text: str) -> None:
        self._span.update_name(text)

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, code: str) -> None:
        self._span.set_attribute("error.type", code)
        self._span.set_status(Status(StatusCode.ERROR))


def _parent(trace: Trace | None) -> Context:
    if trace is None:
        return Context()
    _, trace_id, span_id, _ = trace.parent.split("-")
    context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=_SAMPLED)
    return set_span_in_context(NonRecordingSpan(context), Context())


def _text(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def sent_to(collector: str, sampling: Sampling) -> OtelTracer:
    """A tracer that sends to the collector at this URL, in batches, in a thread of its own. One that does not answer
    costs the service nothing but the spans.
    """
    exporter = OTLPSpanExporter(f"{collector}/v1/traces", timeout=5)
    return OtelTracer(BatchSpanProcessor(exporter, max_queue_size=_QUEUE, schedule_delay_millis=1000), sampling)
