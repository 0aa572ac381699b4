"""Clients that do everything at random, and note what the service has promised them.

As a program (``python -m support.runs.chaos DIRECTORY URL ROUNDS``) it is a service that is killed again and again:
each round forks a process that serves several such clients from threads, and kills it at a random instant.
"""

from __future__ import annotations

import io
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from glare.app import build_services
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status
from glare.domain.claims import Claims
from glare.egress.cancellation import Cancellation
from glare.errors import GlareError
from glare.operations.access import Named
from glare.operations.artifacts.create import create_artifact
from glare.operations.artifacts.delete import delete_artifact
from glare.operations.artifacts.list import list_artifacts
from glare.operations.artifacts.update import PatchRequest, update_artifact
from glare.operations.blobs.delete import delete_blob
from glare.operations.blobs.upload import UploadRequest, upload_blob
from glare.operations.locations.add import LocationRequest, add_location
from glare.operations.services import Services
from glare.settings import Settings
from support.service import configuration
from support.zips import packed

CLIENTS = 4
MOST_STEPS = 60
"""Steps that the clients of a process have done at most before it is killed."""
LAST_MOMENT = 0.1
"""Seconds that it lives after them, at most."""

_SETTINGS = """
[DEFAULT]
max_uploaded_data = 4 MiB
[uploads]
attempt_heartbeat = 0.05
attempt_timeout = 0.2
"""

_TYPES = ("images", "sample_artifact", "unpacking_artifact")
_OWNER = Actor("alice", "wonderland", frozenset({"member"}))
_ADMIN = Actor("admin", "wonderland", frozenset({"admin"}))


def chaotic(directory: Path, port: int) -> Settings:
    """Settings for such a service: tight quota, short-lived attempts, and an origin on this port of loopback."""
    return configuration(
        directory, f"allowed_ports = 80, 443, {port}\nhost_concurrency = 16\nproject_requests = -1\n{_SETTINGS}"
    )


class Slowly:
    """A body of random bytes that comes in pieces. `declared` is its length, or None for a chunked one."""

    def __init__(self, data: bytes, dice: random.Random, *, announced: bool) -> None:
        self.declared = len(data) if announced else None
        self._stream = io.BytesIO(data)
        self._dice = dice

    def read(self, size: int, /) -> bytes:
        time.sleep(self._dice.random() * 0.003)
        return self._stream.read(min(size, self._dice.randrange(1, 400_000)))

    def close(self) -> None:
        self._stream.close()


@dataclass
class Journal:
    """What was promised, a line each, whole even when its process is killed: a short write to a file is not torn."""

    path: Path

    def note(self, what: str, artifact_id: str, blobs: Mapping[str, str | None] | None = None) -> None:
        """`what` is ``active`` (with the sha256 of each blob by its path) or ``deleting``."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, msgspec.json.encode([what, artifact_id, blobs]) + b"\n")
        os.close(descriptor)

    def broken(self, held: Mapping[str, Artifact]) -> list[str]:
        """Promises that what is there now does not keep: of artifacts that were active, and nobody began to delete."""
        with suppress(FileNotFoundError):
            lines = [msgspec.json.decode(line) for line in self.path.read_bytes().splitlines()]
            deleted = {artifact_id for what, artifact_id, _ in lines if what == "deleting"}
            promised = {artifact_id: blobs for what, artifact_id, blobs in lines if what == "active"}
            return [
                f"{artifact_id} was active with {blobs}"
                for artifact_id, blobs in promised.items()
                if artifact_id not in deleted and (artifact_id not in held or immutable(held[artifact_id]) != blobs)
            ]
        return []


def immutable(artifact: Artifact) -> dict[str, str | None]:
    """The sha256 of each blob that must not change once the artifact is active, by its path."""
    return {
        slot.path: blob.digests.sha256 if blob.digests else None
        for slot, blob in artifact.blobs.items()
        if slot.field in ("image", "dict_of_blobs", "zip", "content")
    }


class Chaos:
    """One client. What the service refuses is part of the game; any other exception is a defect, and is raised."""

    def __init__(self, services: Services, origin: str, journal: Journal, seed: int) -> None:
        self._services = services
        self._origin = origin
        self._journal = journal
        self._dice = random.Random(seed)
        self._moves: tuple[tuple[int, Callable[[str, str], object]], ...] = (
            (3, self._create),
            (6, self._upload),
            (3, self._locate),
            (3, self._change),
            (3, self._activate),
            (1, self._publish),
            (1, self._delete_blob),
            (1, self._delete),
        )

    def step(self) -> None:
        """Do one thing."""
        type_name = self._dice.choice(_TYPES)
        [move] = self._dice.choices([move for _, move in self._moves], [weight for weight, _ in self._moves])
        with suppress(GlareError):
            page = list_artifacts(self._services, _OWNER, type_name, [("limit", "8"), ("sort", "name:asc")])
            found = [artifact.id for artifact in page.artifacts]
            move(type_name, self._dice.choice(found) if found else "none")

    def _create(self, type_name: str, _: str) -> None:
        body: dict[str, Any] = {"name": f"name {self._dice.randrange(12)}", "metadata": {"k": "v"}, "tags": ["t"]}
        if type_name == "images":
            body |= {"container_format": "bare", "disk_format": "raw"}
        elif type_name == "sample_artifact":
            body |= {"string_required": "x"}
        create_artifact(self._services, _OWNER, type_name, body)

    def _slot(self, type_name: str) -> str:
        if type_name == "images":
            return "image"
        if type_name == "unpacking_artifact":
            return "zip"
        return self._dice.choice(("blob", "small_blob", *(f"dict_of_blobs/{key}" for key in "abc")))

    def _upload(self, type_name: str, artifact_id: str) -> None:
        path = self._slot(type_name)
        longest = {"image": 2_500_000, "blob": 300_000}.get(path, 900)
        data = self._archive() if path == "zip" else self._dice.randbytes(self._dice.randrange(longest))
        body = Slowly(data, self._dice, announced=self._dice.random() < 0.5)
        request = UploadRequest(Named(type_name, artifact_id, path), "text/plain", Claims())
        upload_blob(self._services, _OWNER, request, body)

    def _archive(self) -> bytes:
        names = self._dice.sample("abcdefghij", self._dice.randrange(10))
        return packed({name: self._dice.randbytes(self._dice.randrange(9000)) for name in names})

    def _locate(self, type_name: str, artifact_id: str) -> None:
        request = LocationRequest(
            Named(type_name, artifact_id, self._slot(type_name)), self._origin, Claims(), confidential=False
        )
        add_location(self._services, _OWNER, request, Cancellation())

    def _change(self, type_name: str, artifact_id: str) -> None:
        self._patch(
            type_name, artifact_id, description=str(self._dice.random()), tags=[str(self._dice.randrange(9)), "t"]
        )

    def _activate(self, type_name: str, artifact_id: str) -> None:
        artifact = self._patch(type_name, artifact_id, status="active")
        if artifact.status is Status.ACTIVE:
            self._journal.note("active", artifact.id, immutable(artifact))

    def _publish(self, type_name: str, artifact_id: str) -> None:
        self._patch(type_name, artifact_id, visibility="public")

    def _delete_blob(self, type_name: str, artifact_id: str) -> None:
        delete_blob(self._services, _OWNER, Named(type_name, artifact_id, self._slot(type_name)))

    def _delete(self, type_name: str, artifact_id: str) -> None:
        self._journal.note("deleting", artifact_id)
        delete_artifact(self._services, _ADMIN, type_name, artifact_id)

    def _patch(self, type_name: str, artifact_id: str, **fields: Any) -> Artifact:
        operations = [{"op": "replace", "path": f"/{name}", "value": value} for name, value in fields.items()]
        return update_artifact(self._services, _ADMIN, type_name, artifact_id, PatchRequest(operations))[1]


def play(
    services: Services,
    origin: str,
    journal: Journal,
    seed: int,
    seconds: float,
    done: Callable[[], object] = lambda: None,
) -> None:
    """Let several clients loose at once; `done` is called after each of their steps. An exception is printed with its
    traceback.
    """
    until = time.monotonic() + seconds

    def run(number: int) -> None:
        client = Chaos(services, origin, journal, seed * CLIENTS + number)
        while time.monotonic() < until:
            client.step()
            done()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(directory: Path, origin: str, rounds: int) -> None:
    """Play `rounds` times in a process that is killed in the midst of it."""
    dice = random.Random(rounds)
    settings = chaotic(directory, urlsplit(origin).port or 80)
    # No thread and no connection may be there when a process forks. What a first use makes ready besides saves each
    # child time.
    services = build_services(settings)
    Chaos(services, origin, Journal(directory / "journal"), 0).step()
    services.db.engine.dispose()  # The pool is made anew: one that is disposed of keeps no connection.
    for number in range(rounds):
        steps, reported = os.pipe()
        child = os.fork()
        if not child:
            play(services, origin, Journal(directory / "journal"), number, 60, partial(os.write, reported, b"."))
            os._exit(1)
        os.close(reported)
        # How long it lives is counted in what it has done, whatever the machine's speed, and then a moment.
        for _ in range(dice.randrange(MOST_STEPS)):
            os.read(steps, 1)
        time.sleep(dice.random() * LAST_MOMENT)
        os.kill(child, signal.SIGKILL)
        os.close(steps)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit("the process ended before it was killed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
