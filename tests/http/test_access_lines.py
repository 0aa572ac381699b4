"""One line for each request, and the request's id on every line that belongs to it."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from glare.cli.logs import JsonFormatter, TextFormatter, logging_config
from glare.errors import ClientDisconnected
from glare.settings import Sources, load
from support.origins import bare
from support.origins.origin import Origin
from support.service import Glare, path_of, running

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.


class Lines(logging.Handler):
    """Formats each record where it is made, as the handler of the service does."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def logged() -> Iterator[Lines]:
    """What is logged from now on, as JSON."""
    handler = Lines(JsonFormatter())
    logger = logging.getLogger("glare")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.setLevel(before)
    logger.removeHandler(handler)


BLOB = "/artifacts/{type_name}/{id}/{blob_path:path}"


def access(lines: Lines) -> list[dict[str, Any]]:
    return [entry for entry in lines.entries if entry["logger"] == "glare.access"]


def test_an_access_line_tells_what_was_asked_and_answered(glare: Glare, logged: Lines) -> None:
    """Method, route, status, bytes, seconds, project, artifact and request id, once for each request."""
    artifact = glare.alice.create("images", name="seen")
    answer = glare.alice.try_upload(artifact, "image", b"12345")
    entry = access(logged)[-1]
    assert entry.pop("seconds") > 0
    del entry["time"]
    assert entry == {
        "level": "info",
        "logger": "glare.access",
        "message": "PUT /artifacts/{type_name}/{id}/{blob_path:path} 200",
        "request_id": answer.headers["x-openstack-request-id"],
        "method": "PUT",
        "route": "/artifacts/{type_name}/{id}/{blob_path:path}",
        "status": 200,
        "received": 5,
        "sent": len(answer.content),
        "project": "wonderland",
        "user": "alice",
        "type": "images",
        "artifact": artifact["id"],
    }
    assert len(access(logged)) == 2


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/nowhere/s3cret", "none", 404),
        ("BREW", "/schemas", "/schemas", 405),
        ("GET", "/artifacts/images/s3cret?sig=s3cret", "/artifacts/{type_name}/{id}", 404),
        ("GET", "/artifacts/s3cret%20x/http:%2F%2Fu:s3cret@h", BLOB, 404),
        ("OPTIONS", "/s3cret", "none", 200),
    ],
)
def test_an_access_line_tells_nothing_that_a_client_made_up(
    glare: Glare, logged: Lines, method: str, path: str, route: str, status: int
) -> None:
    """Of a path only the route is logged, since people put secrets into paths; there is a line whatever the answer."""
    answer = glare.alice.request(method, path)
    assert answer.status_code == status
    [entry] = access(logged)
    assert (entry["route"], entry["status"]) == (route, status)
    assert not [line for line in logged.lines if "s3cret" in line]


def test_a_worker_threads_lines_carry_the_request(glare: Glare, logged: Lines, origin: Origin) -> None:
    """What happens for a request in other threads, store calls and outbound requests, is logged under its id."""
    origin.put("/file", b"data")
    artifact = glare.alice.create("sample_artifact", name="a", string_required="x")
    logged.lines.clear()
    uploaded = glare.alice.try_upload(artifact, "blob", b"12345").headers["x-openstack-request-id"]
    located = glare.alice.try_locate(artifact, "small_blob", origin.url("/file"), md5=None)
    streamed = glare.alice.download(artifact, "small_blob")
    ids = {name: {e.get("request_id") for e in logged.entries if e["logger"] == name} for name in LOGGERS}
    assert ids["glare.stores.base"] == {uploaded}
    assert ids["glare.egress"] == {answer.headers["x-openstack-request-id"] for answer in (located, streamed)}


LOGGERS = ("glare.stores.base", "glare.egress")


def test_requests_do_not_share_an_id(glare: Glare, logged: Lines) -> None:
    """After a request its id is on no line any more."""
    glare.alice.page("images")
    logging.getLogger("glare").info("in between")
    assert "request_id" not in logged.entries[-1]
    assert len({entry["request_id"] for entry in access(logged)}) == len(access(logged)) == 1


def test_a_broken_off_answer_is_told(tmp_path: Path, origin: Origin, logged: Lines) -> None:
    """An answer that ended before its last byte has no status in its line."""
    data = bytes(3 << 20)
    origin.put("/file", data)
    with running(tmp_path, ports=(origin.port,)) as glare:
        artifact = glare.alice.create("sample_artifact", name="a", string_required="x")
        glare.alice.locate(artifact, "blob", origin.url("/file"), md5=None)
        origin.put("/file", data[: 2 << 20] + b"x" * (1 << 20))
        with contextlib.suppress(Exception):  # How this client meets a broken connection is not the matter here.
            glare.alice.download(artifact, "blob")
    entry = access(logged)[-1]
    assert entry["status"] is None
    assert entry["message"].endswith("broken off")


def test_a_text_line_has_the_same(glare: Glare) -> None:
    """The text format carries the same on one line, and says nothing twice."""
    handler = Lines(TextFormatter())
    logger = logging.getLogger("glare.access")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    answer = glare.alice.request("GET", "/schemas")
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)
    [line] = handler.lines
    request_id = answer.headers["x-openstack-request-id"]
    assert re.match(rf"\S+Z INFO glare.access: GET /schemas 200 request_id='{request_id}' received=0 sent=", line)
    assert not re.search(r"\b(method|route|status)=", line)
    assert "alice:wonderland" not in line


def test_access_lines_can_be_switched_off() -> None:
    """`[logging] access = false` silences them, and nothing else."""
    for text, level in (("true", "INFO"), ("false", "CRITICAL")):
        overrides = {("logging", "access"): text}
        config = logging_config(load(Sources(overrides=overrides, search=False, environment=False)).settings)
        assert config["loggers"]["glare.access"] == {"level": level}
        assert config["root"]["level"] == "INFO"


def test_who_leaves_with_all_bytes_has_a_whole_answer(
    glare: Glare, logged: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that closes its connection after the last byte, before the server says that no more comes, is answered
    200: nothing is logged as broken off.
    """
    artifact = glare.alice.create("sample_artifact", name="a", string_required="x")
    glare.alice.upload(artifact, "blob", bytes(3 << 20))
    application = glare.client.app

    async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                raise ClientDisconnected("The client left before its answer was sent.")
            await send(message)

        await application(scope, receive, sending)

    monkeypatch.setattr(glare.client, "app", leaving)
    answer = bare.ask(glare, "GET", f"{path_of(artifact)}/blob".encode(), [bare.token("alice")])
    assert answer.body == bytes(3 << 20)
    assert access(logged)[-1]["status"] == 200
    assert [entry for entry in logged.entries if "broken off" in entry["message"]] == []


def test_probes_that_are_well_are_no_news(glare: Glare, logged: Lines) -> None:
    """Probes, which come every few seconds, leave their lines at level debug; one that is refused leaves it at any
    level.
    """
    for path in ("/healthz", "/readyz", "/metrics"):
        assert glare.alice.request("GET", path).status_code == 200
    assert [entry["level"] for entry in access(logged)] == ["debug"] * 3
    assert glare.alice.request("GET", "/metrics", headers={"Via": "1.1 proxy"}).status_code == 403
    assert access(logged)[-1]["level"] == "info"
