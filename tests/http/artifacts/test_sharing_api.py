"""Sharing with named projects: who sees, lists, reads and decides what, and what older requests are told."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.audit import entries
from support.origins.origin import Origin
from support.service import ActorClient, Glare, Json, path_of, running

Unique = Callable[[], str]

SINCE: Final = {"OpenStack-API-Version": "artifact 1.3"}
MISSING: Final = "00000000-0000-4000-8000-000000000000"


class Since(ActorClient):
    """Somebody whose requests know of sharing."""

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        return super().request(method, path, headers=SINCE | options.pop("headers", {}), **options)


def since(api: Glare, token: str | None) -> Since:
    return Since(api.client, token)


class Cast:
    """An owner and others, in projects of their own; `old` is the owner with requests that know of no sharing."""

    def __init__(self, api: Glare, unique: Unique) -> None:
        self.api = api
        self.projects = {name: unique() for name in ("owner", "member", "other")}
        self.owner, self.member, self.other = (since(api, f"u:{self.projects[name]}:member") for name in self.projects)
        self.admin = since(api, "admin:cloud:admin")
        self.anonymous = since(api, "nobody:none:member")
        self.old = api.actor(f"u:{self.projects['owner']}:member")

    def made(self, name: str, visibility: str = "shared", **fields: Any) -> Json:
        """An active artifact of the owner's with a blob, and the member where it is shared."""
        artifact = self.owner.create("sample_artifact", name=name, string_required="x", **fields)
        self.owner.upload(artifact, "blob", b"data")
        self.owner.activate(artifact)
        answer = self.owner.set(artifact, visibility=visibility)
        assert answer.status_code == 200, answer.text
        if visibility == "shared":
            self.add(artifact)
        return self.owner.show(artifact)

    def add(self, artifact: Json, project: str | None = None) -> Json:
        answer = self.try_add(self.owner, artifact, project)
        assert answer.status_code == 201, answer.text
        found: Json = answer.json()
        return found

    def try_add(self, actor: ActorClient, artifact: Json, project: str | None = None) -> httpx2.Response:
        return actor.request("POST", f"/members/{artifact['id']}", json={"project": project or self.projects["member"]})

    def decide(self, actor: ActorClient, artifact: Json, status: str, project: str | None = None) -> httpx2.Response:
        path = f"/members/{artifact['id']}/{project or self.projects['member']}"
        return actor.request("PUT", path, json={"status": status})


@pytest.fixture
def cast(api: Glare, unique: Unique) -> Cast:
    return Cast(api, unique)


def listed(actor: ActorClient, query: str = "") -> list[str]:
    return sorted(actor.names("sample_artifact", query))


def test_a_member_reads_what_is_shared_with_it(cast: Cast) -> None:
    """It shows and downloads the artifact, whatever it has decided; others do not, and it stops when it is removed."""
    artifact = cast.made("shared")
    assert artifact["visibility"] == "shared"
    for status in ("pending", "accepted", "rejected"):
        assert cast.decide(cast.member, artifact, status).status_code == 200
        assert cast.member.show(artifact) == artifact
        assert cast.member.download(artifact, "blob").content == b"data"
        for stranger in (cast.other, cast.anonymous):
            assert stranger.get(artifact).status_code == stranger.download(artifact, "blob").status_code == 404
    path = f"/members/{artifact['id']}/{cast.projects['member']}"
    assert cast.owner.request("DELETE", path).status_code == 204
    assert cast.member.get(artifact).status_code == cast.member.download(artifact, "blob").status_code == 404
    assert cast.owner.request("DELETE", path).status_code == 404


def test_a_member_changes_nothing(cast: Cast) -> None:
    """Neither fields nor blobs nor members, and it cannot delete."""
    artifact = cast.made("fixed")
    answers = [
        cast.member.patch(artifact),
        cast.member.set(artifact, description="mine"),
        cast.member.set(artifact, visibility="private"),
        cast.member.try_upload(artifact, "dict_of_blobs/a", b"x"),
        cast.member.try_locate(artifact, "dict_of_blobs/a", "http://127.0.0.1/"),
        cast.member.delete(artifact),
        cast.try_add(cast.member, artifact, cast.projects["other"]),
        cast.member.request("DELETE", f"/members/{artifact['id']}/{cast.projects['member']}"),
    ]
    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert cast.owner.show(artifact) == artifact


def test_lists_show_what_a_project_has_accepted(cast: Cast) -> None:
    """A default list has what was accepted; `member_status` asks for the others, `visibility` chooses."""
    artifacts = {status: cast.made(status) for status in ("pending", "accepted", "rejected")}
    for status, artifact in artifacts.items():
        cast.decide(cast.member, artifact, status)
    assert listed(cast.member) == ["accepted"]
    assert listed(cast.member, "member_status=pending") == ["pending"]
    assert listed(cast.member, "visibility=shared&member_status=all") == ["accepted", "pending", "rejected"]
    assert listed(cast.member, "visibility=private&member_status=all") == []
    assert cast.member.page("all", "member_status=all")["total_count"] == 3
    assert listed(cast.owner) == ["accepted", "pending", "rejected"]
    assert listed(cast.owner, "visibility=shared&sort=name:asc") == ["accepted", "pending", "rejected"]
    assert listed(cast.other, "member_status=all&visibility=all") == []
    refused = cast.member.request("GET", "/artifacts/images?member_status=maybe")
    assert refused.status_code == 400
    assert "pending, accepted, rejected, all" in refused.text


def test_community_is_read_by_everybody_and_listed_for_who_asks(cast: Cast, unique: Unique) -> None:
    """No default list of others shows it, also not that of anonymous readers."""
    tag = unique()
    artifact = cast.made("for all", "community", tags=[tag])
    for reader in (cast.owner, cast.member, cast.anonymous):
        assert reader.show(artifact)["visibility"] == "community"
        assert reader.download(artifact, "blob").content == b"data"
        for query in ("visibility=community", "visibility=all", "visibility=in:community,public"):
            assert listed(reader, f"tags={tag}&{query}") == ["for all"]
    for other in (cast.member, cast.anonymous):
        assert listed(other, f"tags={tag}") == listed(other, f"tags={tag}&visibility=neq:private") == []
        assert other.set(artifact, description="mine").status_code == 403
    assert listed(cast.owner) == ["for all"]


def test_members_are_the_owners_to_see(cast: Cast) -> None:
    """The owner and admins see all, a member itself, everybody else none: not even that there are some."""
    artifact = cast.made("watched")
    cast.add(artifact, cast.projects["other"])
    path = f"/members/{artifact['id']}"
    both = sorted((cast.projects["member"], cast.projects["other"]))

    def members(actor: ActorClient, query: str = "") -> list[str]:
        answer = actor.request("GET", f"{path}{query}")
        assert answer.status_code == 200, answer.text
        return [member["project"] for member in answer.json()["members"]]

    assert members(cast.owner) == members(cast.admin) == both
    assert members(cast.owner, "?limit=1") == both[:1]
    assert members(cast.owner, f"?limit=1&marker={both[0]}") == both[1:]
    assert members(cast.member) == [cast.projects["member"]]
    own = cast.member.request("GET", f"{path}/{cast.projects['member']}").json()
    assert own["status"] == "pending"
    assert own["artifact"] == artifact["id"]
    public = cast.made("for all", "community")
    stranger = since(cast.api, "u:strangers:member")
    answers = [
        cast.member.request("GET", f"{path}/{cast.projects['other']}"),
        cast.decide(cast.member, artifact, "accepted", cast.projects["other"]),
        stranger.request("GET", path),
        stranger.request("GET", f"{path}/{cast.projects['member']}"),
        cast.try_add(stranger, artifact),
        cast.anonymous.request("GET", path),
        stranger.request("GET", f"/members/{public['id']}"),
        stranger.request("GET", f"/members/{MISSING}"),
        cast.owner.request("GET", f"{path}/nobody"),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert cast.decide(cast.owner, artifact, "accepted").status_code == 403


def test_only_what_is_shared_has_members(cast: Cast) -> None:
    """Others have none, and lose them: who shares again begins anew."""
    private = cast.owner.create("sample_artifact", name="private", string_required="x")
    assert cast.owner.set(private, visibility="shared").status_code == 403
    assert cast.try_add(cast.owner, private).status_code == 409
    artifact = cast.made("turned")
    assert cast.try_add(cast.owner, artifact).status_code == 409
    assert cast.try_add(cast.owner, artifact, cast.projects["owner"]).status_code == 400
    assert cast.owner.set(artifact, visibility="private").status_code == 200
    assert cast.member.get(artifact).status_code == 404
    assert cast.owner.set(artifact, visibility="shared").status_code == 200
    assert cast.member.get(artifact).status_code == 404
    assert cast.owner.request("GET", f"/members/{artifact['id']}").json()["members"] == []


def test_an_artifact_has_so_many_members(tmp_path: Any) -> None:
    """Beyond `[DEFAULT] max_members` the answer is 409; without a limit there is none."""
    with running(
        tmp_path,
        "[DEFAULT]\nmax_members = 1\nenabled_artifact_types = images, sample_artifact\n"
        "custom_artifact_types_modules = support.sample_types\n",
    ) as api:
        cast = Cast(api, iter(("one", "two", "three")).__next__)
        artifact = cast.made("few")
        refused = cast.try_add(cast.owner, artifact, "further")
        assert refused.status_code == 409
        assert "max_members" in refused.text


def test_older_requests_are_told_of_private_artifacts(cast: Cast) -> None:
    """What they know is what they see, and what they write back changes nothing."""
    for visibility in ("shared", "community"):
        artifact = cast.made(visibility, visibility)
        assert cast.old.show(artifact) == artifact | {"visibility": "private"}
        assert cast.old.set(artifact, visibility="private").json()["visibility"] == "private"
        assert cast.old.patch(artifact, {"op": "test", "path": "/visibility", "value": "private"}).status_code == 200
        assert cast.old.set(artifact, visibility="shared").status_code == 400
        assert cast.owner.show(artifact)["visibility"] == visibility
        assert cast.old.request("GET", f"/members/{artifact['id']}").status_code == 404
    assert sorted(cast.old.names("sample_artifact", "visibility=private")) == ["community", "shared"]
    for query in ("visibility=shared", "visibility=all", "member_status=all"):
        assert cast.old.request("GET", f"/artifacts/sample_artifact?{query}").status_code == 400
    for actor, wanted in (
        (cast.old, ["private", "public"]),
        (cast.owner, ["private", "shared", "community", "public"]),
    ):
        schema = actor.request("GET", "/schemas/sample_artifact").json()["schemas"]["sample_artifact"]
        assert schema["properties"]["visibility"]["enum"] == wanted


STEPS: Final = [
    (("private", "active", "shared"), 200),
    (("private", "active", "community"), 200),
    (("shared", "active", "community"), 200),
    (("community", "active", "shared"), 200),
    (("shared", "active", "private"), 200),
    (("community", "active", "private"), 200),
    (("shared", "deactivated", "private"), 200),
    (("shared", "deactivated", "shared"), 200),
    (("shared", "deactivated", "community"), 403),
    (("private", "deactivated", "shared"), 403),
    (("public", "active", "shared"), 403),
    (("public", "active", "private"), 403),
]


@pytest.mark.parametrize(("step", "expected"), STEPS)
def test_which_visibility_may_follow(cast: Cast, unique: Unique, step: tuple[str, str, str], expected: int) -> None:
    """Owners go to and fro between what is not public, while the artifact is active; publishing is for admins, for
    good.
    """
    before, status, after = step
    artifact = cast.made(unique(), before if before != "public" else "private")
    assert cast.owner.set(artifact, visibility="public").status_code == 403
    if before == "public":
        assert cast.admin.set(artifact, visibility="public").status_code == 200
    if status == "deactivated":
        assert cast.admin.set(artifact, status="deactivated").status_code == 200
    actor = cast.admin if before == "public" else cast.owner
    assert actor.set(artifact, visibility=after).status_code == expected


def test_what_is_published_needs_no_members(cast: Cast) -> None:
    """They are gone, and everybody sees it once."""
    artifact = cast.made("published")
    cast.decide(cast.member, artifact, "accepted")
    assert cast.admin.set(artifact, visibility="public").status_code == 200
    page = cast.member.page("sample_artifact", "name=published&member_status=all")
    assert page["total_count"] == len(page["artifacts"]) == 1
    assert cast.owner.request("GET", f"/members/{artifact['id']}").json()["members"] == []


def test_what_is_deactivated_stays_shared(cast: Cast) -> None:
    """Its members see it, and nobody but admins downloads it."""
    artifact = cast.made("withheld")
    cast.decide(cast.member, artifact, "accepted")
    cast.admin.set(artifact, status="deactivated")
    assert cast.member.show(artifact)["status"] == "deactivated"
    assert cast.member.download(artifact, "blob").status_code == 403
    assert listed(cast.member, "status=deactivated") == ["withheld"]


def test_what_is_deleted_is_shared_no_more(cast: Cast) -> None:
    """Members and their totals go with it."""
    artifact = cast.made("gone")
    cast.decide(cast.member, artifact, "accepted")
    assert cast.member.page("sample_artifact", "visibility=shared")["total_count"] == 1
    assert cast.owner.delete(artifact).status_code == 204
    assert cast.member.get(artifact).status_code == 404
    assert cast.member.page("sample_artifact", "visibility=shared")["total_count"] == 0


def test_changes_of_members_are_in_the_audit_log(cast: Cast) -> None:
    """Who shared what with whom, and what that decided."""
    artifact = cast.made("noted")
    cast.decide(cast.member, artifact, "rejected")
    cast.owner.request("DELETE", f"/members/{artifact['id']}/{cast.projects['member']}")
    found = [
        entry for entry in entries(cast.api) if entry["artifact"] == artifact["id"] and "member" in entry["action"]
    ]
    assert {(entry["action"], entry["project"], entry["target"], entry["detail"]["status"]) for entry in found} == {
        ("member.added", cast.projects["owner"], cast.projects["member"], "pending"),
        ("member.changed", cast.projects["member"], cast.projects["member"], "rejected"),
        ("member.removed", cast.projects["owner"], cast.projects["member"], "rejected"),
    }


def test_names_stay_unique_for_each_owner(cast: Cast) -> None:
    """What is shared or for everybody takes its name among its owner's artifacts, and among nobody else's."""
    for visibility in ("shared", "community"):
        cast.made(visibility, visibility)
        again = {"name": visibility, "string_required": "x"}
        assert cast.owner.try_create("sample_artifact", **again).status_code == 409
        assert cast.other.try_create("sample_artifact", **again).status_code == 201


@pytest.fixture(scope="module")
def origin() -> Any:
    with Origin() as server:
        server.put("/file?token=secret", b"external")
        yield server


def test_confidential_urls_stay_the_owners(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> None:
    """A member reads the bytes and sees the origin's host; by blob, folder, list and location."""
    with running(tmp_path_factory.mktemp("confidential"), ports=(origin.port,)) as api:
        cast = Cast(api, iter(("one", "two", "three")).__next__)
        artifact = cast.owner.create("images", name="i", disk_format="raw", container_format="bare")
        url = f"{origin.url('/file')}?token=secret"
        assert cast.owner.try_locate(artifact, "image", url, confidential=True).status_code == 200
        cast.owner.activate(artifact)
        cast.owner.set(artifact, visibility="shared")
        cast.add(artifact)
        cast.decide(cast.member, artifact, "accepted")
        assert cast.member.download(artifact, "image").content == b"external"
        location = cast.owner.request("GET", "/locations").json()["locations"][0]["id"]
        seen = [
            cast.member.get(artifact),
            cast.member.request("GET", "/artifacts/images"),
            cast.member.request("GET", "/artifacts/all"),
            cast.member.request("GET", f"/locations/{location}"),
        ]
        assert [answer.status_code for answer in seen] == [200] * len(seen)
        assert not [answer for answer in seen if "secret" in answer.text]
        assert "secret" in cast.owner.get(artifact).text
        assert cast.member.request("POST", f"/locations/{location}/checks").status_code == 403
        assert cast.member.request("GET", "/locations").json()["locations"] == []
        assert cast.other.request("GET", f"/locations/{location}").status_code == 404


STATES: Final = ("drafted", "private", "shared", "community", "public", "deactivated", "deleted")
DECISIONS: Final = (None, "pending", "accepted", "rejected")


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    made=st.lists(st.tuples(st.sampled_from(STATES), st.sampled_from(DECISIONS), st.booleans()), min_size=1, max_size=2)
)
def test_lists_and_single_reads_agree(api: Glare, unique: Unique, made: list[tuple[str, str | None, bool]]) -> None:
    """Whatever there is: the widest list shows exactly what can be got, a default list no more, and who gets an
    artifact reads its bytes unless they are taken down.
    """
    cast, tag = Cast(api, unique), unique()
    artifacts: list[tuple[Json, bool]] = []
    for number, (state, decision, withheld) in enumerate(made):
        content = unique().encode()
        artifact = cast.owner.create("sample_artifact", name=f"{tag} {number}", string_required="x", tags=[tag])
        artifact = cast.owner.upload(artifact, "blob", content)
        if state != "drafted":
            cast.owner.activate(artifact)
        if state in ("shared", "deactivated", "deleted"):
            cast.owner.set(artifact, visibility="shared")
            if decision is not None:
                cast.add(artifact)
                cast.decide(cast.member, artifact, decision)
        if state in ("community", "public"):
            cast.admin.set(artifact, visibility=state)
        if state == "deactivated":
            cast.admin.set(artifact, status="deactivated")
        if state == "deleted":
            cast.owner.delete(artifact)
        if withheld:
            digest = {"kind": "digest", "value": artifact["blob"]["sha256"], "reason": "r"}
            assert cast.admin.request("POST", "/takedowns", json=digest).status_code == 201
        artifacts.append((artifact, withheld))
    for actor in (cast.owner, cast.member, cast.other, cast.anonymous, cast.admin):
        got = {artifact["id"] for artifact, _ in artifacts if actor.get(artifact).status_code == 200}
        query = f"tags={tag}&visibility=all&member_status=all"
        for kind in ("all", "sample_artifact"):
            page = actor.page(kind, query)
            assert {artifact["id"] for artifact in page["artifacts"]} == got
            assert page["total_count"] == len(got)
            assert {artifact["id"] for artifact in actor.page(kind, f"tags={tag}")["artifacts"]} <= got
        walked = []
        for one in itertools.islice(pages(actor, f"/artifacts/all?{query}&limit=1"), 9):
            walked += one
        assert sorted(walked) == sorted(got)
        for artifact, withheld in artifacts:
            status = actor.download(artifact, "blob").status_code
            if artifact["id"] not in got:
                assert status == 404
            elif withheld:
                assert status in (403, 451)
            else:
                assert status == (200 if actor is cast.admin else actor_status(actor, artifact))


def actor_status(actor: ActorClient, artifact: Json) -> int:
    """What a download answers to who sees the artifact."""
    return 403 if actor.show(artifact)["status"] == "deactivated" else 200


def pages(actor: ActorClient, path: str | None) -> Any:
    while path is not None:
        page = actor.request("GET", path).json()
        yield [artifact["id"] for artifact in page["artifacts"]]
        path = page.get("next")


def test_a_blob_field_may_be_called_members(cast: Cast) -> None:
    """The paths of members are apart from those of blobs."""
    artifact = cast.made("apart")
    assert cast.owner.request("GET", f"{path_of(artifact)}/members").status_code == 400
