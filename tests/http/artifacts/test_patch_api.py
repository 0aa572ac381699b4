"""PATCH /artifacts/T/ID: every operation on every kind of target, the order of checks, and races."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx2
import pytest

from support.service import BYTES, PATCH, Glare, Json, path_of

Unique = Callable[[], str]

START: Json = {"list_of_str": ["a", "b", "c"], "dict_of_str": {"k": "1", "l": "2"}, "str1": "text"}


@pytest.fixture
def sample(api: Glare, unique: Unique) -> Json:
    """A drafted artifact with a list, a dict and a text."""
    return api.alice.create("sample_artifact", name=unique(), string_required="x", **START)


def operation(op: str, path: Any = None, **members: Any) -> Json:
    """A patch operation; `source` stands for ``from``."""
    if "source" in members:
        members["from"] = members.pop("source")
    return {"op": op, **({} if path is None else {"path": path}), **members}


WORKS: list[tuple[Json, Json]] = [
    (operation("add", "/str1", value="new"), {"str1": "new"}),
    (operation("replace", "/str1", value="new"), {"str1": "new"}),
    (operation("replace", "/str1", value=None), {"str1": None}),
    (operation("add", "/int1", value="5"), {"int1": 5}),
    (operation("replace", "/int1", value=5), {"int1": 5}),
    (operation("replace", "/list_of_str", value=None), {"list_of_str": []}),
    (operation("replace", "/dict_of_str", value={}), {"dict_of_str": {}}),
    (operation("replace", "/metadata_attribute", value=None), {"metadata_attribute": "default"}),
    (operation("replace", "/description", value=None), {"description": None}),
    (operation("replace", "/version", value="2"), {"version": "2.0.0"}),
    (operation("replace", "/version", value=None), {"version": "0.0.0"}),
    (operation("add", "/tags", value=["b", "a", "b"]), {"tags": ["b", "a"]}),
    (operation("add", "/dict_of_str/new", value="3"), {"dict_of_str": {"k": "1", "l": "2", "new": "3"}}),
    (operation("add", "/dict_of_str/k", value="3"), {"dict_of_str": {"k": "3", "l": "2"}}),
    (operation("add", "/dict_of_str/a~1b~0c", value="3"), {"dict_of_str": {"k": "1", "l": "2", "a/b~c": "3"}}),
    (operation("replace", "/dict_of_str/k", value=3), {"dict_of_str": {"k": "3", "l": "2"}}),
    (operation("remove", "/dict_of_str/k"), {"dict_of_str": {"l": "2"}}),
    (operation("add", "/list_of_str/0", value="x"), {"list_of_str": ["x", "a", "b", "c"]}),
    (operation("add", "/list_of_str/3", value="x"), {"list_of_str": ["a", "b", "c", "x"]}),
    (operation("add", "/list_of_str/-", value="x"), {"list_of_str": ["a", "b", "c", "x"]}),
    (operation("replace", "/list_of_str/1", value="x"), {"list_of_str": ["a", "x", "c"]}),
    (operation("remove", "/list_of_str/0"), {"list_of_str": ["b", "c"]}),
    (operation("add", "/tags/-", value="t"), {"tags": ["t"]}),
    (operation("add", "/metadata/k", value="v"), {"metadata": {"k": "v"}}),
    (operation("copy", "/string_mutable", source="/str1"), {"string_mutable": "text", "str1": "text"}),
    (operation("copy", "/string_mutable", source="/status"), {"string_mutable": "drafted"}),
    (operation("copy", "/tags", source="/list_of_str"), {"tags": ["a", "b", "c"]}),
    (operation("copy", "/dict_of_str/new", source="/str1"), {"dict_of_str": {"k": "1", "l": "2", "new": "text"}}),
    (operation("copy", "/dict_of_str/new", source="/dict_of_str/k"), {"dict_of_str": {"k": "1", "l": "2", "new": "1"}}),
    (operation("copy", "/list_of_str/-", source="/list_of_str/0"), {"list_of_str": ["a", "b", "c", "a"]}),
    (operation("copy", "/int1", source="/dict_of_str/k"), {"int1": 1}),
    (operation("move", "/string_mutable", source="/dict_of_str/k"), {"string_mutable": "1", "dict_of_str": {"l": "2"}}),
    (operation("move", "/dict_of_str/n", source="/dict_of_str/k"), {"dict_of_str": {"l": "2", "n": "1"}}),
    (operation("move", "/list_of_str/-", source="/list_of_str/0"), {"list_of_str": ["b", "c", "a"]}),
    (operation("move", "/list_of_str/0", source="/list_of_str/2"), {"list_of_str": ["c", "a", "b"]}),
    (operation("move", "/tags/-", source="/list_of_str/0"), {"tags": ["a"], "list_of_str": ["b", "c"]}),
    (operation("test", "/str1", value="text"), {}),
    (operation("test", "/dict_of_str/k", value="1"), {}),
    (operation("test", "/list_of_str/0", value="a"), {}),
    (operation("test", "/list_of_str", value=["a", "b", "c"]), {}),
    (operation("test", "/system_attribute", value="default"), {}),
    (operation("test", "/status", value="drafted"), {}),
    (operation("test", "/blob", value=None), {}),
    (operation("test", "/dict_of_blobs", value={}), {}),
    (operation("test", "/int1", value=None), {}),
]


@pytest.mark.parametrize(("one", "changes"), WORKS, ids=[json.dumps(case[0]) for case in WORKS])
def test_operation_changes_what_it_names(api: Glare, sample: Json, one: Json, changes: Json) -> None:
    """An operation has the effect of RFC 6902 on its target, and on nothing else."""
    after = api.alice.change(sample, one)
    expected = {**sample, **changes}
    for artifact in (after, api.alice.show(sample)):
        assert {**artifact, "updated_at": None} == {**expected, "updated_at": None}


REFUSED: list[tuple[Any, int]] = [
    (operation("remove", "/str1"), 400),
    (operation("remove", "/list_of_str"), 400),
    (operation("remove", "/blob"), 400),
    (operation("remove", "/unknown"), 400),
    (operation("add", "/unknown", value=1), 400),
    (operation("replace", "/unknown", value=1), 400),
    (operation("add", "/unknown/key", value=1), 400),
    (operation("add", "/blob", value=None), 400),
    (operation("replace", "/blob", value={}), 400),
    (operation("replace", "/dict_of_blobs", value={}), 400),
    (operation("add", "/dict_of_blobs/key", value={}), 400),
    (operation("copy", "/blob", source="/str1"), 400),
    (operation("test", "/str1", value="other"), 400),
    (operation("test", "/unknown", value=1), 400),
    (operation("test", "/dict_of_str/unknown", value=1), 400),
    (operation("test", "/status", value="active"), 400),
    (operation("replace", "/dict_of_str/new", value="x"), 400),
    (operation("remove", "/dict_of_str/new"), 400),
    (operation("replace", "/list_of_str/3", value="x"), 400),
    (operation("replace", "/list_of_str/-", value="x"), 400),
    (operation("remove", "/list_of_str/-"), 400),
    (operation("remove", "/list_of_str/3"), 400),
    (operation("add", "/list_of_str/4", value="x"), 400),
    (operation("add", "/list_of_str/01", value="x"), 400),
    (operation("add", "/list_of_str/x", value="x"), 400),
    (operation("add", "/list_of_str/-1", value="x"), 400),
    (operation("add", "/dict_of_str/", value="x"), 400),
    (operation("add", "/dict_of_str/a/b", value="x"), 400),
    (operation("add", "/str1/0", value="x"), 400),
    (operation("add", "/status/0", value="x"), 400),
    (operation("copy", "/str1", source="/unknown"), 400),
    (operation("copy", "/str1", source="/list_of_str"), 400),
    (operation("copy", "/str1"), 400),
    (operation("move", "/string_mutable", source="/str1"), 400),
    (operation("move", "/string_mutable", source="/dict_of_str/new"), 400),
    (operation("move", "/string_mutable"), 400),
    (operation("add", "/str1"), 400),
    (operation("replace", "/str1"), 400),
    (operation("test", "/str1"), 400),
    (operation("add", value=1), 400),
    (operation("add", "", value={}), 400),
    (operation("add", "str1", value="x"), 400),
    (operation("add", "/", value="x"), 400),
    (operation("add", 5, value="x"), 400),
    (operation("add", "/str1~2", value="x"), 400),
    (operation("ADD", "/str1", value="x"), 400),
    (operation("merge", "/str1", value="x"), 400),
    ({"path": "/str1", "value": "x"}, 400),
    ({"op": "add", "path": None, "value": "x"}, 400),
    ({"op": None, "path": "/str1", "value": "x"}, 400),
    ({"op": [], "path": "/str1", "value": "x"}, 400),
    ("operation", 400),
    (None, 400),
    ([], 400),
    (operation("replace", "/int1", value="x"), 400),
    (operation("replace", "/name", value=None), 400),
    (operation("replace", "/name", value=""), 400),
    (operation("replace", "/version", value="x"), 400),
    (operation("replace", "/string_regex", value="nothex"), 400),
    (operation("replace", "/description", value="\U0001f600"), 400),
    (operation("add", "/list_of_str/-", value=None), 400),
    (operation("add", "/dict_validators/other", value="x"), 400),
    (operation("add", "/tags/-", value="a,b"), 400),
    (operation("replace", "/id", value="6f9619ff-8b86-d011-b42d-00cf4fc964ff"), 403),
    (operation("replace", "/owner", value="x"), 403),
    (operation("replace", "/created_at", value="2020-01-01"), 403),
    (operation("replace", "/updated_at", value="2020-01-01"), 403),
    (operation("replace", "/activated_at", value=None), 403),
    (operation("replace", "/display_type_name", value="x"), 403),
    (operation("replace", "/system_attribute", value="default"), 403),
    (operation("copy", "/system_attribute", source="/str1"), 403),
]


@pytest.fixture(scope="module")
def untouched(api: Glare) -> Json:
    """One artifact that no refused patch may change."""
    return api.alice.create("sample_artifact", name="untouched", string_required="x", **START)


@pytest.mark.parametrize(("one", "status"), REFUSED, ids=[json.dumps(case[0]) for case in REFUSED])
def test_operation_is_refused(api: Glare, untouched: Json, one: Any, status: int) -> None:
    """What does not fit is refused, and an operation before it is not stored either."""
    before = api.alice.get(untouched)
    first = operation("add", "/str1", value="not stored")
    for patch in ([one], [first, one]):
        answer = api.alice.request(
            "PATCH", path_of(untouched), content=json.dumps(patch).encode(), headers={"Content-Type": PATCH}
        )
        assert answer.status_code == status
    after = api.alice.get(untouched)
    assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])


@pytest.mark.parametrize("body", ["{}", '{"op": "add"}', '"x"', "1", "null", "", "[", "[1]", "[[]]"])
def test_patch_must_be_an_array_of_objects(api: Glare, untouched: Json, body: str) -> None:
    """Any other JSON, and what is none, is 400."""
    answer = api.alice.request("PATCH", path_of(untouched), content=body.encode(), headers={"Content-Type": PATCH})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (PATCH, 200),
        (f"{PATCH}; charset=utf-8", 200),
        ("application/json", 415),
        (BYTES, 415),
        ("application/merge-patch+json", 415),
    ],
)
def test_content_type_must_be_json_patch(api: Glare, untouched: Json, content_type: str, status: int) -> None:
    """Parameters of the content type do not matter, the type does."""
    answer = api.alice.patch(untouched, headers={"Content-Type": content_type})
    assert answer.status_code == status


NOTHING: list[list[Json]] = [
    [],
    [operation("replace", "/str1", value="text")],
    [operation("add", "/str1", value="other"), operation("add", "/str1", value="text")],
    [operation("test", "/str1", value="text")],
    [operation("replace", "/status", value="drafted"), operation("replace", "/visibility", value="private")],
    [operation("replace", "/tags", value=[])],
    [operation("replace", "/metadata_attribute", value="default")],
    [operation("replace", "/bool1", value="garbage")],
    [operation("replace", "/description", value="")],
    [operation("replace", "/version", value="0")],
    [operation("replace", "/int1", value=None)],
    [operation("add", "/list_of_str/-", value="d"), operation("remove", "/list_of_str/3")],
]


@pytest.mark.parametrize("patch", NOTHING, ids=[json.dumps(patch) for patch in NOTHING])
def test_nothing_changed_is_nothing_written(api: Glare, untouched: Json, patch: list[Json]) -> None:
    """A patch whose outcome is the stored state answers 200 and leaves revision, time and events alone."""
    before, events = api.alice.get(untouched), api.events()
    answer = api.alice.patch(untouched, *patch)
    assert answer.status_code == 200
    after = api.alice.get(untouched)
    assert answer.json() == after.json() == before.json()
    assert answer.headers["etag"] == after.headers["etag"] == before.headers["etag"]
    assert api.events() == events


def test_fields_of_an_active_artifact(api: Glare, sample: Json) -> None:
    """Once active, mutable fields change and others do not, not even to what they are."""
    api.alice.activate(sample)
    for path, value in (("/string_mutable", "x"), ("/description", "x"), ("/tags", ["x"]), ("/dict_of_links", {})):
        assert api.alice.patch(sample, operation("replace", path, value=value)).status_code == 200
    for actor in (api.alice, api.admin):
        for path, value in (("/str1", "text"), ("/str1", "x"), ("/name", "x"), ("/version", "1"), ("/metadata", {})):
            assert actor.patch(sample, operation("replace", path, value=value)).status_code == 403
        assert actor.patch(sample, operation("add", "/list_of_str/-", value="x")).status_code == 403
        assert actor.patch(sample, operation("remove", "/dict_of_str/k")).status_code == 403
        assert actor.patch(sample, operation("replace", "/unknown", value=1)).status_code == 400
        assert actor.patch(sample, operation("replace", "/blob", value=1)).status_code == 400
        assert actor.patch(sample, operation("test", "/str1", value="text")).status_code == 200


def test_move_out_of_an_immutable_field_is_403(api: Glare, sample: Json) -> None:
    """A move changes two fields, and both must be mutable."""
    api.alice.activate(sample)
    moved = operation("move", "/string_mutable", source="/dict_of_str/k")
    copied = operation("copy", "/string_mutable", source="/dict_of_str/k")
    assert api.alice.patch(sample, moved).status_code == 403
    assert api.alice.patch(sample, copied).status_code == 200


def test_deactivated_artifacts_do_not_change(api: Glare, sample: Json) -> None:
    """Nothing but the status of a deactivated artifact changes, for admins neither."""
    api.alice.activate(sample)
    api.admin.set(sample, status="deactivated")
    for actor in (api.alice, api.admin):
        assert actor.set(sample, description="x").status_code == 403
        assert actor.set(sample, tags=["x"]).status_code == 403
        assert actor.set(sample, unknown=1).status_code == 400
        assert actor.patch(sample).status_code == 200


def test_operations_see_what_came_before(api: Glare, unique: Unique) -> None:
    """Required fields and the activation may come in one patch, in this order only."""
    artifact = api.alice.create("sample_artifact", name=unique())
    required = operation("add", "/string_required", value="x")
    active = operation("add", "/status", value="active")
    assert api.alice.patch(artifact, active, required).status_code == 403
    assert api.alice.show(artifact)["string_required"] is None
    assert api.alice.change(artifact, required, active)["status"] == "active"


def test_reactivation_opens_mutable_fields_at_once(api: Glare, sample: Json) -> None:
    """[status=active, description=…] reactivates and edits; with name= instead it is 403 and nothing happens."""
    api.alice.activate(sample)
    api.admin.set(sample, status="deactivated")
    active = operation("replace", "/status", value="active")
    assert api.admin.patch(sample, active, operation("replace", "/name", value="x")).status_code == 403
    assert api.admin.show(sample)["status"] == "deactivated"
    after = api.admin.change(sample, active, operation("replace", "/description", value="back"))
    assert (after["status"], after["description"]) == ("active", "back")


def test_activation_and_publication_in_one_patch(api: Glare, sample: Json) -> None:
    """An admin may activate and publish at once."""
    after = api.admin.change(
        sample, operation("add", "/status", value="active"), operation("add", "/visibility", value="public")
    )
    assert (after["status"], after["visibility"]) == ("active", "public")


@pytest.mark.parametrize("missing", ["string_required", "metadata_attribute"])
def test_activation_wants_required_fields(api: Glare, unique: Unique, missing: str) -> None:
    """A required field without a value forbids activation with 403 (quirk 7); a default counts as a value."""
    fields = {"string_required": "x", "metadata_attribute": "y"}
    artifact = api.alice.create("sample_artifact", name=unique(), **{**fields, missing: None})
    answer = api.alice.set(artifact, status="active")
    assert answer.status_code == (403 if missing == "string_required" else 200)
    if answer.status_code == 403:
        assert missing in answer.json()["error"]["message"]


def test_activation_wants_required_blobs(api: Glare, unique: Unique) -> None:
    """A required blob must be there; an empty required folder counts as set (quirk 14)."""
    template = api.alice.create("heat_templates", name=unique())
    assert api.alice.set(template, status="active").status_code == 403
    api.alice.upload(template, "template", b"")
    assert api.alice.activate(template)["nested_templates"] == {}


def test_missing_name_conflicts(api: Glare, unique: Unique) -> None:
    """A patch to a name or version that another artifact of the owner holds is 409, and leaves both."""
    taken, other = unique(), unique()
    api.alice.create("sample_artifact", name=taken, version="1.0.0")
    artifact = api.alice.create("sample_artifact", name=other, version="1.0.0")
    assert api.alice.set(artifact, name=taken).status_code == 409
    assert api.alice.show(artifact)["name"] == other
    assert api.alice.set(artifact, name=taken, version="2.0.0").status_code == 200
    assert api.alice.set(artifact, version="1").status_code == 409
    assert api.alice.set(artifact, description="x").status_code == 200


def test_admin_edits_in_the_owners_scope(api: Glare, unique: Unique) -> None:
    """When an admin renames, the owner's names count and not the admin's."""
    name, other = unique(), unique()
    api.admin.create("sample_artifact", name=name)
    artifact = api.alice.create("sample_artifact", name=other)
    assert api.admin.set(artifact, name=name).status_code == 200
    second = api.alice.create("sample_artifact", name=other)
    assert api.admin.set(second, name=name).status_code == 409
    assert api.admin.show(artifact)["owner"] == "wonderland"


# The checks of PATCH in their order, with what each answers.
FAULTS = [
    ("media type", 415),
    ("body", 400),
    ("unknown type", 404),
    ("missing artifact", 404),
    ("foreign", 403),
    ("stale", 412),
    ("operation", 400),
]


@pytest.mark.parametrize(
    ("first", "second"), [(one, other) for index, one in enumerate(FAULTS) for other in FAULTS[index + 1 :]]
)
def test_checks_come_in_order(api: Glare, public: Json, first: tuple[str, int], second: tuple[str, int]) -> None:
    """Of two faults the contract's earlier one is reported."""
    faults = {first[0], second[0]}
    kind = "unknown" if "unknown type" in faults else "sample_artifact"
    artifact_id = "00000000-0000-4000-8000-000000000000" if "missing artifact" in faults else public["id"]
    patch: Any = [operation("replace", "/unknown", value=1)] if "operation" in faults else []
    answer = (api.bob if "foreign" in faults else api.admin).request(
        "PATCH",
        f"/artifacts/{kind}/{artifact_id}",
        content=json.dumps({} if "body" in faults else patch).encode(),
        headers={
            "Content-Type": "application/json" if "media type" in faults else PATCH,
            **({"If-Match": '"stale"'} if "stale" in faults else {}),
        },
    )
    assert answer.status_code == first[1]


@pytest.fixture(scope="module")
def public(api: Glare) -> Json:
    """A public artifact of alice's."""
    artifact = api.alice.create("sample_artifact", name="public", string_required="x")
    api.alice.activate(artifact)
    return api.admin.publish(artifact)


def test_all_takes_no_changes(api: Glare, sample: Json) -> None:
    """Under `all` the empty patch is 200 and any other 403."""
    under_all = {"type_name": "all", "id": sample["id"]}
    assert api.alice.patch(under_all).status_code == 200
    assert api.alice.set(under_all, description="x").status_code == 403
    assert api.admin.set(under_all, description="x").status_code == 403


def together(actions: list[Callable[[], httpx2.Response]]) -> list[int]:
    """The statuses of requests that start at the same moment."""
    barrier = threading.Barrier(len(actions))
    statuses: list[int] = []

    def run(action: Callable[[], httpx2.Response]) -> None:
        barrier.wait()
        statuses.append(action().status_code)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(statuses)


def test_racing_creates_of_a_name(api: Glare, unique: Unique) -> None:
    """Of racing creators of one name exactly one wins, and the others hear 409."""
    for _ in range(5):
        name = unique()
        statuses = together([partial(api.alice.try_create, "images", name=name)] * 4)
        assert statuses == [201, 409, 409, 409]
        assert api.alice.names("images", f"name={name}") == [name]


def test_racing_patches_lose_nothing(api: Glare, unique: Unique) -> None:
    """Of racing patches each either is stored or hears 409; what was answered 200 is there afterwards."""
    artifact = api.alice.create("sample_artifact", name=unique())
    outcomes = []
    for number in range(8):
        patches = [operation("add", f"/dict_of_str/{number}-{side}", value="x") for side in "ab"]
        outcomes.append(together([partial(api.alice.patch, artifact, one) for one in patches]))
    assert {tuple(outcome) for outcome in outcomes} <= {(200, 200), (200, 409)}
    stored = len(api.alice.show(artifact)["dict_of_str"])
    assert stored == sum(outcome.count(200) for outcome in outcomes)


def test_lost_race_is_409(api: Glare, unique: Unique, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two patches that have read the same revision one is stored and the other is 409."""
    from glare.operations.artifacts import update as module

    artifact = api.alice.create("sample_artifact", name=unique())
    both_have_read = threading.Barrier(2)
    store = module._store

    def store_together(*arguments: Any) -> Any:
        both_have_read.wait(10)
        return store(*arguments)

    monkeypatch.setattr(module, "_store", store_together)
    patches = [operation("add", f"/dict_of_str/{side}", value="x") for side in "ab"]
    statuses = together([partial(api.alice.patch, artifact, one) for one in patches])
    assert statuses == [200, 409]
    assert len(api.alice.show(artifact)["dict_of_str"]) == 1
