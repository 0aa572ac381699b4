"""Trace contexts on their way through the service: from a request to its log lines, its events, its jobs, and what
these cause.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from sqlalchemy import select

from glare.cli.logs import JsonFormatter
from glare.db.tables import jobs, outbox
from support.origins.origin import Origin
from support.origins.receiver import Message, Receiver
from support.runs.jobs import Working, working
from support.service import Glare, running
from support.subscribers import now_clock, subscribed, telling, work

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{ID}-00f067aa0ba902b7-01"
STATE = "rojo=1,congo=t61rcWkgMzE"
TRACED = {"traceparent": PARENT, "tracestate": STATE}


class Lines(logging.Handler):
    """What is logged, as a collector reads it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonFormatter())
        self.entries: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.entries.append(json.loads(self.format(record)))


@pytest.fixture
def logged() -> Iterator[Lines]:
    handler = Lines()
    logger = logging.getLogger("glare")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.setLevel(before)
    logger.removeHandler(handler)


def create(glare: Glare, name: str, headers: dict[str, str]) -> dict[str, Any]:
    """An artifact of Alice's, made by a request with these headers."""
    members = {"name": name, "string_required": "x"}
    answer = glare.alice.request("POST", "/artifacts/sample_artifact", json=members, headers=headers)
    assert answer.status_code == 201, answer.text
    artifact: dict[str, Any] = answer.json() | {"type_name": "sample_artifact"}
    return artifact


def test_log_lines_tell_the_trace(glare: Glare, logged: Lines) -> None:
    """Every line of a request has the trace that its caller named, in whatever thread; the next request has none of
    it.
    """
    artifact = create(glare, "a", TRACED)
    glare.alice.upload(artifact, "blob", b"data", headers=TRACED)
    assert {entry.get("trace_id") for entry in logged.entries if "request_id" in entry} == {ID}
    assert any(entry["logger"] == "glare.stores.base" for entry in logged.entries)
    logged.entries.clear()
    for headers in ({}, {"traceparent": "nonsense"}, {"traceparent": PARENT.upper(), "tracestate": STATE}):
        assert glare.alice.request("GET", "/schemas", headers=headers).status_code == 200
    assert logged.entries
    assert not any("trace_id" in entry for entry in logged.entries)


def test_a_subscriber_of_the_project_is_told_the_trace(tmp_path: Path) -> None:
    """A message carries the trace of what caused its event, in its headers and in the CloudEvents document, also when
    it is sent again.
    """
    with Receiver() as receiver, telling(tmp_path, receiver) as glare:
        now_clock(glare)
        subscribed(glare, glare.alice, receiver)
        create(glare, "traced", TRACED)
        create(glare, "not traced", {})
        work(glare)
        traced, untraced = receiver.events()
        assert (traced.headers["traceparent"], traced.headers["tracestate"]) == (PARENT, STATE)
        read = from_http_event(HTTPMessage(headers=dict(traced.headers), body=traced.body))
        assert (read.get_extension("traceparent"), read.get_extension("tracestate")) == (PARENT, STATE)
        for place in (untraced.headers, untraced.document):
            assert not {"traceparent", "tracestate"} & set(place)


def test_other_projects_are_not_told_the_trace(tmp_path: Path) -> None:
    """What happens to a public artifact is sent to everybody who wants to know; which trace it was part of, to its own
    project only.
    """
    with Receiver() as mine, Receiver() as theirs, telling(tmp_path, mine, theirs) as glare:
        now_clock(glare)
        subscribed(glare, glare.alice, mine)
        subscribed(glare, glare.bob, theirs)
        artifact = create(glare, "public", TRACED)
        glare.alice.activate(artifact)
        glare.admin.publish(artifact)
        glare.alice.upload(artifact, "blob", b"data", headers=TRACED)
        work(glare)
        [uploaded] = [message for message in mine.events() if message.type == "artifact.upload"]
        assert uploaded.headers["traceparent"] == PARENT
        assert "artifact.upload" in {message.type for message in theirs.events()}
        assert not any(carries_a_trace(message) for message in theirs.events())


def carries_a_trace(message: Message) -> bool:
    return ID in json.dumps(dict(message.headers)) or ID.encode() in message.body or b"rojo" in message.body


def test_a_trace_of_somebody_else_is_not_kept(glare: Glare) -> None:
    """What an administrator does to an artifact of a project is part of the administrator's trace, which is not the
    project's.
    """
    artifact = create(glare, "a", {})
    answer = glare.admin.request("DELETE", f"/artifacts/sample_artifact/{artifact['id']}", headers=TRACED)
    assert answer.status_code == 204
    with glare.services.db.read() as connection:
        assert set(connection.execute(select(outbox.c.trace)).scalars()) == {None}


def test_a_job_goes_on_with_the_trace(tmp_path: Path, logged: Lines) -> None:
    """A recording that is done later is part of the trace that asked for it: its log lines, and the event at its
    end.
    """
    with working(tmp_path) as later:
        later.origin.put("/raw", b"data")
        image = later.image()
        body = json.dumps({"url": later.origin.url("/raw")}).encode()
        headers = {"Content-Type": "application/vnd+openstack.glare-custom-location+json", "Prefer": "respond-async"}
        path = f"/artifacts/images/{image['id']}/image"
        put = later.glare.alice.request("PUT", path, content=body, headers=headers | TRACED)
        assert put.status_code == 202
        with later.glare.services.db.read() as connection:
            assert connection.execute(select(jobs.c.trace)).scalars().all() == [f"{PARENT} {STATE}"]
        logged.entries.clear()
        assert later.do() == ["wonderland"]
        assert {entry.get("trace_id") for entry in logged.entries if entry["logger"] == "glare.egress"} == {ID}
        with later.glare.services.db.read() as connection:
            reported = connection.execute(select(outbox.c.event_type, outbox.c.trace).order_by(outbox.c.id)).all()
        assert reported[-1] == ("set_location", f"{PARENT} {STATE}")
        _no_trace_is_left(later)
        assert not {"traceparent", "tracestate"} & set(later.origin.seen[0].headers)


def _no_trace_is_left(later: Working) -> None:
    """The thread that did the job is part of no trace afterwards."""
    later.glare.alice.create("images", name="untraced")
    with later.glare.services.db.read() as connection:
        newest = select(outbox.c.trace).order_by(outbox.c.id.desc()).limit(1)
        assert connection.execute(newest).scalar_one() is None


@pytest.mark.parametrize("passed", [False, True])
def test_origins_learn_of_a_trace_only_where_the_operator_says_so(tmp_path: Path, origin: Origin, passed: bool) -> None:
    """By default nothing goes to an origin; with `pass_trace` the parent does, at recording and at download, and never
    the state.
    """
    origin.put("/file", b"data")
    text = f"pass_trace = {str(passed).lower()}\n"
    with running(tmp_path, text, ports=(80, 443, origin.port)) as glare:
        artifact = create(glare, "a", {})
        body = json.dumps({"url": origin.url("/file")}).encode()
        path = f"/artifacts/sample_artifact/{artifact['id']}/blob"
        headers = {"Content-Type": "application/vnd+openstack.glare-custom-location+json"}
        assert glare.alice.request("PUT", path, content=body, headers=headers | TRACED).status_code == 200
        assert glare.alice.download(artifact, "blob", **TRACED).content == b"data"
        assert [request.headers.get("traceparent") for request in origin.seen] == [PARENT if passed else None] * 2
        assert not any("tracestate" in request.headers for request in origin.seen)
