"""A real server that dies, or is slow, while it unpacks an archive."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from support.conversation import eventually
from support.server import Server
from support.service import Glare, Json
from support.zips import packed

pytestmark = (
    pytest.mark.sqlite
)  # `tests/operations/test_faults.py` kills unpacking at each of its steps on each database.

SETTINGS = """
[uploads]
attempt_heartbeat = 0.2
attempt_timeout = 1
[scrubber]
wakeup_time = 1
"""
OLD = {"old": b"old", "000": b"replaced"}
NEW = {f"{number:03}": random.Random(number).randbytes(100) for number in range(80)}

AHEAD = {"when the archive is stored": 1, "at the first members": 3, "half way": 40, "near the end": 70}
"""At which number of new objects in the store the server is killed."""


def content(glare: Glare, artifact: Json) -> dict[str, bytes]:
    """What the folder has."""
    keys = glare.alice.show(artifact)["content"]
    return {key: glare.alice.download(artifact, f"content/{key}").content for key in keys}


@pytest.mark.parametrize("ahead", AHEAD.values(), ids=AHEAD.keys())
def test_a_server_that_is_killed_while_it_unpacks(tmp_path: Path, ahead: int) -> None:
    """The former archive and its members are there after the restart, nothing of the new one, and it can be uploaded
    again.
    """
    with Server(tmp_path, SETTINGS) as server, ThreadPoolExecutor(1) as pool:
        artifact = server.alice.create("unpacking_artifact", name="killed")
        old = server.alice.upload(artifact, "zip", packed(OLD))
        objects, usage = len(server.objects()), server.usage("wonderland")
        upload = pool.submit(server.alice.try_upload, artifact, "zip", packed(NEW))
        eventually(lambda: len(server.objects()) >= objects + ahead)
        server.kill()
        with pytest.raises(httpx2.TransportError):
            upload.result()
        assert server.leftovers() != {}
        server.start()
        eventually(lambda: server.leftovers() == {}, patience=20)
        assert {**server.alice.show(artifact), "updated_at": None} == {**old, "updated_at": None}
        assert content(server, artifact) == OLD
        assert server.usage("wonderland") == usage
        server.alice.upload(artifact, "zip", packed(NEW))
        assert content(server, artifact) == NEW
        assert server.leftovers() == {}


def test_unpacking_takes_flat_memory(tmp_path: Path) -> None:
    """An archive of hundreds of megabytes is unpacked in some tens of them."""
    files = {name: bytes(150_000_000) for name in "ab"}
    with Server(tmp_path, f"{SETTINGS}[unpacking]\nmax_ratio = 2000\n") as server:
        artifact = server.alice.create("crate_artifact", name="large")
        server.alice.upload(artifact, "many/first", b"x" * 5_000_000)
        before = server.memory()
        document = server.alice.upload(artifact, "big", packed(files))
        assert {key: blob["size"] for key, blob in document["many"].items()} == dict.fromkeys("ab", 150000000)
        assert server.memory() - before < 40_000_000
