"""GET of one artifact, and the conditions that requests may put on its revision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.service import Glare, Json, path_of

Unique = Callable[[], str]


@pytest.fixture
def sample(api: Glare, unique: Unique) -> Json:
    """A drafted artifact of alice's."""
    return api.alice.create("sample_artifact", name=unique(), string_required="x")


def etag(api: Glare, artifact: Json, **headers: str) -> str:
    """The artifact's entity tag as alice sees it."""
    tag: str = api.alice.get(artifact, headers=headers).headers["etag"]
    return tag


def test_show_has_the_shape_of_the_type(api: Glare, sample: Json) -> None:
    """What is shown has the properties of the schema, and what the type's own formatter adds."""
    document = api.alice.get(sample)
    assert document.headers["content-type"] == "application/json; charset=UTF-8"
    properties = api.alice.request("GET", "/schemas/sample_artifact").json()["schemas"]["sample_artifact"]["properties"]
    assert set(document.json()) == {*properties, "__some_meta_information__"}
    assert document.json()["__some_meta_information__"] == sample["name"].upper()


def test_all_finds_any_type(api: Glare, sample: Json, unique: Unique) -> None:
    """Under `all` an artifact of any type is shown with base fields, its type's name, and its formatter's keys."""
    image = api.alice.create("images", name=unique())
    properties = api.alice.request("GET", "/schemas/all").json()["schemas"]["all"]["properties"]
    document = api.alice.request("GET", f"/artifacts/all/{image['id']}").json()
    assert set(document) == set(properties)
    assert (document["type_name"], document["display_type_name"]) == ("images", "Images")
    document = api.alice.request("GET", f"/artifacts/all/{sample['id']}").json()
    assert set(document) == {*properties, "__some_meta_information__"}
    assert document["type_name"] == "sample_artifact"


def test_artifact_of_another_type_is_404(api: Glare, sample: Json) -> None:
    """An artifact exists under its own type and `all` only."""
    for method in ("GET", "DELETE"):
        assert api.alice.request(method, f"/artifacts/images/{sample['id']}").status_code == 404


def test_etag_changes_with_every_stored_change(api: Glare, sample: Json) -> None:
    """Metadata, blobs and the life cycle change the tag; a patch that changes nothing does not."""
    seen = [etag(api, sample)]

    def changed() -> bool:
        seen.append(etag(api, sample))
        return seen[-1] != seen[-2]

    assert not changed()
    api.alice.change(sample, {"op": "replace", "path": "/description", "value": "new"})
    assert changed()
    api.alice.change(sample, {"op": "replace", "path": "/description", "value": "new"})
    assert not changed()
    api.alice.upload(sample, "blob", b"data")
    assert changed()
    api.alice.activate(sample)
    assert changed()
    assert len(set(seen)) == 4


def test_answers_to_changes_carry_the_new_etag(api: Glare, unique: Unique) -> None:
    """POST and PATCH answer with the tag that a GET would give."""
    created = api.alice.try_create("sample_artifact", name=unique())
    artifact = {**created.json(), "type_name": "sample_artifact"}
    assert created.headers["etag"] == etag(api, artifact)
    patched = api.alice.set(artifact, description="new")
    assert patched.headers["etag"] == etag(api, artifact) != created.headers["etag"]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_known_revision_is_304(api: Glare, sample: Json, form: str) -> None:
    """If-None-Match answers a reader who has this revision with 304, without a body."""
    tag = etag(api, sample)
    answer = api.alice.get(sample, headers={"If-None-Match": form.format(tag)})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)


def test_unknown_revision_is_sent(api: Glare, sample: Json) -> None:
    """A reader who has an older revision gets the new one."""
    tag = etag(api, sample)
    api.alice.set(sample, description="new")
    assert api.alice.get(sample, headers={"If-None-Match": tag}).status_code == 200


def test_representations_have_tags_of_their_own(api: Glare, unique: Unique) -> None:
    """The tag tells versions of the API apart, and a stranger's view from the owner's."""
    artifact = api.alice.create("sample_artifact", name=unique(), string_required="x")
    api.alice.activate(artifact)
    api.admin.publish(artifact)
    own = etag(api, artifact)
    assert etag(api, artifact, **{"OpenStack-API-Version": "artifact 1.1"}) != own
    assert api.bob.get(artifact, headers={"If-None-Match": own}).status_code == 200


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_stale_revision_is_412(api: Glare, sample: Json, method: str) -> None:
    """If-Match with another revision refuses the change and leaves the artifact as it is."""
    stale = etag(api, sample)
    current = api.alice.change(sample, {"op": "replace", "path": "/description", "value": "current"})
    for value in (stale, '"nonsense"', f"W/{etag(api, sample)}", ""):
        headers = {"If-Match": value}
        if method == "PATCH":
            operation = {"op": "replace", "path": "/description", "value": "lost"}
            answer = api.alice.patch(sample, operation, headers=headers)
        else:
            answer = api.alice.delete(sample, headers=headers)
        assert (answer.status_code, answer.json()["error"]["type"]) == (412, "PreconditionFailed")
    assert api.alice.show(sample) == current


@pytest.mark.parametrize("form", ["{}", '"other", {}', "*"])
def test_current_revision_lets_a_change_through(api: Glare, sample: Json, form: str) -> None:
    """If-Match with the present revision, among others or as a star, changes and deletes."""
    operation = {"op": "replace", "path": "/description", "value": "new"}
    assert api.alice.patch(sample, operation, headers={"If-Match": form.format(etag(api, sample))}).status_code == 200
    assert api.alice.delete(sample, headers={"If-Match": form.format(etag(api, sample))}).status_code == 204


def test_tag_of_any_representation_names_the_revision(api: Glare, sample: Json) -> None:
    """A tag that was read at another API version names the same revision of the artifact."""
    tag = etag(api, sample, **{"OpenStack-API-Version": "artifact 1.1"})
    assert api.alice.patch(sample, headers={"If-Match": tag}).status_code == 200


def test_revision_is_looked_at_after_rights(api: Glare, sample: Json) -> None:
    """A stale tag tells nothing about an artifact that the caller may not change."""
    headers: dict[str, Any] = {"headers": {"If-Match": '"stale"'}}
    assert api.bob.patch(sample, **headers).status_code == 404
    api.alice.activate(sample)
    api.admin.publish(sample)
    assert api.bob.patch(sample, **headers).status_code == 403
    assert api.alice.delete(sample, **headers).status_code == 403


def test_changes_that_want_nothing_there_are_412(api: Glare, sample: Json) -> None:
    """If-None-Match: * on a change of what exists cannot hold."""
    assert api.alice.patch(sample, headers={"If-None-Match": "*"}).status_code == 412
    assert api.alice.delete(sample, headers={"If-None-Match": "*"}).status_code == 412
    assert api.alice.show(sample)["status"] == "drafted"


def test_query_of_an_artifact_is_ignored(api: Glare, sample: Json) -> None:
    """Parameters mean nothing on one artifact."""
    assert api.alice.request("GET", f"{path_of(sample)}?limit=x&name=y").status_code == 200
