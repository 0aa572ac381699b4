"""Who sees what: an artifact that a caller may not see does not exist for them, in lists neither."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.service import BYTES, LOCATION, PATCH, Glare, Json

Unique = Callable[[], str]

Sent = tuple[str, str, dict[str, str], bytes]

REQUESTS: list[Sent] = [
    ("GET", "", {}, b""),
    ("HEAD", "", {}, b""),
    ("PATCH", "", {"Content-Type": PATCH}, b"[]"),
    ("PATCH", "", {"Content-Type": PATCH}, b'[{"op": "replace", "path": "/status", "value": "nonsense"}]'),
    ("DELETE", "", {}, b""),
    ("GET", "/blob", {}, b""),
    ("HEAD", "/blob", {}, b""),
    ("GET", "/dict_of_blobs/key", {}, b""),
    ("GET", "/no_blob", {}, b""),
    ("PUT", "/blob", {"Content-Type": BYTES}, b"data"),
    ("PUT", "/no_blob", {"Content-Type": BYTES}, b"data"),
    ("PUT", "/blob", {"Content-Type": LOCATION}, b'{"url": "http://127.0.0.1/", "md5": null}'),
    ("DELETE", "/blob", {}, b""),
]


@pytest.fixture(scope="module")
def hidden(api: Glare) -> Json:
    """A private artifact of alice's with data."""
    artifact = api.alice.create("sample_artifact", name="hidden", string_required="x")
    return api.alice.upload(artifact, "blob", b"data")


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("actor", ["bob", "anonymous"])
@pytest.mark.parametrize("kind", ["sample_artifact", "all"])
def test_private_artifact_of_others_is_404(api: Glare, hidden: Json, actor: str, kind: str, request_: Sent) -> None:
    """No method and no path tells another project, or anybody anonymous, that a private artifact exists."""
    method, path, headers, content = request_
    missing = "00000000-0000-4000-8000-000000000000"
    answers = [
        getattr(api, actor).request(method, f"/artifacts/{kind}/{artifact_id}{path}", headers=headers, content=content)
        for artifact_id in (hidden["id"], missing)
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text.replace(hidden["id"], missing) == answers[1].text
    assert api.alice.show(hidden) == hidden


def test_owner_is_the_project(api: Glare, hidden: Json) -> None:
    """Everybody of the owning project sees an artifact and may change it; admins may as well."""
    colleague = api.actor("carol:wonderland:")
    assert colleague.show(hidden)["id"] == hidden["id"]
    assert colleague.patch(hidden).status_code == 200
    assert api.admin.patch(hidden).status_code == 200


@pytest.mark.parametrize("request_", [row for row in REQUESTS if row[0] not in ("GET", "HEAD")])
@pytest.mark.parametrize("actor", ["bob", "anonymous"])
@pytest.mark.parametrize("status", ["active", "deactivated"])
def test_public_artifact_of_others_is_403_to_change(
    api: Glare, public: dict[str, Json], actor: str, status: str, request_: Sent
) -> None:
    """What everybody sees only its project and admins may change, whatever the change."""
    method, path, headers, content = request_
    artifact = public[status]
    target = f"/artifacts/sample_artifact/{artifact['id']}{path}"
    answer = getattr(api, actor).request(method, target, headers=headers, content=content)
    assert answer.status_code == 403
    assert getattr(api, actor).get(artifact).status_code == 200


@pytest.fixture(scope="module")
def public(api: Glare) -> dict[str, Json]:
    """Public artifacts of alice's by status."""
    made = {}
    for status in ("active", "deactivated"):
        artifact = api.alice.create("sample_artifact", name=f"public {status}", string_required="x")
        api.alice.upload(artifact, "blob", b"data")
        api.alice.activate(artifact)
        api.admin.publish(artifact)
        api.admin.set(artifact, status=status)
        made[status] = api.admin.show(artifact)
    return made


# Operation → (owner, other project, admin, anonymous) on a public active artifact.
RIGHTS_ON_PUBLIC: dict[str, tuple[int, int, int, int]] = {
    "show": (200, 200, 200, 200),
    "download": (200, 200, 200, 200),
    "patch": (403, 403, 200, 403),
    "publish again": (403, 403, 200, 403),
    "deactivate and back": (403, 403, 200, 403),
    "upload": (200, 403, 200, 403),
}
RIGHTS_ON_PRIVATE: dict[str, tuple[int, int, int, int]] = {
    "show": (200, 404, 200, 404),
    "download": (200, 404, 200, 404),
    "patch": (200, 404, 200, 404),
    "publish": (403, 404, 200, 404),
    "deactivate": (403, 404, 200, 404),
    "upload": (200, 404, 200, 404),
    "delete": (204, 404, 204, 404),
}
RIGHTS_ON_DEACTIVATED: dict[str, tuple[int, int, int, int]] = {
    "show": (200, 404, 200, 404),
    "download": (403, 404, 200, 404),
    "patch": (200, 404, 200, 404),
    "upload": (403, 404, 403, 404),
    "reactivate": (403, 404, 200, 404),
    "delete": (403, 404, 204, 404),
}
ACTORS = ("alice", "bob", "admin", "anonymous")


def attempt(api: Glare, actor_name: str, operation: str, artifact: Json) -> int:
    """The status of an operation by its name in the tables."""
    actor = getattr(api, actor_name)
    replaced = {
        "publish": [("visibility", "public")],
        "publish again": [("visibility", "public")],
        "deactivate": [("status", "deactivated")],
        "deactivate and back": [("status", "deactivated"), ("status", "active")],
        "reactivate": [("status", "active")],
        "patch": [],
    }
    if operation in replaced:
        steps = [{"op": "replace", "path": f"/{name}", "value": value} for name, value in replaced[operation]]
        answer = actor.patch(artifact, *steps)
    elif operation == "download":
        answer = actor.download(artifact, "blob")
    elif operation == "upload":
        answer = actor.try_upload(artifact, "blob", b"other")
    else:
        answer = actor.delete(artifact) if operation == "delete" else actor.get(artifact)
    status: int = answer.status_code
    return status


TABLES = [
    ("public", "active", RIGHTS_ON_PUBLIC),
    ("private", "active", RIGHTS_ON_PRIVATE),
    ("private", "deactivated", RIGHTS_ON_DEACTIVATED),
    (
        "public",
        "deactivated",
        {"show": (200, 200, 200, 200), "download": (403, 403, 200, 403), "delete": (403, 403, 204, 403)},
    ),
    ("public", "active", {"delete": (403, 403, 204, 403)}),
]
RIGHTS = [
    ((visibility, status), operation, ACTORS[index], codes[index])
    for visibility, status, table in TABLES
    for operation, codes in table.items()
    for index in range(4)
]


@pytest.mark.parametrize(("state", "operation", "actor", "expected"), RIGHTS)
def test_default_rules(
    api: Glare, unique: Unique, state: tuple[str, str], operation: str, actor: str, expected: int
) -> None:
    """What each kind of caller may do with an artifact of another state, by the rules that a fresh service has."""
    visibility, status = state
    artifact = api.alice.create("sample_artifact", name=unique(), string_required="x")
    api.alice.upload(artifact, "blob", b"data")
    api.alice.activate(artifact)
    if visibility == "public":
        api.admin.publish(artifact)
    if status == "deactivated":
        api.admin.set(artifact, status="deactivated")
    assert attempt(api, actor, operation, artifact) == expected


def test_lists_show_own_and_public(api: Glare, hidden: Json, public: dict[str, Json]) -> None:
    """Projects list their own artifacts and public ones, admins all, anonymous readers public ones; totals agree."""
    document = {"alice": 3, "admin": 3, "bob": 2, "anonymous": 2}
    ids = {hidden["id"], *(artifact["id"] for artifact in public.values())}
    wanted = "name=in:hidden,public active,public deactivated"
    for kind in ("sample_artifact", "all"):
        for actor, number in document.items():
            page = getattr(api, actor).page(kind, wanted)
            assert len(page["artifacts"]) == page["total_count"] == number
            assert {artifact["id"] for artifact in page["artifacts"]} <= ids


PROJECTS = ("red", "green", "none")


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(PROJECTS[:2]),
            st.sampled_from(["sample_artifact", "heat_environments"]),
            st.sampled_from(["drafted", "active", "deactivated", "public", "public deactivated"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_lists_and_single_reads_agree(api: Glare, unique: Unique, made: list[tuple[str, str, str]]) -> None:
    """Whatever there is, a caller can show exactly what a list shows them."""
    keyword = unique()
    artifacts = []
    for number, (project, kind, state) in enumerate(made):
        owner = api.actor(f"u:{project}:")
        fields = {"string_required": "x"} if kind == "sample_artifact" else {}
        artifact = owner.create(kind, name=f"{keyword} {number}", tags=[keyword], **fields)
        if kind == "heat_environments":
            owner.upload(artifact, "environment", b"")
        if state != "drafted":
            owner.activate(artifact)
        if state.startswith("public"):
            api.admin.publish(artifact)
        if state.endswith("deactivated"):
            api.admin.set(artifact, status="deactivated")
        artifacts.append(artifact)
    for project, roles in itertools.product(PROJECTS, ("member", "Admin")):
        actor = api.actor(f"u:{project}:{roles}")
        listed = {artifact["id"] for artifact in actor.page("all", f"tags={keyword}&limit=100")["artifacts"]}
        by_type = {
            artifact["id"]
            for kind in {kind for _, kind, _ in made}
            for artifact in actor.page(kind, f"tags={keyword}&limit=100")["artifacts"]
        }
        readable = {artifact["id"] for artifact in artifacts if actor.get(artifact).status_code == 200}
        assert listed == by_type == readable


def test_marker_must_be_visible(api: Glare, hidden: Json) -> None:
    """A list does not start at an artifact that its caller may not see."""
    path = f"/artifacts/sample_artifact?marker={hidden['id']}"
    assert api.alice.request("GET", path).status_code == 200
    assert api.bob.request("GET", path).status_code == 404


def test_schemas_are_for_everybody(api: Glare) -> None:
    """Anonymous readers see the types; a caller without credentials does not."""
    assert api.anonymous.request("GET", "/schemas").status_code == 200
    assert api.stranger.request("GET", "/schemas").status_code == 401


def test_anonymous_is_never_admin(api: Glare, hidden: Json) -> None:
    """Roles of a token without a project count for nothing."""
    impostor = api.actor("admin:none:admin")
    assert impostor.get(hidden).status_code == 404
    assert impostor.request("GET", "/quotas").status_code == 403
    assert impostor.request("PUT", "/quotas", content=json.dumps([]).encode()).status_code == 403
