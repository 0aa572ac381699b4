"""The whole service in one process, spoken to through HTTP by named actors.

``with running(directory) as glare`` starts it; then ``glare.alice.create("images", name="cirros")`` makes an artifact,
and ``glare.bob.get(image)`` is what somebody else sees of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import func, select
from starlette.testclient import TestClient

from glare.app import build_services, create_application, prepare
from glare.db.tables import blobs, doomed_objects, outbound_leases, outbox, quota_usage, stored_objects
from glare.http.lanes import Lanes
from glare.http.transfers import Transfers
from glare.operations.services import Services
from glare.settings import Settings, Sources, load
from glare.stores.filesystem import MARKER
from support.databases import database_of
from support.origins.egress import resolve

PATCH = "application/json-patch+json"
LOCATION = "application/vnd+openstack.glare-custom-location+json"
BYTES = "application/octet-stream"

Json = dict[str, Any]

ACTORS: Mapping[str, str] = {
    "alice": "alice:wonderland:member",
    "bob": "bob:builders:member",
    "admin": "admin:cloud:admin",
    "projectless": "nobody:none:member",
}
"""Tokens of the test pipeline by name. The last one names no tenant, which makes its bearer anonymous."""


class ActorClient:
    """Somebody who talks to the service. Methods named after verbs insist on success and return what came."""

    def __init__(self, client: httpx2.Client, token: str | None) -> None:
        self._client = client
        self._headers = {"X-Auth-Token": token} if token is not None else {}

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send anything, and return whatever comes."""
        headers = {**self._headers, **options.pop("headers", {})}
        return self._client.request(method, path, headers=headers, follow_redirects=False, **options)

    def try_create(self, type_name: str, **fields: Any) -> httpx2.Response:
        return self.request("POST", f"/artifacts/{type_name}", json=fields)

    def create(self, type_name: str, **fields: Any) -> Json:
        """A new artifact."""
        return _document(self.try_create(type_name, **fields), 201)

    def get(self, artifact: Json, **options: Any) -> httpx2.Response:
        return self.request("GET", path_of(artifact), **options)

    def show(self, artifact: Json) -> Json:
        """The artifact as it is now."""
        return _document(self.get(artifact))

    def patch(self, artifact: Json, *operations: Json, **options: Any) -> httpx2.Response:
        headers = {"Content-Type": PATCH, **options.pop("headers", {})}
        return self.request(
            "PATCH", path_of(artifact), content=json.dumps(operations).encode(), headers=headers, **options
        )

    def change(self, artifact: Json, *operations: Json) -> Json:
        """The artifact after a patch that works."""
        return _document(self.patch(artifact, *operations))

    def set(self, artifact: Json, **fields: Any) -> httpx2.Response:
        """Replace whole fields."""
        return self.patch(
            artifact, *({"op": "replace", "path": f"/{name}", "value": value} for name, value in fields.items())
        )

    def activate(self, artifact: Json) -> Json:
        return _document(self.set(artifact, status="active"))

    def publish(self, artifact: Json) -> Json:
        return _document(self.set(artifact, visibility="public"))

    def try_upload(self, artifact: Json, path: str, data: Any, **options: Any) -> httpx2.Response:
        headers = {"Content-Type": BYTES, **options.pop("headers", {})}
        return self.request("PUT", f"{path_of(artifact)}/{path}", content=data, headers=headers, **options)

    def upload(self, artifact: Json, path: str, data: Any, **options: Any) -> Json:
        """The artifact after an upload that works."""
        return _document(self.try_upload(artifact, path, data, **options))

    def try_locate(self, artifact: Json, path: str, url: Any, **members: Any) -> httpx2.Response:
        body = json.dumps({"url": url, **members}).encode()
        return self.request("PUT", f"{path_of(artifact)}/{path}", content=body, headers={"Content-Type": LOCATION})

    def locate(self, artifact: Json, path: str, url: str, **members: Any) -> Json:
        """The artifact after an external location was recorded."""
        return _document(self.try_locate(artifact, path, url, **members))

    def download(self, artifact: Json, path: str, **headers: str) -> httpx2.Response:
        """GET of a blob; keyword arguments are headers, with ``_`` for ``-``."""
        wanted = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("GET", f"{path_of(artifact)}/{path}", headers=wanted)

    def delete(self, artifact: Json, **options: Any) -> httpx2.Response:
        return self.request("DELETE", path_of(artifact), **options)

    def page(self, type_name: str, query: str = "") -> Json:
        """A page."""
        return _document(self.request("GET", f"/artifacts/{type_name}{'?' + query if query else ''}"))

    def names(self, type_name: str, query: str = "") -> list[str]:
        """The names on a page."""
        return [artifact["name"] for artifact in self.page(type_name, query)["artifacts"]]


class Glare:
    """The service and its actors. `services` is for looking behind the API."""

    def __init__(self, settings: Settings, services: Services, client: TestClient) -> None:
        self.settings = settings
        self.services = services
        self.client = client
        self.alice, self.bob, self.admin, self.anonymous = (
            ActorClient(client, ACTORS[name]) for name in ("alice", "bob", "admin", "projectless")
        )
        self.stranger = ActorClient(client, None)

    def actor(self, token: str) -> ActorClient:
        """Somebody with this test token."""
        return ActorClient(self.client, token)

    @property
    def lanes(self) -> Lanes:
        """Where its requests are worked on. A test that takes a place keeps others waiting."""
        lanes: Lanes = self.client.app._application.lanes  # type: ignore[attr-defined]  # it is within
        return lanes

    @property
    def transfers(self) -> Transfers:
        """Bodies under way in it."""
        transfers: Transfers = self.client.app._application.transfers  # type: ignore[attr-defined]  # it is within
        return transfers

    def usage(self, project: str) -> tuple[int, int]:
        """Artifacts and bytes that a project uses, of all types."""
        with self.services.db.read() as connection:
            row = connection.execute(
                select(quota_usage.c.artifacts, quota_usage.c.bytes).where(
                    quota_usage.c.project == project, quota_usage.c.type_name == ""
                )
            ).first()
        return (row.artifacts, row.bytes) if row else (0, 0)

    def events(self) -> list[str]:
        """The types of recorded events, in order."""
        with self.services.db.read() as connection:
            return list(connection.execute(select(outbox.c.event_type).order_by(outbox.c.id)).scalars())

    def objects(self) -> list[Path]:
        """Files of the store, temporaries included, without its marker."""
        directory = self.settings.glance_store.filesystem_store_datadir
        return sorted(path for path in directory.rglob("*") if path.is_file() and path.name != MARKER)

    def leftovers(self) -> dict[str, Any]:
        """What an operation should have cleaned up and has not; empty when all is well."""
        with self.services.db.read() as connection:
            attempts = connection.execute(select(func.count()).where(blobs.c.attempt_id.is_not(None))).scalar_one()
            doomed = connection.execute(select(func.count()).select_from(doomed_objects)).scalar_one()
            leases = connection.execute(select(func.count()).select_from(outbound_leases)).scalar_one()
            known = set(connection.execute(select(blobs.c.object).where(blobs.c.object.is_not(None))).scalars())
            stored = connection.execute(select(func.coalesce(func.sum(blobs.c.size), 0)).where(blobs.c.external == 0))
            used = connection.execute(
                select(func.coalesce(func.sum(quota_usage.c.bytes), 0)).where(quota_usage.c.type_name == "")
            )
            difference = used.scalar_one() - stored.scalar_one()
            unfinished = connection.execute(select(func.count()).where(stored_objects.c.object.is_(None))).scalar_one()
        files = {path.name for path in self.objects()} | {
            entry.name for entry in self.services.stores["database"].entries()
        }
        found = {
            "attempts": attempts,
            "doomed objects": doomed,
            "outbound leases": leases,
            "files without a blob": sorted(files - known),
            "blobs without a file": sorted(known - files),
            "unfinished objects in the database": unfinished,
            "bytes of quota": difference,
        }
        return {name: value for name, value in found.items() if value}


def configuration(directory: Path, text: str = "") -> Settings:
    """Settings of a service whose state is below `directory`, with the options in `text` on top."""
    path = directory / "glare.conf"
    path.write_text(
        f"[database]\nconnection = {database_of(directory)}\n"
        f"[DEFAULT]\nstate_dir = {directory / 'state'}\n"
        "enabled_artifact_types = images, heat_templates, heat_environments, murano_packages, tosca_templates, "
        "secrets, "
        "sample_artifact, hooks_artifact, non_nullable_fields_artifact, unpacking_artifact, crate_artifact\n"
        "custom_artifact_types_modules = support.sample_types\n"
        "[identity]\npipeline = test_token\n"
        "[api]\nprobe_age = 0 s\n"
        "[store]\nfree_space_reserve = 0\nremoval_delay = 0\n"
        "[locations]\nallowed_networks = 127.0.0.0/8\nrefusal_floor = 0.05\n" + text
    )
    return load(Sources(files=(path,), environment=False)).settings


@contextmanager
def running(directory: Path, text: str = "", *, ports: tuple[int, ...] = (), worker: bool = False) -> Iterator[Glare]:
    """A service on an empty database. `ports` are opened for origins on loopback; `text` adds to its configuration."""
    settings = configuration(directory, text)
    if ports:
        settings = replace(settings, locations=replace(settings.locations, allowed_ports=ports))
    settings.server.state_dir.mkdir(parents=True, exist_ok=True)
    prepare(settings)
    services = build_services(settings, resolve=resolve)
    with TestClient(
        create_application(settings, with_worker=worker, services=services),
        raise_server_exceptions=False,
        client=("127.0.0.1", 50000),
    ) as client:
        yield Glare(settings, services, client)


def path_of(artifact: Json) -> str:
    """The path of an artifact that came from the service."""
    return f"/artifacts/{artifact['type_name']}/{artifact['id']}"


def _document(response: httpx2.Response, status: int = 200) -> Json:
    assert response.status_code == status, f"{response.status_code}: {response.text[:2000]}"
    document: Json = response.json()
    if "id" in document and "type_name" not in document:
        document["type_name"] = response.request.url.path.split("/")[2]
    return document
