"""Every persona at every path: who may do what by the default rules, as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from starlette.testclient import TestClient

from glare.app import create_application
from glare.db.callers.publishers import add as add_publisher
from glare.domain.actor import ANONYMOUS, Actor
from glare.domain.publisher import Publisher
from glare.http.routes import API
from glare.identity.pipeline import Pipeline
from support.identities import Asked
from support.origins.crooked import Crooked, honest
from support.service import BYTES, LOCATION, PATCH, ActorClient, Glare, Json, running

pytestmark = pytest.mark.sqlite  # Who may do what is decided before a database is asked.


def member(project: str | None, *roles: str, **more: Any) -> Actor:
    return Actor(f"user-{project}", project, frozenset(roles), **more)


PERSONAS: Final[Mapping[str, Actor]] = {
    "reader": member("p1", "reader"),
    "member": member("p1", "member", "reader"),
    "without roles": member("p1"),
    "manager": member("p1", "manager", "member", "reader"),
    "served": member("p1", "member", "reader", service_roles=frozenset({"service"})),
    "service": member("services", "service"),
    "admin": member("cloud", "admin", "manager", "member", "reader"),
    "system reader": member(None, "reader", system=True),
    "system admin": member(None, "admin", "reader", system=True),
    "other member": member("p2", "member", "reader"),
    "other manager": member("p2", "manager", "member", "reader"),
    "without project": member(None),
    "anonymous": ANONYMOUS,
}

ALL: Final = frozenset(PERSONAS)
OURS: Final = frozenset({"reader", "member", "without roles", "manager", "served"})
WRITERS: Final = OURS - {"reader"}
ADMINS: Final = frozenset({"admin", "system admin"})
SEERS: Final = ADMINS | {"system reader"}
SHARERS: Final = frozenset({"other member", "other manager"})
"""Those of a project that an artifact is shared with."""
WITH_PROJECT: Final = OURS | {"service", "admin", "other member", "other manager"}


@dataclass(frozen=True)
class Row:
    """A request on what project p1 has, and the personas that the service lets do it. The others are told that it is
    forbidden, or that there is nothing.
    """

    method: str
    route: str
    allowed: frozenset[str]
    path: str = ""
    json: Any = None
    content: bytes | None = None
    media_type: str | None = None

    def send(self, client: ActorClient, names: Mapping[str, str]) -> Any:
        headers = {"OpenStack-API-Version": "artifact latest"}
        if self.media_type:
            headers["Content-Type"] = self.media_type
        path = (self.path or self.route).format_map(names)
        if self.json is not None:
            document = json.loads(json.dumps(self.json).replace("{id}", names["id"]))
            return client.request(self.method, path, headers=headers, json=document)
        content = self.content and self.content.replace(b"ORIGIN", names["origin"].encode())
        return client.request(self.method, path, headers=headers, content=content)


ARTIFACT = "/artifacts/{type_name}/{id}"
BLOB = "/artifacts/{type_name}/{id}/{blob_path:path}"
MEMBERS = "/members/{artifact_id}"
MEMBER = MEMBERS + "/{project}"
SUBSCRIPTION = "/subscriptions/{subscription}"
DELIVERY = SUBSCRIPTION + "/deliveries/{delivery}"
TAKEN = {"kind": "host", "value": "taken.example", "reason": "other"}
QUOTAS = [{"project_id": "p9", "project_quotas": [{"quota_name": "max_artifact_number", "quota_value": 1}]}]
BUILDS: Final[Any] = {"issuer": "github", "claims": {"repository_id": "7"}}
HOOK = {"target": "https://hook.example/x"}

TABLE: Final = (
    Row("GET", "/schemas", ALL),
    Row("GET", "/schemas/{type_name}", ALL),
    Row("GET", "/artifacts/{type_name}", ALL),
    Row("POST", "/artifacts/{type_name}", WITH_PROJECT - {"reader"}, json={"name": "new"}),
    Row("GET", ARTIFACT, OURS | SEERS),
    Row(
        "PATCH",
        ARTIFACT,
        WRITERS | ADMINS,
        content=b'[{"op": "replace", "path": "/description", "value": "changed"}]',
        media_type=PATCH,
    ),
    Row("DELETE", ARTIFACT, WRITERS | ADMINS, path="/artifacts/images/{doomed}"),
    Row("GET", BLOB, OURS | ADMINS, path="/artifacts/images/{id}/image"),
    Row("PUT", BLOB, WRITERS | ADMINS, path="/artifacts/images/{empty}/image", content=b"data", media_type=BYTES),
    Row(
        "PUT",
        BLOB,
        WRITERS | ADMINS,
        path="/artifacts/images/{unlocated}/image",
        content=b'{"url": "ORIGIN"}',
        media_type=LOCATION,
    ),
    Row("DELETE", BLOB, WRITERS | ADMINS, path="/artifacts/images/{located}/image"),
    Row("GET", MEMBERS, OURS | ADMINS | SHARERS, path="/members/{shared}"),
    Row("POST", MEMBERS, WRITERS | ADMINS, path="/members/{shared}", json={"project": "p7"}),
    Row("GET", MEMBER, OURS | ADMINS | SHARERS, path="/members/{shared}/p2"),
    Row("PUT", MEMBER, ADMINS | SHARERS, path="/members/{shared}/p2", json={"status": "accepted"}),
    Row("DELETE", MEMBER, WRITERS | ADMINS, path="/members/{shared}/p2"),
    Row("GET", "/quotas", SEERS),
    Row(
        "PUT", "/quotas", ADMINS, json=[{"project_id": "p9", "project_quotas": [{"quota_name": "x", "quota_value": 1}]}]
    ),
    Row("GET", "/project-quotas", WITH_PROJECT),
    Row("GET", "/project-quotas/{project}", OURS | SEERS),
    Row("GET", "/locations", WITH_PROJECT | SEERS),
    Row("GET", "/locations/{location_id}", OURS | SEERS),
    Row("GET", "/locations/{location_id}/checks", OURS | SEERS),
    Row("POST", "/locations/{location_id}/checks", WRITERS | ADMINS),
    Row("GET", "/locations/{location_id}/promotion", OURS | SEERS),
    Row("POST", "/locations/{location_id}/promotion", WRITERS | ADMINS),
    Row("GET", "/links", WITH_PROJECT),
    Row("POST", "/links", (WRITERS | ADMINS) - {"served"}, json={"artifact": "{id}", "blob": "image"}),
    Row("POST", "/links/revocation", WITH_PROJECT - {"reader"}, json={}),
    Row("GET", "/links/{link}", OURS | SEERS),
    Row("DELETE", "/links/{link}", WRITERS | ADMINS),
    Row("GET", "/takedowns", SEERS),
    Row("POST", "/takedowns", ADMINS, json=TAKEN),
    Row("GET", "/takedowns/{takedown_id}", SEERS),
    Row("DELETE", "/takedowns/{takedown_id}", ADMINS),
    Row("GET", "/publishers", WITH_PROJECT),
    Row("POST", "/publishers", frozenset({"manager", "other manager", "admin"}), json=BUILDS),
    Row("GET", "/publishers/{publisher}", OURS | SEERS),
    Row("DELETE", "/publishers/{publisher}", frozenset({"manager"}) | ADMINS),
    Row("GET", "/audit", SEERS),
    Row("GET", "/tokens", WITH_PROJECT),
    Row("POST", "/tokens", WITH_PROJECT - {"reader", "served"}, json={}),
    Row("POST", "/tokens/revocation", WRITERS | {"admin", "other manager"}, json={"user": "user-p1"}),
    Row("GET", "/tokens/{token}", OURS | {"admin"}),
    Row("DELETE", "/tokens/{token}", WRITERS | {"admin"}),
    Row("GET", "/subscriptions", WITH_PROJECT),
    Row("POST", "/subscriptions", WITH_PROJECT - {"reader"}, json=HOOK),
    Row("GET", SUBSCRIPTION, OURS | {"admin"}),
    Row("PATCH", SUBSCRIPTION, WRITERS | {"admin"}, json={"enabled": False}),
    Row("DELETE", SUBSCRIPTION, WRITERS | {"admin"}),
    Row("POST", SUBSCRIPTION + "/secret", WRITERS | {"admin"}, json={}),
    Row("POST", SUBSCRIPTION + "/confirmation", WRITERS | {"admin"}, json={"token": "x"}),
    Row("GET", SUBSCRIPTION + "/deliveries", OURS | {"admin"}),
    Row("GET", DELIVERY, frozenset(), path=SUBSCRIPTION + "/deliveries/none"),
    Row("POST", DELIVERY + "/redelivery", frozenset(), path=SUBSCRIPTION + "/deliveries/none/redelivery"),
)


class World:
    """What project p1 has, in one service; and the personas as its callers."""

    def __init__(self, glare: Glare, client: TestClient, origin: str) -> None:
        self.callers = {name: ActorClient(client, name) for name in PERSONAS}
        owner = self.callers["member"]
        made = {name: owner.create("images", name=name)["id"] for name in ("id", "doomed", "empty", "unlocated")}
        artifact = {"type_name": "images", "id": made["id"]}
        owner.upload(artifact, "image", b"bytes")
        located = owner.create("images", name="located")
        owner.locate(located, "image", origin)
        admin = self.callers["admin"]
        latest = {"OpenStack-API-Version": "artifact latest"}
        [location] = owner.request("GET", "/locations", headers=latest).json()["locations"]
        subscription = owner.request("POST", "/subscriptions", json=HOOK, headers=latest)
        assert subscription.status_code == 201, subscription.text
        promotion = owner.request("POST", f"/locations/{location['id']}/promotion", headers=latest)
        assert promotion.status_code == 202, promotion.text
        link = owner.request("POST", "/links", json={"artifact": made["id"], "blob": "image"}, headers=latest)
        assert link.status_code == 201, link.text
        takedown = admin.request("POST", "/takedowns", json={**TAKEN, "value": "first.example"}, headers=latest)
        assert takedown.status_code == 201, takedown.text
        builds = Publisher("pub", "p1", "github", BUILDS["claims"], "a" * 64, ("member",), None, None, "", 1, None)
        assert glare.services.db.transact(lambda connection: add_publisher(connection, builds, 9))
        token = owner.request("POST", "/tokens", json={}, headers=latest)
        assert token.status_code == 201, token.text
        self.names: Json = {
            "publisher": builds.id,
            **made,
            "shared": self._shared(owner, latest),
            "type_name": "images",
            "located": located["id"],
            "location_id": location["id"],
            "link": link.json()["id"],
            "project": "p1",
            "subscription": subscription.json()["id"],
            "takedown_id": takedown.json()["id"],
            "token": token.json()["id"],
            "origin": origin,
        }

    def _shared(self, owner: ActorClient, latest: Mapping[str, str]) -> str:
        artifact = owner.create("images", name="shared", disk_format="raw", container_format="bare")
        owner.upload(artifact, "image", b"bytes")
        owner.activate(artifact)
        step = {"op": "replace", "path": "/visibility", "value": "shared"}
        assert owner.patch(artifact, step, headers=latest).status_code == 200
        members = f"/members/{artifact['id']}"
        assert owner.request("POST", members, json={"project": "p2"}, headers=latest).status_code == 201
        return str(artifact["id"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Crooked(honest(b"elsewhere")) as origin, running(tmp_path, ports=(origin.port,)) as glare:
        identity = Pipeline([Asked("", PERSONAS.__getitem__)])
        application = create_application(glare.settings, with_worker=False, services=glare.services, identity=identity)
        yield World(glare, TestClient(application, raise_server_exceptions=False), origin.url)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.method} {row.path or row.route}")
def test_a_request_is_for_the_personas_of_the_table(world: World, row: Row) -> None:
    """Who is not in the row is refused, and whoever is in it is not. The refused come first: they leave things as they
    are.
    """
    for name in sorted(ALL - row.allowed):
        answer = row.send(world.callers[name], world.names)
        refusals = (401, 403, 404) if name == "anonymous" else (403, 404)
        assert answer.status_code in refusals, f"{name}: {answer.status_code} {answer.text}"
    reading = row.method == "GET"
    for name in sorted(row.allowed):
        answer = row.send(world.callers[name], world.names)
        wrong_token = "Member 'token' is not the one" in answer.text  # Nobody of these knows it.
        assert answer.status_code not in (401, 403) or wrong_token, f"{name}: {answer.status_code} {answer.text}"
        if reading:
            assert answer.status_code in (200, 204), f"{name}: {answer.status_code} {answer.text}"
        elif name == min(row.allowed):
            assert answer.status_code < 500, answer.text
            assert answer.status_code != 404, answer.text


def test_every_path_is_in_the_table() -> None:
    """A path that is added says whom it is for."""
    routes = {
        (method, route.path)  # type: ignore[attr-defined]  # all of them are routes
        for route in API
        for method in route.endpoint.handlers  # type: ignore[attr-defined]  # whose app is an endpoint
    }
    assert {(row.method, row.route) for row in TABLE} == routes
