"""The audit log: every change leaves an entry in its own transaction, no secret is in it, and admins read it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select, text
from starlette.routing import Route

from glare.db.tables import audit
from glare.egress.cancellation import Cancellation
from glare.http.call import Endpoint
from glare.http.routes import API, PUBLIC
from glare.operations.locations.jobs import do_next
from glare.operations.upkeep.sweep import sweep
from support.audit import actions, entries
from support.origins.origin import Origin
from support.runs.clock import Clock
from support.service import Glare, Json, path_of, running

SECRETS = ("hunter2", "s3cr3tsignature", "wh1sper", "c0nfidential")
SIGNED = "/file?X-Amz-Signature=s3cr3tsignature"
BLOB = "/artifacts/{type_name}/{id}/{blob_path:path}"
ARTIFACT = "/artifacts/{type_name}/{id}"


class World:
    """A service with what the changes below need."""

    def __init__(self, glare: Glare, origin: Origin) -> None:
        self.glare = glare
        self.origin = origin
        self._numbers = itertools.count()
        self.takedown = ""

    def draft(self) -> Json:
        return self.glare.alice.create("sample_artifact", name=f"draft {next(self._numbers)}", string_required="x")

    def located(self) -> Json:
        artifact = self.draft()
        return self.glare.alice.locate(artifact, "blob", self.origin.url(SIGNED), md5=None)

    def ask_for(self, artifact: Json, what: str) -> httpx2.Response:
        location = self.glare.alice.request("GET", f"/locations?artifact={artifact['id']}").json()["locations"][0]
        return self.glare.alice.request("POST", f"/locations/{location['id']}/{what}")

    def take_down(self, digit: str) -> httpx2.Response:
        body = {"kind": "digest", "value": digit * 64, "reason": "hunter2"}
        return self.glare.admin.request("POST", "/takedowns", json=body)

    def blocking(self) -> Json:
        """Something is taken down; no artifact is concerned."""
        self.takedown = self.take_down("3").json()["id"]
        return {}

    def give_back(self) -> httpx2.Response:
        return self.glare.admin.request("DELETE", f"/takedowns/{self.takedown}")


@pytest.fixture
def world(glare: Glare, origin: Origin) -> Iterator[World]:
    origin.put(SIGNED, b"data")
    yield World(glare, origin)
    while do_next(glare.services, Cancellation()) is not None:
        pass


Change = Callable[[World, Json], httpx2.Response]

CHANGES: dict[tuple[str, str], list[tuple[str, Callable[[World], Json], Change, list[str]]]] = {
    ("POST", "/artifacts/{type_name}"): [
        ("create", lambda world: {}, lambda world, _: world.glare.alice.try_create("images", name="a"), ["create"]),
    ],
    ("PATCH", ARTIFACT): [
        ("a field", World.draft, lambda world, it: world.glare.alice.set(it, string_mutable="wh1sper"), ["update"]),
        (
            "the life cycle",
            World.draft,
            lambda world, it: world.glare.admin.set(it, status="active", visibility="public"),
            ["update", "activate", "publish"],
        ),
    ],
    ("DELETE", ARTIFACT): [
        ("delete", World.draft, lambda world, it: world.glare.alice.delete(it), ["delete"]),
    ],
    ("PUT", BLOB): [
        ("data", World.draft, lambda world, it: world.glare.alice.try_upload(it, "blob", b"wh1sper"), ["upload"]),
        (
            "a location",
            World.draft,
            lambda world, it: world.glare.alice.try_locate(it, "blob", world.origin.url(SIGNED), md5=None),
            ["set_location"],
        ),
    ],
    ("DELETE", BLOB): [
        (
            "a location",
            World.located,
            lambda world, it: world.glare.alice.request("DELETE", f"{path_of(it)}/blob"),
            ["delete_blob"],
        ),
    ],
    ("POST", "/locations/{location_id}/checks"): [
        ("a check", World.located, lambda world, it: world.ask_for(it, "checks"), ["check_location"]),
    ],
    ("POST", "/locations/{location_id}/promotion"): [
        ("a promotion", World.located, lambda world, it: world.ask_for(it, "promotion"), ["promote"]),
    ],
    ("PUT", "/quotas"): [
        (
            "quotas",
            lambda world: {},
            lambda world, _: world.glare.admin.request(
                "PUT",
                "/quotas",
                json=[
                    {
                        "project_id": "builders",
                        "project_quotas": [{"quota_name": "max_uploaded_data", "quota_value": 5}],
                    }
                ],
            ),
            ["set_quotas"],
        ),
    ],
    ("POST", "/takedowns"): [
        ("a takedown", lambda world: {}, lambda world, _: world.take_down("2"), ["takedown_create"]),
    ],
    ("DELETE", "/takedowns/{takedown_id}"): [
        ("a takedown", World.blocking, lambda world, _: world.give_back(), ["takedown_delete"]),
    ],
}
"""For each route that changes something: what it needs, one way to use it, and the entries that it leaves."""

ELSEWHERE = ("/subscriptions", "/tokens", "/publishers", "/members", "/links")
"""These change no artifact: test_subscriptions_audit.py, test_tokens_api.py, test_oidc_api.py, test_sharing_api.py and
test_links_api.py say what they leave."""

MUTATING = sorted(
    (method, route.path)
    for route in (*PUBLIC, *API)
    if isinstance(route, Route) and isinstance(route.endpoint, Endpoint)
    for method in route.endpoint.allow.split(", ")
    if method not in ("", "GET", "HEAD") and not route.path.startswith(ELSEWHERE)
)


def test_every_route_that_changes_something_is_tried_below() -> None:
    """A new route has to say here what it leaves in the audit log."""
    assert sorted(CHANGES) == MUTATING
    assert len(API) + len(PUBLIC) == sum(1 for route in (*API, *PUBLIC) if isinstance(route, Route))


CASES = [(route, *case) for route in MUTATING for case in CHANGES.get(route, [])]


@pytest.mark.parametrize(
    ("prepare", "change", "wanted"),
    [case[2:] for case in CASES],
    ids=[f"{method} {path}: {name}" for (method, path), name, *_ in CASES],
)
def test_a_change_leaves_its_entries(
    world: World, prepare: Callable[[World], Json], change: Change, wanted: list[str]
) -> None:
    """Who, when, in which request and what: for every way to change something, and once."""
    artifact = prepare(world)
    before = len(entries(world.glare))
    answer = change(world, artifact)
    assert answer.is_success, answer.text
    found = list(reversed(entries(world.glare)))[before:]
    assert [entry["action"] for entry in found] == wanted
    for entry in found:
        assert entry["request_id"] == answer.headers["x-openstack-request-id"]
        assert entry["outcome"] == "done"
        assert (entry["user"], entry["project"], entry["roles"]) in (
            ("alice", "wonderland", ["member"]),
            ("admin", "cloud", ["admin"]),
        )
        if artifact:
            assert (entry["artifact"], entry["type_name"]) == (artifact["id"], artifact["type_name"])


@pytest.mark.parametrize(
    ("prepare", "change"),
    [(case[2], case[3]) for case in CASES],
    ids=[f"{method} {path}: {name}" for (method, path), name, *_ in CASES],
)
def test_a_change_without_its_entry_does_not_happen(
    world: World, prepare: Callable[[World], Json], change: Change
) -> None:
    """The entry is written in the transaction of the change: where it cannot be, nothing has changed."""
    artifact = prepare(world)
    glare = world.glare
    state = (artifact and glare.alice.show(artifact), glare.events(), glare.usage("wonderland"))
    with glare.services.db.write() as connection:
        connection.execute(text("ALTER TABLE audit RENAME TO elsewhere"))
    assert change(world, artifact).status_code == 500
    with glare.services.db.write() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO audit"))
    document = artifact and glare.alice.show(artifact)
    if artifact:
        # An attempt that was undone has counted up the revision and the time, and nothing else.
        assert {**document, "updated_at": ""} == {**state[0], "updated_at": ""}
    assert (glare.events(), glare.usage("wonderland")) == state[1:]


def test_details_say_what_changed_and_no_secret(world: World) -> None:
    """Of fields the names, of public ones the values too; of data size and digest; of a location the host. Never
    more.
    """
    glare, alice = world.glare, world.glare.alice
    artifact = alice.create("sample_artifact", name="old", string_required="wh1sper")
    alice.change(
        artifact,
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "replace", "path": "/description", "value": "c0nfidential"},
        {"op": "add", "path": "/metadata/password", "value": "hunter2"},
    )
    alice.upload(artifact, "dict_of_blobs/key", b"wh1sper")
    alice.locate(artifact, "blob", world.origin.url(SIGNED), md5=None)
    secret = alice.create("secrets", name="key", algorithm="c0nfidential")
    alice.upload(secret, "payload", b"hunter2")
    alice.set(secret, algorithm="wh1sper")
    signed = world.origin.url(SIGNED).replace("http://", "http://user:hunter2@")
    alice.try_locate(artifact, "small_blob", signed, md5=None)
    alice.set(artifact, link1=signed)
    glare.bob.set(artifact, description="hunter2")
    details = {(entry["action"], entry["type_name"]): entry for entry in entries(glare)}
    assert details["update", "sample_artifact"]["detail"] == {
        "fields": ["description", "metadata", "name"],
        "changes": {"name": ["old", "new"]},
    }
    assert details["update", "secrets"]["detail"] == {"fields": ["algorithm"], "changes": {}}
    uploaded = details["upload", "sample_artifact"]
    assert uploaded["target"] == "dict_of_blobs/key"
    assert uploaded["detail"].keys() == {"size", "sha256"}
    assert details["set_location", "sample_artifact"]["detail"]["host"] == "127.0.0.1"
    with glare.services.db.read() as connection:
        everything = str([tuple(row) for row in connection.execute(select(audit))])
    assert "sample_artifact" in everything
    assert [secret for secret in SECRETS if secret in everything] == []


def test_quotas_are_told_before_and_after(glare: Glare) -> None:
    """An entry for each project, with its quotas as they were and as they are."""

    def put(value: int) -> None:
        record = {"quota_name": "max_artifact_number", "quota_value": value}
        body = [{"project_id": project, "project_quotas": [record]} for project in ("p", "q")]
        assert glare.admin.request("PUT", "/quotas", json=body).is_success

    put(1)
    put(2)
    found = entries(glare, "action=set_quotas")
    assert [entry["target"] for entry in found] == ["q", "p", "q", "p"]
    assert found[0]["detail"] == {"before": {"max_artifact_number": 1}, "after": {"max_artifact_number": 2}}


def test_what_changes_nothing_leaves_nothing(glare: Glare) -> None:
    """A patch without effect, a failed upload and a read are no changes."""
    artifact = glare.alice.create("images", name="a")
    glare.alice.set(artifact, name="a")
    assert glare.alice.try_upload(artifact, "image", b"x", headers={"Content-MD5": "0" * 32}).status_code == 400
    glare.alice.page("images")
    assert actions(glare) == ["create"]


def test_the_sweeps_own_removal_is_told(tmp_path: Path) -> None:
    """An artifact whose deletion was delayed has two entries: of who deleted it, and of the service that removed it."""
    with running(tmp_path, "[DEFAULT]\ndelayed_delete = true\n") as glare:
        clock = Clock(glare)
        artifact = glare.alice.create("images", name="a")
        assert glare.alice.delete(artifact).status_code == 204
        clock.forward(1)
        sweep(glare.services)
        assert [(entry["action"], entry["user"]) for entry in entries(glare)] == [
            ("scrub", None),
            ("delete", "alice"),
            ("create", "alice"),
        ]
