"""Racing requests, in threads of two services on one database: what must hold whoever wins."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from glare.app import build_services, close, prepare
from glare.db.migrate import upgrade
from glare.db.rows import fetch_artifact
from glare.db.tables import artifacts
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status
from glare.domain.claims import Claims
from glare.errors import Forbidden, GlareError
from glare.operations.access import Named
from glare.operations.artifacts.create import create_artifact
from glare.operations.artifacts.delete import delete_artifact
from glare.operations.artifacts.update import PatchRequest, update_artifact
from glare.operations.blobs.upload import UploadRequest, upload_blob
from glare.operations.services import Services
from support.origins.origin import Origin
from support.runs.chaos import Journal, chaotic, immutable, play
from support.runs.truth import disagreements, recover

ALICE = Actor("alice", "wonderland", frozenset({"member"}))
ADMIN = Actor("admin", "wonderland", frozenset({"admin"}))
QUOTA = 4 << 20
ROUNDS = 15
LATER = 0.01

Pair = tuple[Services, Services]


class Body(BytesIO):
    declared: int | None = None


@pytest.fixture
def pair(tmp_path: Path, origin: Origin) -> Iterator[Pair]:
    """Two services on one database and one store, as two processes would be. In the end everything must be true."""
    settings = chaotic(tmp_path, origin.port)
    directory = settings.glance_store.filesystem_store_datadir
    settings.server.state_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database.connection)
    prepare(settings)
    services = (build_services(settings), build_services(settings))
    yield services
    recover(services[0])
    assert disagreements(services[0], directory) == []
    for one in services:
        close(one)


def race(*competitors: Callable[[], object]) -> list[str]:
    """Let them go at the same moment; the name of the error of each, or ``done``."""
    results = ["" for _ in competitors]
    barrier = threading.Barrier(len(competitors))

    def run(number: int, competitor: Callable[[], object]) -> None:
        barrier.wait()
        try:
            competitor()
            results[number] = "done"
        except GlareError as error:
            results[number] = type(error).__name__

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(competitors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(results), "one of them failed with an error that is none of ours"
    return results


def late(seconds: float, competitor: Callable[[], object]) -> None:
    """Give the others a start: which of them wins is then no matter of how long each takes."""
    time.sleep(seconds)
    competitor()


def create(services: Services, name: str) -> Artifact:
    return create_artifact(services, ALICE, "images", {"name": name, "container_format": "bare", "disk_format": "raw"})[
        1
    ]


def upload(services: Services, artifact: Artifact, data: bytes, *, announced: bool = False) -> None:
    body = Body(data)
    body.declared = len(data) if announced else None
    upload_blob(services, ALICE, UploadRequest(Named("images", artifact.id, "image"), "text/plain", Claims()), body)


def patch(services: Services, artifact: Artifact, **fields: Any) -> None:
    operations = [{"op": "replace", "path": f"/{name}", "value": value} for name, value in fields.items()]
    update_artifact(services, ADMIN, "images", artifact.id, PatchRequest(operations))


def now(services: Services, artifact: Artifact) -> Artifact | None:
    with services.db.read() as connection:
        return fetch_artifact(connection, artifact.id)


def sizes(artifact: Artifact | None) -> list[int | None]:
    return [] if artifact is None else [blob.size for blob in artifact.blobs.values()]


def test_of_racing_creators_of_one_name_one_wins(pair: Pair) -> None:
    """Of six creators of one name and version one is served, and five are told that it exists."""
    for number in range(ROUNDS):
        results = race(*(partial(create, one, f"name {number}") for one in pair * 3))
        assert Counter(results) == {"done": 1, "Conflict": 5}


def test_an_active_artifact_neither_gains_nor_loses_bytes(pair: Pair) -> None:
    """Whatever the order of a racing upload and activation, an artifact has the same bytes ever after it is active."""
    first, second = pair
    outcomes = set()
    for number in range(ROUNDS):
        artifact = create(first, f"name {number}")
        if number % 2:
            upload(first, artifact, b"old")
        results = race(
            partial(late, number // 2 * LATER, partial(upload, first, artifact, b"longer" * 9)),
            partial(patch, second, artifact, status="active"),
            partial(patch, first, artifact, description="x"),
        )
        after = now(first, artifact)
        assert after is not None
        if after.status is Status.ACTIVE and results[0] != "done":
            assert sizes(after) == ([3] if number % 2 else [])
        elif results[0] == "done":
            assert sizes(after) == [54]
        if after.status is not Status.ACTIVE:
            patch(first, artifact, status="active")
        with pytest.raises(Forbidden):
            upload(second, artifact, b"late")
        assert sizes(now(first, artifact)) == sizes(after)
        outcomes.add(tuple(results[:2]))
    assert len(outcomes) > 1, "the race should have more than one winner"


def test_of_two_uploads_into_one_slot_the_bytes_are_of_one(pair: Pair) -> None:
    """Two uploads into one slot end as if one had come after the other, or one was refused; deletions leave nothing."""
    first, second = pair
    for number in range(ROUNDS):
        artifact = create(first, f"name {number}")
        results = race(
            partial(upload, first, artifact, b"a" * 10),
            partial(upload, second, artifact, b"b" * 20, announced=True),
            partial(delete_artifact, second, ADMIN, "images", artifact.id),
        )
        after = now(first, artifact)
        assert (after is None) == (results[2] == "done")
        assert after is None or sizes(after) in ([[]] if "done" not in results[:2] else [[10], [20]])


def test_racing_uploads_do_not_overrun_a_quota(pair: Pair) -> None:
    """Eight uploads of which three fit, announced and not: no more than fit are stored, and what fits is."""
    share = QUOTA // 3
    found: Sequence[Artifact] = [create(pair[0], f"name {number}") for number in range(8)]
    for announced in (True, False):
        race(
            *(
                partial(upload, pair[number % 2], artifact, bytes(share), announced=announced)
                for number, artifact in enumerate(found)
            )
        )
        stored = [size or 0 for artifact in found for size in sizes(now(pair[0], artifact))]
        assert share <= sum(stored) <= QUOTA


def test_publication_races_with_deletion(pair: Pair) -> None:
    """An artifact that is published while it is deleted is either gone or public, and counted as what it is."""
    first, second = pair
    for number in range(ROUNDS):
        artifact = create(first, f"name {number}")
        upload(first, artifact, b"data")
        patch(first, artifact, status="active")
        _, deleted = race(
            partial(patch, first, artifact, visibility="public"),
            partial(delete_artifact, second, ADMIN, "images", artifact.id),
        )
        assert (now(first, artifact) is None) == (deleted == "done")


def test_everything_at_once(pair: Pair, origin: Origin, tmp_path: Path) -> None:
    """Two services whose clients do everything at random for seconds leave nothing untrue and keep every promise."""
    origin.put("/external", b"external" * 100_000)
    journal = Journal(tmp_path / "journal")
    url = origin.url("/external")
    threads = [threading.Thread(target=play, args=(one, url, journal, seed, 3)) for seed, one in enumerate(pair)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pair[0].db.read() as connection:
        ids = connection.execute(select(artifacts.c.id)).scalars().all()
        held = {wanted: found for wanted in ids if (found := fetch_artifact(connection, wanted)) is not None}
    assert journal.broken(held) == []
    assert any(immutable(artifact) for artifact in held.values())
