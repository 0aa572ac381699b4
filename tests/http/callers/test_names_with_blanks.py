"""Names of projects and users with a space at an end, which MariaDB takes for the same names without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from starlette.testclient import TestClient

from glare.app import create_application
from glare.domain.actor import Actor
from glare.identity.pipeline import Pipeline
from support.identities import Asked
from support.service import ActorClient, running

LATEST: Final = {"OpenStack-API-Version": "artifact latest"}
ROLES: Final = frozenset({"member", "manager"})
CALLERS: Final = {
    "owner": Actor("ann", "p1", ROLES),
    "user": Actor("ann ", "p1", ROLES - {"manager"}),
    "project": Actor("eve", "p1 ", ROLES),
    "before": Actor("eve", " p1", ROLES),
    "other": Actor("eve", "p2", ROLES),
}


@pytest.fixture
def callers(tmp_path: Path) -> Iterator[dict[str, ActorClient]]:
    with running(tmp_path) as glare:
        identity = Pipeline([Asked("", CALLERS.__getitem__)])
        application = create_application(glare.settings, with_worker=False, services=glare.services, identity=identity)
        client = TestClient(application, raise_server_exceptions=False)
        yield {name: ActorClient(client, name) for name in CALLERS}


def test_nobody_is_taken_for_whom_they_are_nearly_called_as(callers: dict[str, ActorClient]) -> None:
    """Such a caller is refused whatever it asks for, and neither sees nor revokes the tokens of the other one."""
    token = callers["owner"].request("POST", "/tokens", json={}, headers=LATEST).json()
    for name in ("user", "project", "before"):
        for method, path, body in (
            ("GET", "/tokens", None),
            ("POST", "/tokens/revocation", {"user": CALLERS[name].user}),
            ("GET", "/artifacts/images", None),
        ):
            answer = callers[name].request(method, path, json=body, headers=LATEST)
            assert answer.status_code == 401, f"{name} {method} {path}: {answer.status_code} {answer.text}"
            assert "space" in answer.text
    assert callers["owner"].request("GET", f"/tokens/{token['id']}", headers=LATEST).json()["state"] == "active"


@pytest.mark.parametrize("project", ["p2 ", " p2", " "])
def test_nothing_is_shared_with_a_project_that_another_could_be_taken_for(
    callers: dict[str, ActorClient], project: str
) -> None:
    """The member would be another one on one database than on the others."""
    owner = callers["owner"]
    artifact = owner.create("images", name="i", disk_format="raw", container_format="bare")
    owner.upload(artifact, "image", b"bytes")
    owner.activate(artifact)
    step = {"op": "replace", "path": "/visibility", "value": "shared"}
    assert owner.patch(artifact, step, headers=LATEST).status_code == 200
    answer = owner.request("POST", f"/members/{artifact['id']}", json={"project": project}, headers=LATEST)
    assert answer.status_code == 400, answer.text
    assert "without a space at either end" in answer.text
    assert callers["other"].request("GET", f"/artifacts/images/{artifact['id']}", headers=LATEST).status_code == 404
