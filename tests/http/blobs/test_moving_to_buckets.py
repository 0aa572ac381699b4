"""Blobs that move between directories and buckets of a real server, which works, or fails midway."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from glare.db.stores import Chosen
from glare.db.tables import blobs, doomed_objects
from glare.domain.actor import Actor
from glare.errors import GlareError, Unavailable
from glare.operations.upkeep.move import Finding, Move, Pace, Summary, Wish
from glare.stores.objects.layout import MIB, SMALL
from support.origins.http_relay import HttpRelay, Request, Spoiled, flipped
from support.programs.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS
from support.service import Glare, Json, running

pytestmark = pytest.mark.sqlite

LARGE = SMALL + 3 * MIB + 17
SIZES = (0, 1, 100_000, LARGE)


@pytest.fixture
def relay(seaweedfs: SeaweedFS) -> Iterator[HttpRelay]:
    with HttpRelay(seaweedfs.port) as relay:
        yield relay


@pytest.fixture
def glare(tmp_path: Path, relay: HttpRelay) -> Iterator[Glare]:
    """A service with a directory, and two parts of a bucket that are stores of their own."""

    def bucket(name: str) -> str:
        return (
            f"[store:{name}]\ndriver = s3\nbucket = {BUCKET}\nprefix = {name}-{uuid.uuid4().hex[:12]}/\n"
            f"endpoint = {relay.endpoint}\naccess_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n"
            "retries = 1\nretry_time = 5 s\nrequest_timeout = 20 s\nread_timeout = 20 s\n"
        )

    with running(tmp_path, bucket("near") + bucket("far")) as glare:
        yield glare


def image(glare: Glare, data: bytes) -> Json:
    uploaded: Json = glare.alice.upload(glare.alice.create("images", name=secrets.token_hex(8)), "image", data)
    return uploaded


def move(glare: Glare, source: str, target: str) -> tuple[Summary, list[Finding]]:
    found: list[Finding] = []
    wish = Wish(Chosen(source), target, Actor("root", None, frozenset()))
    stop = threading.Event()
    return Move(glare.services, wish, Pace(0, 2), found.append, lambda _: None, stop).run(), found


def rows(glare: Glare) -> list[tuple[str, str]]:
    with glare.services.db.read() as connection:
        return [(row.store, row.object) for row in connection.execute(select(blobs.c.store, blobs.c.object))]


def is_whole(glare: Glare) -> bool:
    """Whether each store has what its blobs need, and nothing else."""
    there = {(name, one.name) for name, store in glare.services.stores.items() for one in store.entries()}
    with glare.services.db.read() as connection:
        doomed = connection.execute(select(doomed_objects.c.object)).all()
    return there == set(rows(glare)) and not doomed


def test_from_a_directory_through_two_buckets_and_back(glare: Glare) -> None:
    """Blobs of all sizes are whole at each stage, where the last stage has put them, and nothing stays behind."""
    kept = [(image(glare, data), data) for data in map(secrets.token_bytes, SIZES)]
    for source, target in (("file", "near"), ("near", "far"), ("far", "file")):
        summary, found = move(glare, source, target)
        assert (summary.counts, found, summary.left) == ({"moved": len(SIZES)}, [], 0)
        assert {store for store, _ in rows(glare)} == {target}
        assert all(glare.alice.download(one, "image").content == data for one, data in kept)
        assert is_whole(glare)


def of_data(request: Request) -> bool:
    return request.method == "GET" and ("/objects/" in request.path or "/data/" in request.path)


def test_a_bucket_that_lies_is_not_believed(glare: Glare, relay: HttpRelay) -> None:
    """A byte that is flipped on each way out of the bucket makes the blob damaged; it does not reach the directory."""
    data = secrets.token_bytes(2 * MIB)
    made = image(glare, data)
    assert move(glare, "file", "near")[0].counts == {"moved": 1}
    relay.spoil = lambda request: Spoiled(after=flipped(1000)) if of_data(request) else None
    summary, [finding] = move(glare, "near", "file")
    assert (summary.counts, finding.kind) == ({"differs": 1}, "differs")
    assert glare.objects() == []
    relay.spoil = lambda _: None
    assert move(glare, "near", "file")[0].counts == {"moved": 1}
    assert glare.alice.download(made, "image").content == data


def test_a_bucket_that_goes_away_ends_the_move(glare: Glare, relay: HttpRelay) -> None:
    """A target that answers 503 from some request on: what was swapped stays, the rest is where it was, and goes on."""
    kept = [(image(glare, data), data) for data in (secrets.token_bytes(1000) for _ in range(6))]
    left = [3]

    def refuse(request: Request) -> Spoiled | None:
        if request.method != "PUT":
            return None
        left[0] -= 1
        return Spoiled(status=503) if left[0] < 0 else None

    relay.spoil = refuse
    with pytest.raises(GlareError) as failed:
        move(glare, "file", "near")
    assert isinstance(failed.value, Unavailable)
    assert all(glare.alice.download(one, "image").content == data for one, data in kept)
    relay.spoil = lambda _: None
    assert move(glare, "file", "near")[0].left == 0
    assert {store for store, _ in rows(glare)} == {"near"}
    assert all(glare.alice.download(one, "image").content == data for one, data in kept)
