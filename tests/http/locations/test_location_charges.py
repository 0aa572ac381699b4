"""What measuring costs a project: counted whatever the outcome, and limited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import func, select

from glare.db.tables import outbound_leases, outbound_usage
from glare.egress.exchange import PIECE
from support.conversation import Conversation, eventually
from support.origins.hostile import CONTENT, Hostile
from support.origins.origin import Origin
from support.runs.verifying import verifying
from support.service import LOCATION, Glare, Json, path_of, running


def charges(glare: Glare) -> dict[str, tuple[int, int]]:
    """Requests and bytes by project."""
    columns = outbound_usage.c
    statement = select(columns.project, func.sum(columns.requests), func.sum(columns.bytes)).group_by(columns.project)
    with glare.services.db.read() as connection:
        return {row[0]: (int(row[1]), int(row[2])) for row in connection.execute(statement)}


def leases(glare: Glare) -> int:
    """Requests that are under way."""
    with glare.services.db.read() as connection:
        return int(connection.execute(select(func.count()).select_from(outbound_leases)).scalar_one())


def sample(glare: Glare, actor: str = "alice", name: str = "sample") -> Json:
    """A drafted artifact."""
    made: Json = getattr(glare, actor).create("sample_artifact", name=name)
    return made


def measuring(glare: Glare, artifact: Json, path: str, url: str, actor: str = "alice") -> Conversation:
    """A recording that goes on until its client hangs up."""
    body = json.dumps({"url": url}).encode()
    conversation = Conversation(
        glare,
        "PUT",
        f"{path_of(artifact)}/{path}",
        {"Content-Type": LOCATION, "Content-Length": str(len(body))},
        actor=actor,
    )
    conversation.end(body)
    return conversation


def test_every_measurement_is_charged_to_the_owner(glare: Glare, origin: Origin) -> None:
    """A recording costs a request and the bytes that were read: when it works, and when a claim is false."""
    origin.put("/file", bytes(1000))
    artifact = sample(glare)
    glare.admin.locate(artifact, "blob", origin.url("/file"))
    assert charges(glare) == {"wonderland": (1, 1000)}
    assert glare.alice.try_locate(artifact, "dict_of_blobs/a", origin.url("/file"), size=1).status_code == 400
    assert charges(glare) == {"wonderland": (2, 2000)}


def test_failed_measurements_are_charged_too(tmp_path: Path) -> None:
    """What a failing origin sent is charged, and each request to one that is out of reach."""
    with Hostile() as hostile, running(tmp_path, ports=(1, hostile.port)) as glare:
        artifact = sample(glare)
        assert glare.alice.try_locate(artifact, "blob", hostile.url("missing")).status_code == 400
        assert glare.alice.try_locate(artifact, "blob", "http://127.0.0.1:1/").status_code == 400
        assert charges(glare) == {"wonderland": (2, 0)}
        assert glare.alice.try_locate(artifact, "blob", hostile.url("short")).status_code == 400
        requests, size = charges(glare)["wonderland"]
        assert (requests, size) == (3, 2 * (len(CONTENT) - 10))  # It was measured anew, once.
        assert glare.leftovers() == {}


def test_what_is_measured_anew_is_charged_within_the_window(tmp_path: Path) -> None:
    """An origin that breaks off makes nobody read more than a project has left: 429, as for a body that is larger."""
    most = len(CONTENT) + 1000
    with Hostile() as hostile, running(tmp_path, f"project_bytes = {most}\n", ports=(hostile.port,)) as glare:
        assert glare.alice.try_locate(sample(glare), "blob", hostile.url("short")).status_code == 429
        requests, size = charges(glare)["wonderland"]
        assert requests == 1
        assert most < size <= most + PIECE
        assert hostile.visits("short") == 2
        assert glare.leftovers() == {}


def test_what_is_refused_without_a_request_costs_nothing(glare: Glare, origin: Origin) -> None:
    """A body of the wrong shape, another project's artifact, an existing blob: no request, no charge."""
    origin.put("/file", b"x")
    artifact = sample(glare)
    glare.alice.upload(artifact, "blob", b"data")
    assert glare.alice.try_locate(artifact, "blob", origin.url("/file")).status_code == 409
    assert glare.bob.try_locate(artifact, "small_blob", origin.url("/file")).status_code == 404
    assert glare.alice.try_locate(artifact, "str1", origin.url("/file")).status_code == 400
    assert glare.alice.try_locate(artifact, "small_blob", "http://user@127.0.0.1/").status_code == 400
    assert charges(glare) == {}


LIMITS = {
    "requests": ("project_requests = 2", 2),
    "bytes": ("project_bytes = 2000", 2),
    "no requests at all": ("project_requests = 0", 0),
}


@pytest.mark.parametrize(("option", "allowed"), LIMITS.values(), ids=LIMITS.keys())
def test_a_project_that_has_used_its_window_is_refused(
    tmp_path: Path, origin: Origin, option: str, allowed: int
) -> None:
    """Beyond the requests or bytes of a window a recording is 429 and asks nobody; other projects go on."""
    origin.put("/file", bytes(1000))
    with running(tmp_path, f"{option}\n", ports=(origin.port,)) as glare:
        artifact = sample(glare)
        for number in range(allowed):
            assert glare.alice.try_locate(artifact, f"dict_of_blobs/{number}", origin.url("/file"), size=1).status_code
        asked = len(origin.seen)
        response = glare.alice.try_locate(artifact, "blob", origin.url("/file"))
        assert response.status_code == 429
        assert response.json()["error"]["message"]
        assert len(origin.seen) == asked
        assert glare.alice.show(artifact)["blob"] is None
        status = glare.bob.try_locate(sample(glare, "bob"), "blob", origin.url("/file")).status_code
        assert status == (200 if allowed else 429)
        assert glare.leftovers() == {}


CONCURRENCY = {
    "of a project": ("project_concurrency = 2", 429, 200),
    "of a host": ("host_concurrency = 2", 429, 429),
}


@pytest.mark.parametrize(("option", "own", "others"), CONCURRENCY.values(), ids=CONCURRENCY.keys())
def test_measurements_at_the_same_time_are_limited(
    tmp_path: Path, origin: Origin, option: str, own: int, others: int
) -> None:
    """While two are under way a third is 429: for the project, or for the host over all projects. Then it goes on."""
    origin.put("/file", b"x")
    with Hostile() as hostile, running(tmp_path, f"{option}\n", ports=(origin.port, hostile.port)) as glare:
        artifact, other = sample(glare), sample(glare, "bob")
        with (
            measuring(glare, artifact, "dict_of_blobs/a", hostile.url("silent")),
            measuring(glare, artifact, "dict_of_blobs/b", hostile.url("silent")),
        ):
            eventually(lambda: leases(glare) == 2)
            assert glare.alice.try_locate(artifact, "blob", origin.url("/file")).status_code == own
            assert glare.bob.try_locate(other, "blob", origin.url("/file")).status_code == others
        assert leases(glare) == 0
        assert glare.alice.try_locate(artifact, "blob", origin.url("/file")).status_code == 200
        assert glare.leftovers() == {}


def test_a_client_that_goes_away_ends_its_measurement_and_pays_for_it(tmp_path: Path) -> None:
    """What was read until the client hung up is charged, and the lease ends at once."""
    with Hostile() as hostile, running(tmp_path, ports=(hostile.port,)) as glare:
        artifact = sample(glare)
        with measuring(glare, artifact, "blob", hostile.url("stall")):
            eventually(lambda: leases(glare) == 1 and hostile.visits("stall") == 1)
        assert leases(glare) == 0
        requests, size = charges(glare)["wonderland"]
        assert requests == 1
        assert size <= len(CONTENT)
        assert glare.leftovers() == {}


def test_what_an_owner_has_checked_is_charged(tmp_path: Path) -> None:
    """The bytes of a check that somebody asked for are the project's; once they are used up the next wish is
    refused.
    """
    with verifying(tmp_path, "project_bytes = 2500\n") as site:
        image = site.record("/a", bytes(1000))
        address = f"/locations/{site.location_of(image)['id']}/checks"
        for requests in (2, 3):
            assert site.glare.alice.request("POST", address).status_code == 202
            assert site.work() == 1
            assert charges(site.glare) == {"wonderland": (requests, requests * 1000)}
        refused = site.glare.alice.request("POST", address)
        assert refused.status_code == 429
        assert "2500 bytes" in refused.json()["error"]["message"]
