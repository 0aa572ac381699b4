"""Rules that an operator overrides change what the API allows, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from glare.policy.rules import RULES
from support.policies import ruled
from support.service import ActorClient, Glare, Json, path_of, running

pytestmark = pytest.mark.sqlite  # Who may do what is decided before a database is asked.

Unique = Callable[[], str]
Request = Callable[[Glare, Json], Any]


def sample(glare: Glare, name: str, *, status: str = "drafted", visibility: str = "private") -> Json:
    """An artifact of alice's with data, brought to this state."""
    artifact = glare.alice.create("sample_artifact", name=name, string_required="x")
    glare.alice.upload(artifact, "blob", b"data")
    if status != "drafted":
        glare.alice.activate(artifact)
    if visibility == "public":
        glare.admin.publish(artifact)
    elif visibility != "private":
        assert turn(glare.alice, artifact, visibility).status_code == 200
    if status == "deactivated":
        glare.admin.set(artifact, status="deactivated")
    return glare.admin.show(artifact)


LATEST = {"OpenStack-API-Version": "artifact 1.3"}


def turn(who: ActorClient, artifact: Json, visibility: str) -> Any:
    change = {"op": "replace", "path": "/visibility", "value": visibility}
    return who.patch(artifact, change, headers=LATEST)


def turns(visibility: str) -> Request:
    return lambda glare, artifact: turn(glare.alice, artifact, visibility)


def link_to(who: ActorClient, artifact: Json) -> Any:
    return who.request("POST", "/links", json={"artifact": artifact["id"], "blob": "blob"})


def at_a_link(method: str, who: str = "alice:wonderland:member") -> Request:
    """A request for a link that an administrator has made."""
    return lambda glare, artifact: glare.actor(who).request(
        method, f"/links/{link_to(glare.admin, artifact).json()['id']}"
    )


def at_members(method: str, who: str = "alice:wonderland:member", of: str = "", **body: str) -> Request:
    """A request about the members of an artifact, of which `builders` is one."""

    def ask(glare: Glare, artifact: Json) -> Any:
        path = f"/members/{artifact['id']}"
        added = glare.admin.request("POST", path, json={"project": "builders"}, headers=LATEST)
        assert added.status_code in (201, 403, 409)
        options: dict[str, Any] = {"json": body} if body else {}
        return glare.actor(who).request(method, f"{path}/{of}" if of else path, headers=LATEST, **options)

    return ask


def put_quotas(glare: Glare, _artifact: Json) -> Any:
    return glare.alice.request("PUT", "/quotas", json=[])


def take_down(glare: Glare) -> Any:
    return glare.alice.request("POST", "/takedowns", json={})


def reads(path: str) -> Request:
    return lambda glare, _artifact: glare.alice.request("GET", path)


def sets(**fields: Any) -> Request:
    return lambda glare, artifact: glare.alice.set(artifact, **fields)


# Rule → (state of the artifact, what alice asks, the rule's text, status by default, status by that text).
OVERRIDES: list[tuple[str, tuple[str, str], Request, str, int, int]] = [
    ("artifact:type_list", ("drafted", "private"), reads("/schemas"), "!", 200, 403),
    ("artifact:type_list", ("drafted", "private"), reads("/schemas/images"), "role:admin", 200, 403),
    (
        *("artifact:create", ("drafted", "private"), lambda g, _: g.alice.try_create("heat_environments", name="n")),
        *("role:creator", 201, 403),
    ),
    ("artifact:update", ("drafted", "private"), sets(description="x"), "role:admin", 200, 403),
    ("artifact:update_public", ("active", "public"), sets(description="x"), "@", 403, 200),
    ("artifact:activate", ("drafted", "private"), sets(status="active"), "role:admin", 200, 403),
    ("artifact:deactivate", ("active", "private"), sets(status="deactivated"), "rule:admin_or_owner", 403, 200),
    ("artifact:reactivate", ("deactivated", "private"), sets(status="active"), "rule:admin_or_owner", 403, 200),
    ("artifact:publish", ("active", "private"), sets(visibility="public"), "rule:admin_or_owner", 403, 200),
    ("artifact:share", ("active", "private"), turns("shared"), "role:admin", 200, 403),
    ("artifact:communitize", ("active", "private"), turns("community"), "role:admin", 200, 403),
    ("artifact:withdraw", ("active", "shared"), turns("private"), "role:admin", 200, 403),
    ("artifact:withdraw", ("active", "community"), turns("private"), "role:admin", 200, 403),
    ("artifact:get", ("drafted", "private"), lambda g, a: g.alice.get(a), "role:admin", 200, 403),
    ("link:create", ("active", "private"), lambda g, a: link_to(g.alice, a), "role:admin", 201, 403),
    ("link:list", ("drafted", "private"), reads("/links"), "role:admin", 200, 403),
    ("link:list", ("drafted", "private"), reads("/links?project=builders"), "@", 403, 200),
    ("link:get", ("active", "private"), at_a_link("GET"), "role:admin", 200, 403),
    ("link:delete", ("active", "private"), at_a_link("DELETE"), "role:admin", 204, 403),
    (
        *("link:delete", ("active", "private")),
        lambda g, _: g.alice.request("POST", "/links/revocation", json={}),
        *("role:admin", 200, 403),
    ),
    (
        *("member:create", ("active", "shared"), at_members("POST", project="more")),
        *("role:admin", 201, 403),
    ),
    ("member:list", ("active", "shared"), at_members("GET"), "role:admin", 200, 403),
    ("member:get", ("active", "shared"), at_members("GET", of="builders"), "role:admin", 200, 403),
    (
        *("member:update", ("active", "shared")),
        at_members("PUT", "bob:builders:member", "builders", status="accepted"),
        *("role:admin", 200, 403),
    ),
    ("member:delete", ("active", "shared"), at_members("DELETE", of="builders"), "role:admin", 204, 403),
    ("artifact:list", ("drafted", "private"), reads("/artifacts/images"), "role:admin", 200, 403),
    ("artifact:delete", ("drafted", "private"), lambda g, a: g.alice.delete(a), "role:admin", 204, 403),
    ("artifact:delete_public", ("active", "public"), lambda g, a: g.alice.delete(a), "@", 403, 204),
    ("artifact:delete_deactivated", ("deactivated", "private"), lambda g, a: g.alice.delete(a), "@", 403, 204),
    (
        *("artifact:upload", ("drafted", "private"), lambda g, a: g.alice.try_upload(a, "blob", b"new")),
        *("role:admin", 200, 403),
    ),
    ("artifact:download", ("drafted", "private"), lambda g, a: g.alice.download(a, "blob"), "role:admin", 200, 403),
    (
        "artifact:download_deactivated",
        ("deactivated", "private"),
        lambda g, a: g.alice.download(a, "blob"),
        "@",
        403,
        200,
    ),
    (
        *("artifact:download_from_any_artifact", ("deactivated", "private"), lambda g, a: g.alice.download(a, "blob")),
        *("project_id:%(owner)s", 403, 200),
    ),
    (
        "artifact:delete_blob",
        ("drafted", "private"),
        lambda g, a: g.alice.request("DELETE", f"{path_of(a)}/small_blob"),
        "!",
        404,
        403,
    ),
    ("artifact:set_quotas", ("drafted", "private"), put_quotas, "@", 403, 200),
    ("artifact:list_all_quotas", ("drafted", "private"), reads("/quotas"), "@", 403, 200),
    ("location:list", ("drafted", "private"), reads("/locations"), "role:admin", 200, 403),
    ("location:list_all", ("drafted", "private"), reads("/locations?project=builders"), "@", 403, 200),
    ("audit:list", ("drafted", "private"), reads("/audit"), "@", 403, 200),
    ("takedown:list", ("drafted", "private"), reads("/takedowns"), "@", 403, 200),
    ("takedown:get", ("drafted", "private"), reads("/takedowns/none"), "@", 403, 404),
    ("takedown:create", ("drafted", "private"), lambda g, _: take_down(g), "@", 403, 400),
    (
        *("takedown:delete", ("drafted", "private"), lambda g, _: g.alice.request("DELETE", "/takedowns/none")),
        *("@", 403, 404),
    ),
    ("artifact:list_project_quotas", ("drafted", "private"), reads("/project-quotas"), "role:admin", 200, 403),
    ("artifact:list_project_quotas", ("drafted", "private"), reads("/project-quotas/builders"), "@", 403, 200),
    ("context_is_admin", ("drafted", "private"), reads("/quotas"), "role:member", 403, 200),
    ("admin_or_owner", ("drafted", "private"), sets(description="x"), "rule:context_is_admin", 200, 403),
]


@pytest.mark.parametrize("case", OVERRIDES, ids=lambda case: case[0])
def test_rule_decides(
    api: Glare, unique: Unique, tmp_path: Path, case: tuple[str, tuple[str, str], Request, str, int, int]
) -> None:
    """The rule's default gives one answer, its override the other."""
    rule, state, ask, text, default, expected = case
    for rules, status in (({}, default), ({rule: text}, expected)):
        artifact = sample(api, unique(), status=state[0], visibility=state[1])
        with ruled(api, tmp_path, rules):
            answer = ask(api, artifact)
        assert answer.status_code == status
        if status == 403 and rule != "location:list_all":
            assert answer.json()["error"]["type"] == "PolicyException"


def test_every_rule_has_an_override_in_the_table() -> None:
    """No rule of the policy goes untested. Personas, locations, tokens, subscriptions and lists of everything have
    tests of their own.
    """
    elsewhere = {
        "writer",
        *(rule.name for rule in RULES if rule.name.startswith(("publisher:", "token:"))),
        "project_manager",
        "system_reader",
        "artifact:set_location",
        "artifact:set_internal_location",
        "artifact:get_any_artifact",
        "artifact:list_all_artifacts",
        "location:get",
        "location:check",
        *(f"subscription:{verb}" for verb in ("create", "list", "get", "update", "delete")),
        *(f"token:{verb}" for verb in ("create", "create_with_token", "list", "get", "delete", "manage")),
        "artifact:promote_location",
    }
    assert {row[0] for row in OVERRIDES} == {rule.name for rule in RULES} - elsewhere


EVE, AUDITOR = "eve:wonderland:reader", "ann:audit:auditor"
"""A reader of the owning project, and somebody of another one."""


# Rule → (state of the artifact, who, what they ask, the rule's text that lets them, status by default, by that text).
GIVEN: list[tuple[str, tuple[str, str], str, Callable[[ActorClient, Json], Any], str, int, int]] = [
    ("artifact:share", ("active", "private"), EVE, lambda w, a: turn(w, a, "shared"), "rule:admin_or_owner", 403, 200),
    (
        *("artifact:communitize", ("active", "private"), EVE, lambda w, a: turn(w, a, "community")),
        *("rule:admin_or_owner", 403, 200),
    ),
    (
        *("artifact:withdraw", ("active", "shared"), EVE, lambda w, a: turn(w, a, "private")),
        *("rule:admin_or_owner", 403, 200),
    ),
    ("link:create", ("active", "private"), EVE, link_to, "rule:admin_or_owner", 403, 201),
    (
        *("link:delete", ("active", "private"), EVE, lambda w, _: w.request("POST", "/links/revocation", json={})),
        *("rule:admin_or_owner", 403, 200),
    ),
    (
        *("link:list", ("active", "private"), AUDITOR, lambda w, _: w.request("GET", "/links?project=wonderland")),
        *("role:auditor", 403, 200),
    ),
]


@pytest.mark.parametrize("case", GIVEN, ids=lambda case: case[0])
def test_rule_gives(api: Glare, unique: Unique, tmp_path: Path, case: Any) -> None:
    """Whom the default refuses the operator lets in, by this rule and no other: what else they may stays as it was."""
    rule, state, token, ask, text, default, expected = case
    who = api.actor(token)
    others = {"artifact:update": "rule:admin_or_owner"} if rule.startswith("artifact:") else {}
    for rules, status in ((others, default), ({**others, rule: text}, expected)):
        artifact = sample(api, unique(), status=state[0], visibility=state[1])
        with ruled(api, tmp_path, rules):
            answer = ask(who, artifact)
            assert answer.status_code == status, answer.text
            assert who.delete(artifact).status_code in (403, 404)


@pytest.mark.parametrize("case", [("link:get", "GET", 200), ("link:delete", "DELETE", 204)], ids=lambda case: case[0])
def test_a_link_of_another_project_is_there_by_rule(
    api: Glare, unique: Unique, tmp_path: Path, case: tuple[str, str, int]
) -> None:
    """Without it, it does not exist for them."""
    rule, method, given = case
    artifact = sample(api, unique(), status="active")
    for rules, status in (({}, 404), ({rule: "role:auditor"}, given)):
        with ruled(api, tmp_path, rules):
            assert at_a_link(method, AUDITOR)(api, artifact).status_code == status


@pytest.mark.parametrize("rule", ["link:create", "artifact:download"])
def test_a_rule_that_is_taken_away_ends_links(api: Glare, unique: Unique, tmp_path: Path, rule: str) -> None:
    """Who could not make the link now, or not read, is not read as. Given back, the link goes on."""
    artifact = sample(api, unique(), status="active")
    made = link_to(api.alice, artifact)
    path = urlsplit(made.json()["url"]).path
    assert api.client.get(path).content == b"data"
    for text in ("!", "role:admin", "not project_id:%(owner)s"):
        with ruled(api, tmp_path, {rule: text}):
            answer = api.client.get(path)
            assert (answer.status_code, "leads nowhere" in answer.text) == (404, True)
    with ruled(api, tmp_path, {rule: "role:member"}):
        assert api.client.get(path).content == b"data"


def test_seeing_everything_and_listing_everything_are_two_rules(api: Glare, unique: Unique, tmp_path: Path) -> None:
    """Who overrides one of the pair gets what its name says."""
    name = unique()
    artifact = sample(api, name)
    path = path_of(artifact)
    with ruled(api, tmp_path, {"artifact:get_any_artifact": "role:auditor"}):
        auditor = api.actor("a:audit:auditor")
        assert auditor.request("GET", path).status_code == 200
        assert auditor.names("sample_artifact", f"name={name}") == []
        assert auditor.set(artifact, description="x").status_code == 403
        assert auditor.delete(artifact).status_code == 403
        assert auditor.request("GET", f"{path}/blob").status_code == 403
        assert api.admin.request("GET", path).status_code == 404
    with ruled(api, tmp_path, {"artifact:list_all_artifacts": "role:auditor"}):
        assert auditor.names("sample_artifact", f"name={name}") == [name]
        assert auditor.request("GET", path).status_code == 404
        assert api.admin.names("sample_artifact", f"name={name}") == []


def test_rules_do_not_open_what_is_hidden(api: Glare, unique: Unique, tmp_path: Path) -> None:
    """However wide a rule is, another project's private artifact is 404, and what is public is not theirs to change."""
    wide = {rule.name: "@" for rule in RULES if rule.name.startswith("artifact:")}
    for rule in ("artifact:get_any_artifact", "artifact:list_all_artifacts"):
        wide.pop(rule)
    hidden, public = sample(api, unique()), sample(api, unique(), status="active", visibility="public")
    with ruled(api, tmp_path, wide):
        assert api.bob.get(hidden).status_code == 404
        assert api.bob.set(hidden, description="x").status_code == 404
        assert api.bob.delete(hidden).status_code == 404
        assert api.bob.set(public, description="x").status_code == 403
        assert api.bob.delete(public).status_code == 403
        assert api.bob.try_upload(public, "blob", b"x").status_code == 403
        assert api.anonymous.set(public, description="x").status_code == 403


def test_creation_may_look_at_the_body(api: Glare, unique: Unique, tmp_path: Path) -> None:
    """The target of artifact:create is the body of the request, with the caller's project as owner."""
    with ruled(api, tmp_path, {"artifact:create": "'linux':%(os_distro)s and project_id:%(owner)s"}):
        assert api.alice.try_create("images", name=unique(), os_distro="linux").status_code == 201
        assert api.alice.try_create("images", name=unique(), os_distro="other").status_code == 403
        assert api.alice.try_create("images", name=unique()).status_code == 403
        assert api.alice.try_create("images", name=unique(), os_distro="linux", owner="builders").status_code == 403


def test_policy_file_is_read_at_start(tmp_path: Path) -> None:
    """A rule in the configured file holds from the first request."""
    file = tmp_path / "policy.yaml"
    file.write_text('"artifact:publish": "rule:admin_or_owner"\n')
    with running(tmp_path, f"[oslo_policy]\npolicy_file = {file}\n") as glare:
        artifact = sample(glare, "a", status="active")
        assert glare.alice.publish(artifact)["visibility"] == "public"
        assert glare.bob.set(artifact, visibility="public").status_code == 403
