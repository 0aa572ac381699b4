"""Deleting single blobs: only external ones, and never with a request to their origin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.origins.origin import Origin
from support.service import Glare, Json, path_of, running


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as server:
        server.put("/file", b"there")
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("deletions"), ports=(origin.port,)) as service:
        yield service
        assert service.leftovers() == {}


@pytest.fixture
def artifact(api: Glare, origin: Origin, request: pytest.FixtureRequest) -> Json:
    """A drafted artifact with an external blob, two external members of a folder, and a managed blob."""
    made = api.alice.create("sample_artifact", name=request.node.name, string_required="x")
    for path in ("blob", "dict_of_blobs/a", "dict_of_blobs/b/c"):
        api.alice.locate(made, path, origin.url("/file"))
    return api.alice.upload(made, "small_blob", b"data")


def delete(api: Glare, artifact: Json, path: str, actor: str = "alice") -> tuple[int, Json]:
    """Status and document of DELETE on a blob path."""
    response = getattr(api, actor).request("DELETE", f"{path_of(artifact)}/{path}")
    return response.status_code, response.json()


def test_an_external_blob_goes_and_its_origin_is_not_asked(api: Glare, origin: Origin, artifact: Json) -> None:
    """DELETE answers 200 with the artifact: the field null, the key gone. Nobody asks the origin."""
    asked = len(origin.seen)
    status, after = delete(api, artifact, "blob")
    assert (status, after["blob"]) == (200, None)
    status, after = delete(api, artifact, "dict_of_blobs/b/c")
    assert (status, list(after["dict_of_blobs"])) == (200, ["a"])
    document = api.alice.show(artifact)
    assert (document["blob"], list(document["dict_of_blobs"])) == (None, ["a"])
    assert delete(api, artifact, "blob")[0] == 404
    assert len(origin.seen) == asked
    assert api.events()[-2:] == ["delete_blob", "delete_blob"]
    api.alice.locate(artifact, "blob", origin.url("/file"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("small_blob", 403),
        ("dict_of_blobs/none", 404),
        ("dict_of_blobs", 400),
        ("dict_of_blobs/", 400),
        ("str1", 400),
        ("nothing", 400),
        ("blob/key", 400),
    ],
)
def test_what_is_no_external_blob_is_not_deleted(api: Glare, artifact: Json, path: str, status: int) -> None:
    """Managed blobs are 403, missing ones 404, paths of no blob 400; nothing changes."""
    before = api.alice.show(artifact)
    assert delete(api, artifact, path)[0] == status
    assert api.alice.show(artifact) == before


def test_after_activation_only_mutable_blobs_are_deleted(api: Glare, artifact: Json) -> None:
    """An active artifact keeps its immutable blobs (quirk 28), whoever asks; mutable ones may go."""
    api.alice.activate(artifact)
    for actor in ("alice", "admin"):
        assert delete(api, artifact, "dict_of_blobs/a", actor)[0] == 403
    assert delete(api, artifact, "blob")[0] == 200


def test_nothing_is_deleted_from_a_deactivated_artifact(api: Glare, artifact: Json) -> None:
    """A deactivated artifact keeps all its blobs."""
    api.alice.activate(artifact)
    api.admin.set(artifact, status="deactivated")
    for actor in ("alice", "admin"):
        assert delete(api, artifact, "blob", actor)[0] == 403


def test_only_the_owner_and_admins_delete(api: Glare, artifact: Json) -> None:
    """Other projects get 404 for a private artifact and 403 for a public one."""
    assert delete(api, artifact, "blob", "bob")[0] == 404
    assert delete(api, artifact, "dict_of_blobs/a", "admin")[0] == 200
    api.alice.activate(artifact)
    api.admin.publish(artifact)
    for actor in ("bob", "anonymous"):
        assert delete(api, artifact, "blob", actor)[0] == 403
    assert delete(api, artifact, "blob")[0] == 200


def test_a_deletion_may_name_the_revision_that_it_expects(api: Glare, artifact: Json) -> None:
    """If-Match with another revision is 412, and the blob stays."""
    path = f"{path_of(artifact)}/blob"
    tag = api.alice.get(artifact).headers["etag"]
    api.alice.set(artifact, description="changed")
    assert api.alice.request("DELETE", path, headers={"If-Match": tag}).status_code == 412
    tag = api.alice.get(artifact).headers["etag"]
    assert api.alice.request("DELETE", path, headers={"If-Match": tag}).status_code == 200


def test_deleting_an_artifact_leaves_its_origins_alone(api: Glare, origin: Origin, artifact: Json) -> None:
    """With the artifact its records go; no request is made, and the origin has its file."""
    asked = len(origin.seen)
    assert api.alice.delete(artifact).status_code == 204
    assert len(origin.seen) == asked
    assert origin.get("/file") is not None
