"""A node that starts, or goes on, while the bucket is away."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.conversation import eventually
from support.origins.http_relay import HttpRelay, Spoiled
from support.programs.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS
from support.server import Server
from support.service import Json


@pytest.fixture
def relay(seaweedfs: SeaweedFS) -> Iterator[HttpRelay]:
    """What stands before the bucket, which is away."""
    with HttpRelay(seaweedfs.port) as relay:
        relay.spoil = away
        yield relay


def away(_: object) -> Spoiled:
    return Spoiled(status=503)


def new_image(server: Server) -> Json:
    return server.alice.create("images", name=f"image-{uuid.uuid4()}")


def test_a_node_starts_without_its_bucket_and_recovers(tmp_path: Path, relay: HttpRelay) -> None:
    """What needs the bucket is answered with 503 and when to come again, the rest as ever. Once the bucket is there,
    all goes on by itself, whether it was never used before or has blobs.
    """
    place = (
        f"[artifact_type:images]\ndefault_store = s3\n[s3]\nbucket = {BUCKET}\nendpoint = {relay.endpoint}\n"
        f"prefix = test-{uuid.uuid4().hex[:12]}/\naccess_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n"
        "retries = 0\n"
    )
    data = secrets.token_bytes(10_000)
    with Server(tmp_path, place) as server:
        image = new_image(server)
        refused = server.alice.try_upload(image, "image", data)
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
        assert "store s3" in server.client.get("/readyz").text
        plain = server.bob.create("sample_artifact", name="near", string_required="x")
        server.bob.upload(plain, "blob", b"near")
        assert server.bob.download(plain, "blob").content == b"near"

        relay.spoil = lambda _: None
        eventually(lambda: server.alice.try_upload(image, "image", data).status_code == 200)
        assert server.client.get("/readyz").status_code == 200
        server.kill()

        relay.spoil = away
        server.start()
        refused = server.alice.download(image, "image")
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
        relay.spoil = lambda _: None
        eventually(lambda: server.alice.download(image, "image").content == data)
        assert server.log.count("a store does not answer") == 2
