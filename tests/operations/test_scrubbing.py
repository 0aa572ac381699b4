"""Scrubbing: what is due, and what one failure leaves of a round."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import pytest
from sqlalchemy import select

from glare.db.tables import doomed_objects
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.operations.artifacts.delete import remove
from glare.operations.services import Services
from glare.operations.upkeep import sweep
from glare.operations.upkeep.sweep import Scrubbed, scrub, scrub_deleted
from support.runs.clock import Clock
from support.runs.faults import instrument
from support.service import Glare, Json

SECOND = 1_000_000


def delete_later(glare: Glare, *names: str) -> list[Json]:
    """Artifacts with data, deleted one second after the other, where deletion is delayed by a minute."""
    rules = replace(glare.services.rules, delayed_delete={"": True}, scrub_time=60.0, scrub_pool_size=1)
    object.__setattr__(glare.services, "rules", rules)  # The services are frozen, as nobody else may do this.
    clock = Clock(glare)
    made = [glare.alice.create("sample_artifact", name=name, string_required="x") for name in names]
    for artifact in made:
        glare.alice.upload(artifact, "blob", b"1234567890")
        clock.forward(1)
        glare.alice.delete(artifact)
    clock.forward(60)
    return made


def test_what_was_deleted_exactly_scrub_time_ago_is_due(glare: Glare) -> None:
    """The time is over when it is reached, and not a microsecond before."""
    delete_later(glare, "due")
    time = glare.services.clock()
    assert scrub(replace(glare.services, clock=lambda: time - 1)).artifacts == 0
    assert scrub(glare.services) == Scrubbed(artifacts=1, failed=0, waiting=0)


def test_a_round_walks_past_what_it_cannot_remove(
    glare: Glare, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Artifacts that cannot be removed are logged and left, those after them go, even where none of a whole batch can
    be.
    """
    monkeypatch.setattr(sweep, "_BATCH", 2)
    artifacts = delete_later(glare, *"abcde")
    stuck = {artifact["id"] for artifact in artifacts[:3]}

    def fail(services: Services, actor: Actor | None, artifact: Artifact) -> None:
        if artifact.id in stuck:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        remove(services, actor, artifact)

    monkeypatch.setattr(sweep, "remove", fail)
    assert scrub(glare.services) == Scrubbed(artifacts=2, failed=3, waiting=0)
    assert [glare.alice.get(artifact).status_code for artifact in artifacts] == [200, 200, 200, 404, 404]
    assert caplog.text.count("sweep put off") == 3
    stuck.clear()
    assert scrub_deleted(glare.services) == (3, 0)
    assert glare.usage("wonderland") == (0, 0)


def test_objects_that_could_not_be_removed_are_retried_where_it_is_wished(glare: Glare) -> None:
    """An object that fails, however it does, keeps no other from going; it waits, but not for a round that is to
    retry.
    """
    delete_later(glare, "first", "second")
    failures = iter([OSError(errno.EIO, "broken"), RuntimeError("not even named")])

    def fail(step: str) -> None:
        if step == "driver.delete: call" and (failure := next(failures, None)):
            raise failure

    instrument(glare.services, fail)
    assert scrub(glare.services) == Scrubbed(artifacts=2, failed=0, waiting=2)
    assert scrub(glare.services).waiting == 2, "their time has not come"
    with glare.services.db.read() as connection:
        assert connection.execute(select(doomed_objects.c.tries)).scalars().all() == [1, 1]
    assert scrub(glare.services, retry=True) == Scrubbed(artifacts=0, failed=0, waiting=0)
    assert glare.objects() == []
