"""Spans of the service, as a collector of OpenTelemetry gets them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from glare.context import TRACE, part_of
from glare.errors import NotFound
from glare.spans import Span, Tracer
from glare.spans.otel import OtelTracer, Sampling
from glare.trace import Trace
from support.conversation import eventually
from support.origins.origin import Origin
from support.origins.receiver import Receiver
from support.server import Server
from support.service import ACTORS, running
from support.subscribers import now_clock, subscribed, telling, work

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{ID}-00f067aa0ba902b7-01"
UNFLAGGED = PARENT[:-1] + "0"


class Collector:
    """Takes OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library calls it so
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> Any:
        """The one span of this name."""
        [found] = [span for span in self.spans if span.name == name]
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def sampled(collector: Collector, of_1000: int = 1000) -> str:
    return f"[tracing]\ncollector = {collector.url}\nsampled_of_1000 = {of_1000}\n"


def test_an_upload_is_told_step_by_step(tmp_path: Path, collector: Collector) -> None:
    """The request is a child of the span that the caller named, its steps are children of it, each with its numbers."""
    with running(tmp_path, sampled(collector)) as glare:
        artifact = glare.alice.create("images", name="one")
        glare.alice.upload(artifact, "image", b"x" * 1000, headers={"traceparent": PARENT})
    request = collector.named("PUT /artifacts/{type_name}/{id}/{blob_path:path}")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (ID, PARENT[36:52])
    said = attributes(request)
    assert said["http.response.status_code"] == 200
    assert said["http.request.body.size"] == 1000
    assert said["glare.request_id"].startswith("req-")
    steps = [span for span in collector.spans if span.parent_span_id == request.span_id]
    assert [span.name for span in sorted(steps, key=lambda span: span.start_time_unix_nano)] == [
        "reserve",
        "store",
        "publish",
    ]
    assert attributes(collector.named("store")) == {"glare.store": "file", "glare.size": 1000}
    resource = {
        each.key: each.value.string_value for each in collector.requests[0].resource_spans[0].resource.attributes
    }
    assert resource["service.name"] == "glare"


def test_origins_get_the_step_that_asks_them(tmp_path: Path, collector: Collector, origin: Origin) -> None:
    """Where origins learn of traces, the parent that they are told is the step that asks them."""
    origin.put("/file", b"data")
    text = f"pass_trace = true\n{sampled(collector)}"
    with running(tmp_path, text, ports=(80, 443, origin.port)) as glare:
        artifact = glare.alice.create("images", name="one")
        glare.alice.locate(artifact, "image", origin.url("/file"))
    measure, request = collector.named("measure"), collector.named("PUT /artifacts/{type_name}/{id}/{blob_path:path}")
    assert measure.parent_span_id == request.span_id
    assert attributes(measure) == {"glare.size": 4}
    told = origin.seen[0].headers["traceparent"]
    assert told == f"00-{request.trace_id.hex()}-{measure.span_id.hex()}-01"


def test_a_message_is_part_of_what_caused_it(tmp_path: Path, collector: Collector) -> None:
    """A delivery is a span of the trace of its event, below the request that recorded it, and the receiver's parent."""
    with Receiver() as receiver, telling(tmp_path, receiver, text=sampled(collector)) as glare:
        now_clock(glare)
        subscribed(glare, glare.alice, receiver)
        glare.alice.create("images", name="one")
        work(glare)
        [message] = receiver.events()
    created = [span for span in collector.spans if span.name == "POST /artifacts/{type_name}"]
    [delivered] = [span for span in collector.spans if span.name == "deliver" and span.parent_span_id]
    assert [span.span_id for span in created] == [delivered.parent_span_id]
    assert message.headers["traceparent"] == f"00-{delivered.trace_id.hex()}-{delivered.span_id.hex()}-01"


def test_what_is_not_sampled_is_handed_on_as_it_came(tmp_path: Path, collector: Collector, origin: Origin) -> None:
    """No span is sent, and the caller's parent goes on unchanged, so that its trace stays whole."""
    origin.put("/file", b"data")
    text = f"pass_trace = true\n{sampled(collector, 0)}"
    with running(tmp_path, text, ports=(80, 443, origin.port)) as glare:
        artifact = glare.alice.create("images", name="one")
        path = f"/artifacts/images/{artifact['id']}/image"
        headers = {"Content-Type": "application/vnd+openstack.glare-custom-location+json", "traceparent": PARENT}
        body = b'{"url": "%s"}' % origin.url("/file").encode()
        assert glare.alice.request("PUT", path, content=body, headers=headers).status_code == 200
    assert collector.requests == []
    assert origin.seen[0].headers["traceparent"] == PARENT


def test_a_collector_that_is_away_costs_nothing_but_spans(tmp_path: Path) -> None:
    """Requests are answered as ever where nobody listens, and the service ends."""
    with running(tmp_path, "[tracing]\ncollector = http://127.0.0.1:9\nsampled_of_1000 = 1000\n") as glare:
        artifact = glare.alice.create("images", name="one")
        assert glare.alice.upload(artifact, "image", b"x")["image"]["size"] == 1


def test_a_failure_is_told_by_its_code(tmp_path: Path, collector: Collector) -> None:
    """What breaks off has its code and nothing of the message, which may hold what a caller wrote."""
    with running(tmp_path, sampled(collector)) as glare:
        artifact = glare.alice.create("images", name="one")
        wrong = glare.alice.try_upload(artifact, "image", b"x", headers={"Repr-Digest": f"sha-256=:{'A' * 43}=:"})
        assert wrong.status_code in (400, 409)
    failed = collector.named("store")
    assert failed.status.code == 2
    assert failed.status.message == ""
    assert attributes(failed)["error.type"] in ("BadRequest", "Conflict")
    request = collector.named("PUT /artifacts/{type_name}/{id}/{blob_path:path}")
    assert (request.status.code, attributes(request)["http.response.status_code"]) == (0, wrong.status_code)


@pytest.mark.parametrize(
    ("sampling", "parent", "kept"),
    [
        (Sampling(1000), None, True),
        (Sampling(1000), UNFLAGGED, True),
        (Sampling(0), PARENT, False),
        (Sampling(0), None, False),
        (Sampling(0, trust_callers=True), PARENT, True),
        (Sampling(1000, trust_callers=True), UNFLAGGED, False),
        (Sampling(1000, trust_callers=True), None, True),
    ],
    ids=str,
)
def test_who_decides_what_is_recorded(sampling: Sampling, parent: str | None, kept: bool) -> None:
    """The id of the trace decides, or its caller's flag where callers are trusted; the steps of a trace agree."""
    exporter = InMemorySpanExporter()
    tracer = OtelTracer(SimpleSpanProcessor(exporter), sampling)
    before = None if parent is None else Trace(parent, project="wonderland")
    with part_of(before), tracer.span("outer"):
        outer = TRACE.get()
        with tracer.span("inner") as inner:
            assert inner.kept is kept
        assert TRACE.get() == outer
    found = exporter.get_finished_spans()
    assert [span.name for span in found] == (["inner", "outer"] if kept else [])
    if not kept:
        assert outer == before
    elif before is not None:
        assert outer is not None
        assert (outer.trace_id, outer.project) == (before.trace_id, "wonderland")


def test_an_error_leaves_the_context_as_it_was() -> None:
    """Where a step raises, what comes after it is not part of it."""
    exporter = InMemorySpanExporter()
    tracer = OtelTracer(SimpleSpanProcessor(exporter), Sampling(1000))
    with pytest.raises(NotFound), tracer.span("step"):
        raise NotFound("No name of anybody is told.")
    assert TRACE.get() is None
    [span] = exporter.get_finished_spans()
    assert dict(span.attributes or {}) == {"error.type": "NotFound"}
    assert span.events == ()


def test_what_is_off_makes_nothing() -> None:
    """Without a collector every step is the same object, and changes no context."""
    tracer = Tracer()
    first, second = tracer.span("a"), tracer.span("b", {"x": 1})
    assert first is second
    with first as span:
        assert (type(span), span.kept, TRACE.get()) == (Span, False, None)


def test_every_process_tells_its_own(tmp_path: Path, collector: Collector) -> None:
    """The spans of several server processes arrive, each with the process that they are of, also those of its end."""
    with Server(tmp_path, f"{sampled(collector)}[DEFAULT]\nworkers = 2\n") as server:

        def told() -> int:
            httpx2.get(f"{server.url}/schemas", headers={"X-Auth-Token": ACTORS["alice"]}, trust_env=False, timeout=10)
            resources = [found.resource for request in collector.requests for found in request.resource_spans]
            return len(
                {each.value.string_value for one in resources for each in one.attributes if "instance" in each.key}
            )

        eventually(lambda: told() == 2)
