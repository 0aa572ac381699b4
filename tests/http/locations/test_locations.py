"""Recording external locations: what is measured, what is claimed, and who may."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from glare.context import REQUEST_ID
from glare.db.tables import blobs
from support.origins.origin import Origin
from support.service import LOCATION, Glare, Json, path_of, running

DATA = b"what the origin serves"
DIGESTS = {name: hashlib.new(name, DATA).hexdigest() for name in ("md5", "sha1", "sha256")}


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as server:
        server.put("/file", DATA, content_type="image/png; charset=x", etag='"v1"')
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("locations"), ports=(80, 443, origin.port)) as service:
        yield service
        assert service.leftovers() == {}


@pytest.fixture
def artifact(api: Glare, request: pytest.FixtureRequest) -> Json:
    """A drafted artifact of Alice's."""
    return api.alice.create("sample_artifact", name=request.node.name, string_required="x")


def put(api: Glare, artifact: Json, body: object, path: str = "blob", actor: str = "alice") -> Any:
    """PUT of any body as a location document."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return getattr(api, actor).request(
        "PUT", f"{path_of(artifact)}/{path}", content=content, headers={"Content-Type": LOCATION}
    )


def test_a_location_is_measured(api: Glare, origin: Origin, artifact: Json) -> None:
    """Without any claim: size, digests and media type of the blob are those that Glare has measured itself."""
    url = origin.url("/file")
    after = api.alice.locate(artifact, "blob", url)
    assert after["blob"] == {
        "url": url,
        "status": "active",
        "external": True,
        "size": len(DATA),
        "content_type": "image/png",
        **DIGESTS,
    }
    assert api.alice.show(artifact)["blob"] == after["blob"]
    assert api.events()[-1] == "set_location"
    assert api.usage("wonderland")[1] == 0
    assert api.objects() == []
    seen = origin.seen[-1]
    assert seen.headers["accept-encoding"] == "identity"
    assert "cdn-loop" in seen.headers
    assert not {"x-auth-token", "cookie", "authorization"} & set(seen.headers)
    with api.services.db.read() as connection:
        row = connection.execute(select(blobs).where(blobs.c.artifact_id == artifact["id"])).one()
    assert (row.state, row.etag, row.host) == ("verified", '"v1"', "127.0.0.1")
    assert row.last_modified is not None
    assert row.proven_at == row.seen_at > 0


RIGHT = {
    "all": {**DIGESTS, "size": len(DATA)},
    "md5, as old clients send": {"md5": DIGESTS["md5"], "sha1": None, "sha256": None},
    "md5 null": {"md5": None},
    "in upper case": {name: value.upper() for name, value in DIGESTS.items()},
    "sha256": {"sha256": DIGESTS["sha256"]},
    "size": {"size": len(DATA)},
    "external by name": {"location_type": "external"},
    "other members": {"unknown": [1, {"a": None}], "content_type": "x/y"},
}


@pytest.mark.parametrize("members", RIGHT.values(), ids=RIGHT.keys())
def test_true_claims_are_accepted(api: Glare, origin: Origin, artifact: Json, members: Json) -> None:
    """Claims that equal what was measured change nothing."""
    after = api.alice.locate(artifact, "blob", origin.url("/file"), **members)
    assert {name: after["blob"][name] for name in DIGESTS} == DIGESTS


WRONG = {
    "md5": {**DIGESTS, "md5": "0" * 32},
    "sha1": {**DIGESTS, "sha1": "0" * 40},
    "sha256": {**DIGESTS, "sha256": "0" * 64},
    "size": {**DIGESTS, "size": len(DATA) + 1},
    "size zero": {"size": 0},
}


@pytest.mark.parametrize("members", WRONG.values(), ids=WRONG.keys())
def test_one_false_claim_refuses_the_location(api: Glare, origin: Origin, artifact: Json, members: Json) -> None:
    """One claim that differs from what was measured is 400, and records nothing."""
    response = api.alice.try_locate(artifact, "blob", origin.url("/file"), **members)
    assert response.status_code == 400
    assert "claimed" in response.json()["error"]["message"]
    assert api.alice.show(artifact)["blob"] is None


SHAPES: dict[str, object] = {
    "no JSON": b"{",
    "nothing": b"",
    "not UTF-8": b'{"url": "\xff"}',
    "an array": [],
    "an array with a location": [{"url": "http://127.0.0.1/"}],
    "a string": "http://127.0.0.1/",
    "a number": 5,
    "null": None,
    "no url": {},
    "url null": {"url": None},
    "url a number": {"url": 5},
    "url a list": {"url": ["http://127.0.0.1/"]},
    "url empty": {"url": ""},
    "no scheme": {"url": "127.0.0.1/file"},
    "httpfoo": {"url": "httpfoo://127.0.0.1/"},
    "ftp": {"url": "ftp://127.0.0.1/"},
    "file": {"url": "file:///etc/passwd"},
    "javascript": {"url": "javascript:alert(1)"},
    "no host": {"url": "http:///file"},
    "upper-case scheme": {"url": "HTTP://127.0.0.1/"},
    "2049 characters": {"url": "http://127.0.0.1/" + "x" * (2049 - 17)},
    "md5 a number": {"md5": 5},
    "md5 too short": {"md5": "abc"},
    "md5 not hex": {"md5": "x" * 32},
    "md5 empty": {"md5": ""},
    "sha1 of another length": {"sha1": "0" * 64},
    "sha256 a list": {"sha256": ["0" * 64]},
    "size a string": {"size": "22"},
    "size true": {"size": True},
    "size negative": {"size": -1},
    "size a fraction": {"size": 22.5},
    "location_type null": {"location_type": None},
    "location_type unknown": {"location_type": "elsewhere"},
    "location_type a list": {"location_type": ["external"]},
    "confidential a string": {"confidential": "yes"},
}


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES.keys())
def test_a_body_of_the_wrong_shape_is_refused(api: Glare, origin: Origin, artifact: Json, body: object) -> None:
    """A body that is no location is 400: nothing is asked and nothing stored (quirks 25 and 31)."""
    if isinstance(body, dict):
        body = {"url": origin.url("/file"), **body} if "url" not in body and body else body
    asked = len(origin.seen)
    response = put(api, artifact, body)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["message"]
    assert len(origin.seen) == asked
    assert api.alice.show(artifact) == artifact


def test_a_url_may_have_2048_characters(api: Glare, origin: Origin, artifact: Json) -> None:
    """The longest allowed URL is recorded and listed as it is."""
    path = "/" + "x" * (2048 - len(origin.url("/")))
    origin.put(path, DATA)
    assert len(origin.url(path)) == 2048
    assert api.alice.locate(artifact, "blob", origin.url(path))["blob"]["url"] == origin.url(path)
    assert api.alice.page("sample_artifact", f"name=eq:{artifact['name']}")["artifacts"][0]["blob"]["size"] == len(DATA)


INTERNAL = [
    ("file:///etc/passwd", 403),
    ("filesystem:///x", 403),
    ("swift+config://x/y/z", 403),
    ("sql://x", 403),
    ("FILE:///etc/passwd", 403),
    ("cinder://volume", 400),
    ("s3://bucket/object", 400),
    ("nonsense", 400),
]


@pytest.mark.parametrize(("url", "status"), INTERNAL)
def test_internal_locations_are_refused_by_scheme_before_any_lookup(
    api: Glare, artifact: Json, url: str, status: int
) -> None:
    """Local and SQL schemes are 403, unknown ones 400, even where there is no such type or artifact."""
    body = {"url": url, "location_type": "internal"}
    for target in (artifact, {"type_name": "nothing", "id": "nothing"}):
        for actor in ("alice", "bob", "admin"):
            assert put(api, target, body, actor=actor).status_code == status
    assert api.alice.show(artifact)["blob"] is None


@pytest.mark.parametrize("kind", ["managed", "external"])
def test_a_location_replaces_nothing(api: Glare, origin: Origin, artifact: Json, kind: str) -> None:
    """Where a blob exists, of either kind, a location is 409, and the origin is not asked."""
    if kind == "managed":
        api.alice.upload(artifact, "blob", b"data")
    else:
        api.alice.locate(artifact, "blob", origin.url("/file"))
    before, asked = api.alice.show(artifact), len(origin.seen)
    for actor in (api.alice, api.admin):
        assert actor.try_locate(artifact, "blob", origin.url("/file")).status_code == 409
    assert (api.alice.show(artifact), len(origin.seen)) == (before, asked)


def test_a_location_goes_into_a_folder(api: Glare, origin: Origin, artifact: Json) -> None:
    """Members of a folder may be external, beside managed ones."""
    api.alice.upload(artifact, "dict_of_blobs/here", b"here")
    after = api.alice.locate(artifact, "dict_of_blobs/there/ü [1].txt", origin.url("/file"))
    folder = after["dict_of_blobs"]
    assert {key: blob["external"] for key, blob in folder.items()} == {"here": False, "there/ü [1].txt": True}
    assert api.alice.download(artifact, "dict_of_blobs/there/ü [1].txt").content == DATA


def test_a_location_that_is_too_large_is_refused_before_a_byte_is_read(
    api: Glare, origin: Origin, artifact: Json
) -> None:
    """More than the field or the folder may hold is 413, said by the origin's Content-Length already."""
    origin.put("/eleven", bytes(11))
    origin.put("/huge", bytes(2001))
    assert api.alice.try_locate(artifact, "small_blob", origin.url("/eleven")).status_code == 413
    assert api.alice.try_locate(artifact, "dict_of_blobs/a", origin.url("/huge")).status_code == 413
    after = api.alice.show(artifact)
    assert (after["small_blob"], after["dict_of_blobs"]) == (None, {})
    origin.put("/ten", bytes(10))
    assert api.alice.locate(artifact, "small_blob", origin.url("/ten"))["small_blob"]["size"] == 10


def test_external_members_fill_a_folder(api: Glare, origin: Origin, artifact: Json) -> None:
    """The folder's maximum counts external members too, to the byte."""
    origin.put("/most", bytes(1990))
    origin.put("/ten", bytes(10))
    origin.put("/eleven", bytes(11))
    api.alice.locate(artifact, "dict_of_blobs/a", origin.url("/most"))
    assert api.alice.try_locate(artifact, "dict_of_blobs/b", origin.url("/eleven")).status_code == 413
    api.alice.locate(artifact, "dict_of_blobs/b", origin.url("/ten"))


def test_only_the_owner_and_admins_record_locations(api: Glare, origin: Origin, artifact: Json) -> None:
    """Another project gets 404 for a private artifact and 403 for a public one; the origin is not asked."""
    asked = len(origin.seen)
    assert api.bob.try_locate(artifact, "blob", origin.url("/file")).status_code == 404
    assert api.stranger.try_locate(artifact, "blob", origin.url("/file")).status_code == 401
    api.alice.activate(artifact)
    api.admin.publish(artifact)
    for actor in (api.bob, api.anonymous):
        assert actor.try_locate(artifact, "blob", origin.url("/file")).status_code == 403
    assert len(origin.seen) == asked
    api.admin.locate(artifact, "blob", origin.url("/file"))


def test_after_activation_only_mutable_blobs_take_locations(api: Glare, origin: Origin, artifact: Json) -> None:
    """An active artifact's immutable blobs are 403; of a deactivated one all are. The origin is not asked."""
    api.alice.activate(artifact)
    asked = len(origin.seen)
    assert api.alice.try_locate(artifact, "dict_of_blobs/a", origin.url("/file")).status_code == 403
    assert len(origin.seen) == asked
    api.admin.set(artifact, status="deactivated")
    assert api.admin.try_locate(artifact, "blob", origin.url("/file")).status_code == 403
    assert len(origin.seen) == asked


def test_a_location_may_name_the_revision_that_it_expects(api: Glare, origin: Origin, artifact: Json) -> None:
    """If-Match with another revision is 412, and the origin is not asked."""
    asked = len(origin.seen)
    response = api.alice.request(
        "PUT",
        f"{path_of(artifact)}/blob",
        json={"url": origin.url("/file")},
        headers={"Content-Type": LOCATION, "If-Match": '"other"'},
    )
    assert (response.status_code, len(origin.seen)) == (412, asked)


def test_the_body_is_judged_before_anything_is_looked_up(api: Glare, artifact: Json) -> None:
    """A location document of the wrong shape is 400 even for a type that does not exist."""
    assert put(api, {"type_name": "nothing", "id": "x"}, {"url": 5}).status_code == 400
    assert put(api, {"type_name": "nothing", "id": "x"}, {"url": "http://127.0.0.1/"}).status_code == 404
    assert put(api, artifact, {"url": "http://127.0.0.1/"}, path="str1").status_code == 400


def test_a_query_is_part_of_the_location(api: Glare, origin: Origin, artifact: Json) -> None:
    """The URL is asked for and shown with its query, as it was given."""
    url = origin.url("/file?a=b&c=%20d")
    origin.put("/file?a=b&c=%20d", DATA)
    assert api.alice.locate(artifact, "blob", url)["blob"]["url"] == url


def test_a_missing_file_is_refused_and_leaves_nothing(api: Glare, origin: Origin, artifact: Json) -> None:
    """An origin without the file is 400; the next attempt, when it is there, works."""
    response = api.alice.try_locate(artifact, "blob", origin.url("/later"))
    assert response.status_code == 400
    assert "status 404" in response.json()["error"]["message"]
    assert api.alice.show(artifact)["blob"] is None
    origin.put("/later", DATA)
    api.alice.locate(artifact, "blob", origin.url("/later"))


def test_a_request_that_comes_round_is_refused(api: Glare, origin: Origin, artifact: Json) -> None:
    """CDN-Loop with our own id is 508; that of others is carried on to the origin with ours added."""
    ours = api.settings.locations.cdn_loop_id
    body = json.dumps({"url": origin.url("/file")}).encode()

    def record(loop: str) -> int:
        headers = {"Content-Type": LOCATION, "CDN-Loop": loop}
        path = f"{path_of(artifact)}/blob"
        return api.alice.request("PUT", path, content=body, headers=headers).status_code

    asked = len(origin.seen)
    for loop in (ours, f"other, {ours}; v=1", ours.upper()):
        assert record(loop) == 508
    assert len(origin.seen) == asked
    assert record("cdn.example; a=b") == 200
    assert origin.seen[-1].headers["cdn-loop"] == f"cdn.example; a=b, {ours}"
    response = api.alice.request("GET", f"{path_of(artifact)}/blob", headers={"CDN-Loop": ours})
    assert response.status_code == 508
    assert api.alice.download(artifact, "blob", CDN_Loop="other").content == DATA
    assert origin.seen[-1].headers["cdn-loop"] == f"other, {ours}"


def test_an_operator_may_close_locations(tmp_path: Path, origin: Origin) -> None:
    """Where the policy forbids `artifact:set_location`, recording is 403 and asks nobody; uploading still works."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"artifact:set_location": "rule:context_is_admin"}))
    with running(tmp_path, f"[oslo_policy]\npolicy_file = {policy}\n") as glare:
        artifact = glare.alice.create("sample_artifact", name="x")
        asked = len(origin.seen)
        response = glare.alice.try_locate(artifact, "blob", "http://127.0.0.1/")
        assert (response.status_code, response.json()["error"]["type"]) == (403, "PolicyException")
        assert len(origin.seen) == asked
        glare.alice.upload(artifact, "blob", b"data")


def test_what_is_asked_of_origins_is_logged_with_the_request(
    api: Glare, origin: Origin, artifact: Json, caplog: pytest.LogCaptureFixture
) -> None:
    """The line of an outbound request has the id that the client was told, be it for a location, a link or a
    download.
    """
    caplog.set_level(logging.INFO, "glare.egress")
    logged: list[str | None] = []

    def remember(record: logging.LogRecord) -> bool:
        if hasattr(record, "egress"):
            logged.append(REQUEST_ID.get())
        return True

    caplog.handler.addFilter(remember)
    url = origin.url("/file")
    answers = [
        api.alice.try_locate(artifact, "blob", url),
        api.alice.set(artifact, link1=url),
        api.alice.download(artifact, "blob"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    caplog.handler.removeFilter(remember)
    assert logged == [answer.headers["x-openstack-request-id"] for answer in answers]
    assert all(request_id is not None and request_id.startswith("req-") for request_id in logged)
