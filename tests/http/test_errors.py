"""The shape of errors, and bodies that are no usable JSON."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from glare.app import build_services, close, create_application
from glare.db.migrate import upgrade
from support.service import LOCATION, PATCH, Glare, configuration, running

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

NOBODY = "00000000-0000-4000-8000-000000000000"
JSON = {"Content-Type": "application/json"}

SHAPED: list[tuple[str, str, str, dict[str, Any], int, str, str]] = [
    ("alice", "POST", "/artifacts/images", {"json": []}, 400, "Bad Request", "BadRequest"),
    ("alice", "POST", "/artifacts/images", {"json": {"name": {}, "x": 1}}, 400, "Bad Request", "BadRequest"),
    (
        *("alice", "POST", "/artifacts/images", {"json": {"name": "a", "min_ram": "x"}}),
        *(400, "Bad Request", "InvalidParameterValue"),
    ),
    ("alice", "POST", "/artifacts/images", {"content": b"{", "headers": JSON}, 400, "Bad Request", "BadRequest"),
    ("alice", "GET", "/schemas", {"content": b"{}"}, 400, "Bad Request", "BadRequest"),
    ("alice", "GET", "/artifacts/images/%ff", {}, 400, "Bad Request", "BadRequest"),
    ("stranger", "GET", "/schemas", {}, 401, "Unauthorized", "Unauthorized"),
    ("anonymous", "POST", "/artifacts/images", {"json": {"name": "a"}}, 403, "Forbidden", "Forbidden"),
    ("alice", "GET", "/quotas", {}, 403, "Forbidden", "PolicyException"),
    ("alice", "GET", "/nowhere", {}, 404, "Not Found", "NotFound"),
    ("alice", "GET", "/schemas/unknown", {}, 404, "Not Found", "TypeNotFound"),
    ("alice", "GET", f"/artifacts/images/{NOBODY}", {}, 404, "Not Found", "ArtifactNotFound"),
    ("alice", "GET", f"/artifacts/images?marker={NOBODY}", {}, 404, "Not Found", "ArtifactNotFound"),
    ("alice", "POST", "/schemas", {}, 405, "Method Not Allowed", "MethodNotAllowed"),
    ("alice", "POST", "/artifacts/images", {"content": b"{}"}, 415, "Unsupported Media Type", "UnsupportedMediaType"),
    (
        *("alice", "POST", "/artifacts/images", {"content": b" " * (1024**2 + 1), "headers": JSON}),
        *(413, "Request Entity Too Large", "RequestEntityTooLarge"),
    ),
    ("alice", "BREW", "/nowhere", {}, 501, "Not Implemented", "NotImplemented"),
]


@pytest.mark.parametrize("case", SHAPED)
@pytest.mark.parametrize("accept", [None, "*/*", "text/html", "application/json"])
def test_errors_have_one_shape(api: Glare, case: tuple[Any, ...], accept: str | None) -> None:
    """Every error is the same JSON object, whoever raised it and whatever the client accepts (quirk 20)."""
    actor, method, path, options, status, title, kind = case
    headers = {**options.get("headers", {}), **({"Accept": accept} if accept is not None else {})}
    answer = getattr(api, actor).request(method, path, **{**options, "headers": headers})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"code", "title", "explanation", "error"}
    assert (body["code"], body["title"]) == (status, title)
    assert isinstance(body["explanation"], str)
    assert set(body["error"]) == {"message", "type"}
    assert body["error"]["type"] == kind
    assert body["error"]["message"]


def test_conflict_and_failure_have_the_shape(api: Glare) -> None:
    """A taken name is 409; an error of a type's own hook is 500 and keeps its message."""
    artifact = api.alice.create("sample_artifact", name="taken")
    taken = api.alice.try_create("sample_artifact", name="taken")
    assert (taken.status_code, taken.json()["error"]["type"]) == (409, "Conflict")
    failed = api.alice.try_upload(artifact, "blob", b"invalid_data")
    assert (failed.status_code, failed.json()["error"]["type"]) == (500, "GlareException")
    assert failed.json()["title"] == "Internal Server Error"


def test_defect_is_500_without_particulars(api: Glare, caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody planned is logged with its request id; the client learns that id and no more."""
    with caplog.at_level(logging.ERROR):
        answer = api.alice.try_create("hooks_artifact", name="defect", temp_dir="/nonexistent/directory")
    assert answer.status_code == 500
    body = answer.json()
    assert set(body["error"]) == {"message", "type"}
    assert body["error"]["type"] == "GlareException"
    assert "nonexistent" not in answer.text
    assert answer.headers["x-openstack-request-id"] in body["error"]["message"]
    assert answer.headers["x-openstack-request-id"] == caplog.records[-1].__dict__["request_id"]


def test_traceback_is_for_debugging_only(tmp_path: Path) -> None:
    """With debug = true every error carries a traceback."""
    with running(tmp_path, "[DEFAULT]\ndebug = true\n") as glare:
        answer = glare.alice.request("GET", "/nowhere")
        assert set(answer.json()["error"]) == {"message", "type", "traceback"}
        assert "NotFound" in answer.json()["error"]["traceback"]


NO_JSON = {
    "nothing": b"",
    "blank": b"  ",
    "truncated": b'{"name": "a"',
    "garbage": b"name=a",
    "two": b"{} {}",
    "latin-1": '{"name": "ä"}'.encode("latin-1"),
    "utf-16": '{"name": "a"}'.encode("utf-16"),
    "lone surrogate": b'{"name": "\\ud800"}',
    "NaN": b'{"name": "a", "min_ram": NaN}',
    "Infinity": b'{"name": "a", "min_ram": -Infinity}',
    "control": b'{"name": "a\x01b"}',
    "comment": b'{"name": "a"} // x',
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep and closed": b'{"name":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "huge exponent": b'{"name": "a", "min_ram": 1e999}',
    "huge integer": b'{"name": "a", "min_ram": ' + b"9" * 5000 + b"}",
}
"""Bodies that are no JSON, or JSON that no value can be made of."""


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
@pytest.mark.parametrize(
    ("method", "path", "content_type"),
    [
        ("POST", "/artifacts/images", "application/json"),
        ("PATCH", f"/artifacts/images/{NOBODY}", PATCH),
        ("PUT", "/quotas", "application/json"),
        ("PUT", f"/artifacts/images/{NOBODY}/image", LOCATION),
    ],
)
def test_body_that_is_no_json_is_400(api: Glare, method: str, path: str, content_type: str, body: bytes) -> None:
    """Wherever JSON belongs, what is none is refused before anything is looked up."""
    answer = api.admin.request(method, path, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400


@pytest.mark.parametrize("scalar", ["1", "null", "true", '"text"', "1.5"])
@pytest.mark.parametrize(
    ("method", "path", "content_type"),
    [
        ("POST", "/artifacts/images", "application/json"),
        ("PATCH", f"/artifacts/images/{NOBODY}", PATCH),
        ("PUT", "/quotas", "application/json"),
        ("PUT", f"/artifacts/images/{NOBODY}/image", LOCATION),
    ],
)
def test_scalar_body_is_400(api: Glare, method: str, path: str, content_type: str, scalar: str) -> None:
    """A body that is neither object nor array means nothing anywhere."""
    answer = api.admin.request(method, path, content=scalar.encode(), headers={"Content-Type": content_type})
    assert answer.status_code == 400


def test_duplicate_key_counts_as_sent_last(api: Glare) -> None:
    """An object that names a key twice means the last one, as JSON parsers agree."""
    answer = api.alice.request(
        "POST", "/artifacts/images", content=b'{"name": "first", "name": "second"}', headers=JSON
    )
    assert (answer.status_code, answer.json()["name"]) == (201, "second")


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
def test_integers_of_64_bits_are_kept(api: Glare, number: int) -> None:
    """The ends of the range go in and come out exactly."""
    artifact = api.alice.create("sample_artifact", name=f"int {number}", int1=number)
    assert artifact["int1"] == number
    assert api.alice.show(artifact)["int1"] == number


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**30])
def test_larger_integers_are_400(api: Glare, number: int) -> None:
    """Integers that databases cannot hold are refused (quirk 35)."""
    answer = api.alice.try_create("sample_artifact", name="too large", int1=number)
    assert answer.status_code == 400
    answer = api.alice.request("GET", f"/artifacts/sample_artifact?int1={number}")
    assert answer.status_code == 400


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999"])
def test_floats_that_json_lacks_are_400(api: Glare, text: str) -> None:
    """Not-a-number and infinities never get in, so that they never come out as bare words (quirk 35)."""
    assert api.alice.try_create("sample_artifact", name="nan", float1=text).status_code == 400
    assert api.alice.request("GET", f"/artifacts/sample_artifact?float1={text}").status_code == 400


@pytest.mark.parametrize("chunked", [False, True])
def test_json_body_has_a_limit(tmp_path: Path, chunked: bool) -> None:
    """A JSON body at the configured limit is read, one byte more is 413, with and without a declared length."""
    with running(tmp_path, "[api]\nmax_body_size = 1 KiB\n") as glare:
        body = json.dumps({"name": "a"}).encode()
        for size, status in ((1024, 201), (1025, 413)):
            sent = body + b" " * (size - len(body))
            content: Any = iter([sent[:500], sent[500:]]) if chunked else sent
            answer = glare.alice.request("POST", "/artifacts/images", content=content, headers=JSON)
            assert answer.status_code == status


@pytest.mark.parametrize("length", ["-1", "abc", "1.5", "99999999999999999999"])
def test_content_length_that_is_no_number_is_400(api: Glare, length: str) -> None:
    """A declared length must be a number of bytes."""
    answer = api.alice.request("POST", "/artifacts/images", content=b"{}", headers={**JSON, "Content-Length": length})
    assert answer.status_code == 400


def test_json_body_that_stalls_is_408(tmp_path: Path) -> None:
    """A client that stops in the middle of a JSON body is told so after the configured time."""
    settings = configuration(tmp_path, "[uploads]\nstall_timeout = 0.1\n")
    settings.server.state_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database.connection)
    services = build_services(settings)
    application = create_application(settings, with_worker=False, services=services)
    sent: list[Any] = []

    async def converse() -> None:
        messages = iter([{"type": "http.request", "body": b'{"na', "more_body": True}])

        async def receive() -> Any:
            for message in messages:
                return message
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"x-auth-token", b"a:b:c"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/artifacts/images", "headers": headers}
        await application({**scope, "query_string": b"", "raw_path": b"/artifacts/images"}, receive, send)

    asyncio.run(converse())
    close(services)
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error"]["type"] == "RequestTimeout"
