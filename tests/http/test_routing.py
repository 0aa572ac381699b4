"""Paths and methods: what exists, what it answers to, and what is refused before anything else is looked at."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import make_url

from support.service import PATCH, Glare

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

NOBODY = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

ALLOW = [
    ("/schemas", "GET", ["POST", "PUT", "DELETE", "PATCH"]),
    ("/schemas/images", "GET", ["POST", "PUT", "DELETE", "PATCH"]),
    ("/artifacts/images", "GET, POST", ["PUT", "DELETE", "PATCH"]),
    (f"/artifacts/images/{NOBODY}", "GET, PATCH, DELETE", ["POST", "PUT"]),
    (f"/artifacts/images/{NOBODY}/image", "GET, PUT, DELETE", ["POST", "PATCH"]),
    (f"/artifacts/images/{NOBODY}/a/b/c", "GET, PUT, DELETE", ["POST", "PATCH"]),
    ("/quotas", "PUT, GET", ["POST", "DELETE", "PATCH"]),
    ("/project-quotas", "GET", ["POST", "PUT", "DELETE", "PATCH"]),
    ("/project-quotas/wonderland", "GET", ["POST", "PUT", "DELETE", "PATCH"]),
]
REFUSED = [(path, allow, method) for path, allow, methods in ALLOW for method in (*methods, "BREW")]


@pytest.mark.parametrize(("path", "allow", "method"), REFUSED)
def test_known_path_with_another_method_is_405(api: Glare, path: str, allow: str, method: str) -> None:
    """The answer lists what is possible, in the order that clients know."""
    answer = api.alice.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allow
    assert answer.json()["code"] == 405


@pytest.mark.parametrize("content_type", ["application/json", PATCH, "text/plain"])
def test_method_is_looked_at_before_the_body(api: Glare, content_type: str) -> None:
    """A body that is no JSON does not hide that the method is wrong (quirk 47)."""
    answer = api.alice.request("POST", "/schemas", content=b"{nonsense", headers={"Content-Type": content_type})
    assert answer.status_code == 405


@pytest.mark.parametrize("path", ["/schemas", "/schemas/images", "/artifacts/images", "/quotas", "/project-quotas"])
def test_head_answers_where_get_does(api: Glare, path: str) -> None:
    """HEAD has the status and the headers of GET, and no body."""
    got = api.admin.request("GET", path)
    head = api.admin.request("HEAD", path)
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))
    assert head.headers["content-type"] == got.headers["content-type"]


def test_head_of_an_artifact(api: Glare) -> None:
    """HEAD of an artifact names its revision; of a missing one it is 404 without a body."""
    artifact = api.alice.create("images", name="head")
    path = f"/artifacts/images/{artifact['id']}"
    head = api.alice.request("HEAD", path)
    assert head.status_code == 200
    assert head.headers["etag"] == api.alice.request("GET", path).headers["etag"]
    assert head.content == b""
    missing = api.alice.request("HEAD", f"/artifacts/images/{NOBODY}")
    assert (missing.status_code, missing.content) == (404, b"")


@pytest.mark.parametrize("path", ["/", "/schemas", "/artifacts/images", "/nowhere", "/quotas"])
def test_options_are_answered_before_credentials(api: Glare, path: str) -> None:
    """OPTIONS is 200 without a body on any path, for anybody."""
    answer = api.stranger.request("OPTIONS", path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert not [name for name in answer.headers if name.startswith("access-control")]


UNKNOWN = [
    "/nowhere",
    "/v1/artifacts/images",
    "/artifacts",
    "/artifacts/",
    "/schemas/",
    "/schemas/images/more",
    "/artifacts/images/",
    "/Artifacts/images",
    "/SCHEMAS",
    "/quotas/",
    "/quotas/wonderland",
    "/project-quotas/",
    "/project-quotas/a/b",
    "//schemas",
]


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"])
def test_unknown_path_is_404(api: Glare, path: str, method: str) -> None:
    """Paths are exact: case matters, and a slash at the end is another path."""
    answer = api.client.request(
        method, f"http://testserver{path}", headers={"X-Auth-Token": "a:b:c"}, follow_redirects=False
    )
    assert answer.status_code == 404
    if method != "HEAD":
        assert answer.json()["error"]["type"] == "NotFound"


@pytest.mark.parametrize("method", ["BREW", "TRACE", "PROPFIND", "get"])
def test_unknown_method_on_unknown_path_is_501(api: Glare, method: str) -> None:
    """Methods are exact as well; one that the service does not know is not implemented."""
    answer = api.alice.request(method, "/nowhere") if method != "get" else _raw(api, "get", "/nowhere")
    assert answer.status_code == 501


def _raw(api: Glare, method: str, path: str) -> Any:
    request = api.client.build_request("GET", path, headers={"X-Auth-Token": "a:b:c"})
    request.method = method
    return api.client.send(request)


@pytest.mark.parametrize(
    "path", ["/nowhere", "/schemas", "/artifacts/unknown", "/schemas/", f"/artifacts/images/{NOBODY}"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "BREW"])
def test_credentials_come_before_routing(api: Glare, path: str, method: str) -> None:
    """Whoever brings no credentials learns nothing about paths and methods."""
    assert api.stranger.request(method, path).status_code == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_slash_after_an_id_is_an_empty_blob_name(api: Glare, method: str) -> None:
    """An artifact's address with a slash at its end names a blob without a name, which is 400."""
    artifact = api.alice.create("images", name=f"slash-{method}")
    answer = api.alice.request(
        method,
        f"/artifacts/images/{artifact['id']}/",
        headers={"Content-Type": "text/plain"} if method == "PUT" else {},
    )
    assert answer.status_code == 400


def test_tag_paths_are_blob_paths(api: Glare) -> None:
    """There are no endpoints for tags: such a path names a field that is no blob."""
    artifact = api.alice.create("images", name="tagged")
    assert api.alice.request("GET", f"/artifacts/images/{artifact['id']}/tags").status_code == 400
    assert api.alice.request("PUT", f"/artifacts/images/{artifact['id']}/tags/x", content=b"").status_code == 400


BODIES = [
    ("GET", "/schemas"),
    ("GET", "/schemas/images"),
    ("GET", "/artifacts/images"),
    ("GET", f"/artifacts/images/{NOBODY}"),
    ("DELETE", f"/artifacts/images/{NOBODY}"),
    ("GET", "/quotas"),
    ("GET", "/project-quotas"),
]


@pytest.mark.parametrize(("method", "path"), BODIES)
@pytest.mark.parametrize("chunked", [False, True])
def test_body_where_none_belongs_is_400(api: Glare, method: str, path: str, chunked: bool) -> None:
    """A body on a request that has none is refused, however it is framed."""
    content: Any = iter([b"{}"]) if chunked else b"{}"
    answer = api.admin.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_large_body_where_none_belongs_is_400(api: Glare) -> None:
    """A body beyond the limit of JSON bodies is refused for being there, and not for its size."""
    assert api.alice.request("GET", "/schemas", content=b" " * (1 << 21)).status_code == 400


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_empty_body_is_no_body(api: Glare, method: str, path: str) -> None:
    """A chunked body without a byte is the same as none."""
    answer = api.admin.request(method, path, content=iter([]))
    assert answer.status_code == (404 if NOBODY in path else 200)


@pytest.mark.parametrize("path", ["/artifacts/images/%ff", "/schemas/%c3%28", "/%80", "/artifacts/images/a/%ed%a0%80"])
def test_path_that_is_no_utf8_is_400(api: Glare, path: str) -> None:
    """Bytes that are not UTF-8 name nothing."""
    assert api.alice.request("GET", path).status_code == 400


@pytest.mark.parametrize("query", ["name=%ff", "%ff=1", "sort=%c3%28"])
def test_query_that_is_no_utf8_is_400(api: Glare, query: str) -> None:
    """The same holds for the query string."""
    assert api.alice.request("GET", f"/artifacts/images?{query}").status_code == 400


@pytest.mark.parametrize("name", ["ä", "名前", "😀", "a b", "'", '"', "%00", "x" * 300, NOBODY.upper()])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_id_of_nothing_is_404(api: Glare, name: str, method: str) -> None:
    """Whatever stands where an id belongs, an artifact that does not exist is 404 (quirk 36)."""
    path = f"/artifacts/images/{name}"
    answer = api.alice.request(
        method,
        path,
        headers={"Content-Type": PATCH} if method == "PATCH" else {},
        content=b"[]" if method == "PATCH" else b"",
    )
    assert answer.status_code == 404


@pytest.mark.parametrize("name", ["ä", "unknown", "IMAGES", "images ", "%00"])
def test_unknown_type_is_404(api: Glare, name: str) -> None:
    """Types are named exactly."""
    for path in (f"/schemas/{name}", f"/artifacts/{name}", f"/artifacts/{name}/{NOBODY}"):
        answer = api.alice.request("GET", path)
        assert answer.status_code == 404
        assert answer.json()["error"]["type"] == "TypeNotFound"


def test_ids_are_case_sensitive(api: Glare) -> None:
    """The id in upper case names nothing."""
    artifact = api.alice.create("images", name="case")
    assert api.alice.request("GET", f"/artifacts/images/{artifact['id'].upper()}").status_code == 404


@pytest.mark.parametrize("path", ["/healthcheck", "/healthz"])
def test_health_needs_no_credentials(api: Glare, path: str) -> None:
    """Health is plain text, or JSON for whoever asks for it."""
    text = api.stranger.request("GET", path)
    assert (text.status_code, text.text) == (200, "OK")
    assert text.headers["content-type"].startswith("text/plain")
    json = api.stranger.request("GET", path, headers={"Accept": "application/json"})
    assert json.status_code == 200
    assert json.headers["content-type"].startswith("application/json")
    assert json.json()["reasons"] == ["OK"]


def test_readiness_asks_database_and_stores(api: Glare) -> None:
    """/readyz is 200 while both answer, and 503 naming the store when its directory cannot be used or is empty."""
    assert api.stranger.request("GET", "/readyz").json() == {"ready": True}
    directory = api.settings.glance_store.filesystem_store_datadir
    aside = directory.with_name("aside")
    directory.rename(aside)
    try:
        directory.touch()
        answers = [api.stranger.request("GET", "/readyz")]
        directory.unlink()
        directory.mkdir()
        answers.append(api.stranger.request("GET", "/readyz"))
        directory.rmdir()
    finally:
        aside.rename(directory)
    for answer in answers:
        assert answer.status_code == 503
        assert list(answer.json()["problems"]) == ["store file"]
    assert api.stranger.request("GET", "/readyz").status_code == 200
    assert api.stranger.request("GET", "/healthz").status_code == 200


def as_if(monkeypatch: pytest.MonkeyPatch, **fields: int) -> None:
    """Let every file system look like this to who asks for its state."""
    state = SimpleNamespace(**({"f_flag": 0, "f_frsize": 4096, "f_bavail": 1 << 30} | fields))
    monkeypatch.setattr("glare.stores.room.os.statvfs", lambda _: state)


@pytest.mark.parametrize(
    ("fields", "words", "status", "code"),
    [
        ({"f_bavail": 0}, "it is full", 507, "StoreFull"),
        ({"f_flag": os.ST_RDONLY}, "its file system is read-only", 503, "StoreReadOnly"),
    ],
    ids=["full", "read-only"],
)
def test_a_store_that_takes_nothing_leaves_the_node_ready(
    glare: Glare, monkeypatch: pytest.MonkeyPatch, fields: dict[str, int], words: str, status: int, code: str
) -> None:
    """All nodes share a store that is full or read-only, so /readyz stays 200 and says it; reads go on, uploads are
    refused as our fault.
    """
    image = glare.alice.upload(glare.alice.create("images", name="a"), "image", b"data")
    other = glare.alice.create("images", name="b")
    as_if(monkeypatch, **fields)
    answer = glare.stranger.request("GET", "/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert words in answer.json()["limits"]["store file"]
    refused = glare.alice.try_upload(other, "image", b"data")
    assert (refused.status_code, refused.headers["X-Glare-Error-Code"]) == (status, code)
    assert glare.alice.download(image, "image").content == b"data"
    assert 'glare_store_free_bytes{store="file"} 0.0' in glare.client.get("/metrics").text
    assert glare.alice.delete(other).status_code == 204


@pytest.mark.sqlite
def test_readiness_sees_that_the_database_was_removed(glare: Glare) -> None:
    """/readyz is 503 while the database's file is not at its place: what is stored then is lost at the next start."""
    assert glare.stranger.request("GET", "/readyz").status_code == 200  # A connection is open from now on.
    path = Path(make_url(glare.settings.database.connection).database or "")
    aside = path.with_name("aside")
    path.rename(aside)
    try:
        answer = glare.stranger.request("GET", "/readyz")
    finally:
        aside.rename(path)
    assert answer.status_code == 503
    assert list(answer.json()["problems"]) == ["database"]
    assert glare.stranger.request("GET", "/readyz").status_code == 200


@pytest.mark.parametrize("path", ["/healthcheck", "/healthz", "/readyz"])
def test_health_only_reads(api: Glare, path: str) -> None:
    """Other methods are 405 there as well."""
    answer = api.stranger.request("POST", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
