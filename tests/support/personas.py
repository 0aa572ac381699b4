"""Every persona at every path: who may do what by the default rules, as a table, and a service to try it on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.testclient import TestClient

from glare.app import create_application
from glare.db.callers.publishers import add as add_publisher
from glare.domain.actor import ANONYMOUS, Actor
from glare.domain.publisher import Publisher
from glare.identity.base import Identity
from glare.identity.pipeline import Pipeline
from support.identities import Asked
from support.origins.crooked import Crooked, honest
from support.service import BYTES, LOCATION, PATCH, ActorClient, Glare, Json, running


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
            text = json.dumps(self.json)
            document = json.loads(text.replace("{id}", names["id"]).replace("{user}", names["user"]))
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
    Row("GET", MEMBER, OURS | ADMINS | SHARERS, path="/members/{shared}/{other}"),
    Row("PUT", MEMBER, ADMINS | SHARERS, path="/members/{shared}/{other}", json={"status": "accepted"}),
    Row("DELETE", MEMBER, WRITERS | ADMINS, path="/members/{shared}/{other}"),
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
    Row("POST", "/tokens/revocation", WRITERS | {"admin", "other manager"}, json={"user": "{user}"}),
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


Fewer = Mapping[tuple[str, str], frozenset[str]]
_NONE: Final[Fewer] = {}


class World:
    """What project p1 has, in one service; and the personas as its callers."""

    def __init__(self, glare: Glare, origin: str, personas: Mapping[str, Actor]) -> None:
        self.glare = glare
        self.personas = personas
        client = self.client_of(Pipeline([Asked("", personas.__getitem__)]))
        self.callers = {name: ActorClient(client, name) for name in personas}
        mine, other = personas["member"], personas["other member"]
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
        builds = Publisher(
            "pub", mine.project or "", "github", BUILDS["claims"], "a" * 64, ("member",), None, None, "", 1, None
        )
        assert glare.services.db.transact(lambda connection: add_publisher(connection, builds, 9))
        token = owner.request("POST", "/tokens", json={}, headers=latest)
        assert token.status_code == 201, token.text
        self.names: Json = {
            "publisher": builds.id,
            **made,
            "shared": self._shared(owner, latest, other),
            "type_name": "images",
            "located": located["id"],
            "location_id": location["id"],
            "link": link.json()["id"],
            "project": mine.project,
            "subscription": subscription.json()["id"],
            "takedown_id": takedown.json()["id"],
            "token": token.json()["id"],
            "user": mine.user,
            "other": other.project,
            "origin": origin,
        }

    def client_of(self, identity: Identity) -> TestClient:
        """The same service, which knows its callers by this."""
        application = create_application(
            self.glare.settings, with_worker=False, services=self.glare.services, identity=identity
        )
        return TestClient(application, raise_server_exceptions=False, client=("127.0.0.1", 50000))

    def caller(self, identity: Identity, headers: Mapping[str, str]) -> ActorClient:
        """Whoever sends these headers to a service that knows its callers by this."""
        client = self.client_of(identity)
        client.headers.update(headers)
        return ActorClient(client, None)

    def _shared(self, owner: ActorClient, latest: Mapping[str, str], other: Actor) -> str:
        artifact = owner.create("images", name="shared", disk_format="raw", container_format="bare")
        owner.upload(artifact, "image", b"bytes")
        owner.activate(artifact)
        step = {"op": "replace", "path": "/visibility", "value": "shared"}
        assert owner.patch(artifact, step, headers=latest).status_code == 200
        members = f"/members/{artifact['id']}"
        assert owner.request("POST", members, json={"project": other.project}, headers=latest).status_code == 201
        return str(artifact["id"])


@contextmanager
def peopled(directory: Path, personas: Mapping[str, Actor] = PERSONAS) -> Iterator[World]:
    """A service, and what it has for the rows of the table, until the block ends."""
    with Crooked(honest(b"elsewhere")) as origin, running(directory, ports=(origin.port,)) as glare:
        yield World(glare, origin.url, personas)


def refusals(name: str) -> tuple[int, ...]:
    """The codes with which this persona may be refused."""
    return (401, 403, 404) if name == "anonymous" else (403, 404)


def judge(world: World, caller: ActorClient, persona: str, fewer: Fewer = _NONE) -> None:
    """Send every request of the table as this persona: those that it may not send first, and what removes things last,
    so that each finds what it is about. `fewer` are who may send some of them, by method and route, where that is not
    all whom the table names.
    """

    def allowed(row: Row) -> bool:
        return persona in fewer.get((row.method, row.route), row.allowed)

    for row in sorted(TABLE, key=lambda row: (allowed(row), _removes(row), row.method != "GET")):
        answer = row.send(caller, world.names)
        said = f"{row.method} {row.path or row.route}: {answer.status_code} {answer.text}"
        if not allowed(row):
            assert answer.status_code in refusals(persona), said
        elif row.method == "GET":
            assert answer.status_code in (200, 204), said
        else:
            wrong_token = "Member 'token' is not the one" in answer.text  # Nobody of these knows it.
            assert wrong_token or answer.status_code not in (401, 403, 404), said
            assert answer.status_code < 500, said


def _removes(row: Row) -> int:
    """0 for what leaves things there, 1 for what removes one, 2 for all of a kind."""
    return 2 if row.route.endswith("/revocation") else int(row.method == "DELETE")
