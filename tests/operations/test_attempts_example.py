"""The rules of attempts, as their module states them, in an example that runs."""

from __future__ import annotations

import doctest
import io
import secrets
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from glare.db.tables import blobs, doomed_objects
from glare.domain.actor import Actor
from glare.operations import access
from glare.operations.slots import attempts, holders
from support.runs.clock import Clock
from support.service import Glare, running

ALICE = Actor("alice", "wonderland", frozenset({"member"}))


class Slot:
    """What the example does with the slot `image` of one artifact, without a request or its heartbeat."""

    def __init__(self, glare: Glare) -> None:
        self.glare = glare
        self.services = glare.services
        self.id = glare.alice.create("images", name=secrets.token_hex(4))["id"]

    def take(self, declared: int | None = None) -> attempts.Reservation:
        spec = access.find_type(self.services, "images")
        place = access.find_place(spec, access.find_artifact(self.services, ALICE, spec, self.id), "image")
        coming = attempts.Coming(declared, None, self.services.store_for("images", None))
        return attempts.reserve(self.services, ALICE, place, coming, partial(holders.require_idle_slot, self.services))

    def store(self, reservation: attempts.Reservation, data: bytes) -> None:
        content = attempts.stage(self.services, reservation, io.BytesIO(data), expected=len(data))
        filling = attempts.Stored(reservation, content, "application/octet-stream").filling
        attempts.publish(self.services, reservation, filling, "upload", {})

    def status(self) -> str | None:
        with self.services.db.read() as connection:
            return connection.execute(select(blobs.c.status)).scalar()

    def doomed(self) -> int:
        with self.services.db.read() as connection:
            return connection.execute(select(func.count()).select_from(doomed_objects)).scalar_one()

    def data(self) -> bytes:
        return self.glare.alice.download({"type_name": "images", "id": self.id}, "image").content

    def quota(self) -> int:
        return self.glare.usage("wonderland")[1]


def test_the_example_of_the_attempts_module_runs(tmp_path: Path) -> None:
    """The docstring of `glare.operations.slots.attempts` says what happens on a real database and store."""
    with running(tmp_path) as glare:
        slot = Slot(glare)
        names = {
            "clock": Clock(glare),
            "services": glare.services,
            "undo": attempts.undo,
            **{name: getattr(slot, name) for name in ("take", "store", "status", "doomed", "data", "quota")},
        }
        example = doctest.DocTestParser().get_doctest(
            attempts.__doc__ or "", names, attempts.__name__, attempts.__file__, 0
        )
        said: list[str] = []
        result = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
        assert result.attempted > 10
        assert result.failed == 0, "".join(said)
