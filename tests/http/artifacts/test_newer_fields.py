"""Fields that are newer than the request's microversion do not exist for it, whatever it does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from support.origins.origin import Origin
from support.service import ActorClient, Glare, Json, path_of, running

NEWER = {"OpenStack-API-Version": "artifact 1.1"}
CONFIGURATION = "[DEFAULT]\ncustom_artifact_types_modules = support.dated_types\nenabled_artifact_types = dated\n"


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as server:
        server.put("/file", b"external")
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("dated"), CONFIGURATION, ports=(origin.port,)) as service:
        yield service
        assert service.leftovers() == {}


class Newer(ActorClient):
    """Alice, who asks for microversion 1.1."""

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = NEWER | options.pop("headers", {})
        return super().request(method, path, headers=headers, **options)


@pytest.fixture
def newer(api: Glare) -> Newer:
    return Newer(api.client, "alice:wonderland:member")


@pytest.fixture
def artifact(newer: Newer, request: pytest.FixtureRequest) -> Json:
    """An artifact with a value in each of the newer fields."""
    made = newer.create("dated", name=request.node.name, old="o", new="secret", new_dict={"a": "b"})
    newer.upload(made, "new_blob", b"bytes")
    return newer.upload(made, "new_folder/a", b"bytes")


def same(hidden: httpx2.Response, unknown: httpx2.Response) -> None:
    """Both are refused alike, but for the name of the field, and the header that shows it."""
    assert 400 <= hidden.status_code < 500
    reported = [answer.json()["error"]["message"].replace("no_such", "new") for answer in (hidden, unknown)]
    assert hidden.status_code == unknown.status_code
    plain = re.sub(
        r"; it exists since API version 1\.\d: send the header OpenStack-API-Version: artifact 1\.\d",
        "#",
        reported[0],
    )
    assert (
        plain.replace("#", "; see /schemas/dated for those it has") == reported[1]
        or plain.replace("#", "") == reported[1]
    )


def test_a_newer_request_has_them(newer: Newer, artifact: Json) -> None:
    """From its microversion on a field is set, changed, filtered and sorted by, and downloaded."""
    assert newer.set(artifact, new="changed").status_code == 200
    assert newer.names("dated", f"new=changed&new_dict.a=b&sort=new:asc&name={artifact['name']}") == [artifact["name"]]
    assert newer.download(artifact, "new_blob").content == b"bytes"
    assert newer.show(artifact)["new"] == "changed"


def test_an_older_request_neither_sees_nor_sets_them(api: Glare, newer: Newer, artifact: Json) -> None:
    """Creation and patches that name a newer field are refused as for a field that nobody has declared."""
    assert not [name for name in api.alice.show(artifact) if name.startswith("new")]
    same(api.alice.try_create("dated", name="x", new="x"), api.alice.try_create("dated", name="x", no_such="x"))
    for operation in ("replace", "add", "remove", "test"):
        hidden, unknown = (
            api.alice.patch(artifact, {"op": operation, "path": f"/{name}", "value": "secret"})
            for name in ("new", "no_such")
        )
        same(hidden, unknown)
    for operation in ("copy", "move"):
        hidden, unknown = (
            api.alice.patch(artifact, {"op": operation, "from": f"/{name}", "path": "/old"})
            for name in ("new", "no_such")
        )
        same(hidden, unknown)
    assert newer.show(artifact)["new"] == "secret"


@pytest.mark.parametrize("query", ["{}=secret", "{}.a=b", "sort={}:asc", "{}=neq:x"])
def test_an_older_request_cannot_ask_for_them(api: Glare, artifact: Json, query: str) -> None:
    """Filters and sorts by a newer field are refused as for one that does not exist, and the refusal does not name
    others.
    """
    hidden, unknown = (
        api.alice.request("GET", f"/artifacts/dated?{query.format(name)}") for name in ("new", "no_such")
    )
    same(hidden, unknown)
    assert "new_dict" not in hidden.text


def test_an_older_request_cannot_touch_their_blobs(api: Glare, newer: Newer, origin: Origin, artifact: Json) -> None:
    """Uploads, locations, downloads and deletions at a newer field's path are refused; a newer request can do each."""
    url = origin.url("/file")
    for field in ("new_blob", "new_folder/b"):
        name = field.partition("/")[0]
        for answer in (
            api.alice.try_upload(artifact, field, b"x"),
            api.alice.try_locate(artifact, field, url),
            api.alice.download(artifact, field),
            api.alice.request("DELETE", f"{path_of(artifact)}/{field}"),
        ):
            assert answer.status_code == 400
            assert f"Type 'dated' has no field '{name}'" in answer.json()["error"]["message"]
    assert newer.try_locate(artifact, "new_folder/b", url).status_code == 200
    assert newer.request("DELETE", f"{path_of(artifact)}/new_folder/b").status_code == 200


def test_an_older_change_keeps_their_values(api: Glare, newer: Newer, artifact: Json) -> None:
    """A patch by an older request changes what it names, and leaves newer fields as they are."""
    assert api.alice.set(artifact, old="changed").status_code == 200
    after = newer.show(artifact)
    assert (after["old"], after["new"], after["new_dict"]) == ("changed", "secret", {"a": "b"})
    assert after["new_blob"]["size"] == 5
