"""Refused requests in the audit log: recorded beside the answer, and never too many."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from glare.context import PARTY
from glare.domain.actor import Actor
from glare.operations.refusals import Refusal, Refusals
from glare.operations.upkeep.sweep import sweep
from glare.shares import Party
from support.audit import actions, entries, refusals
from support.conversation import eventually
from support.runs.clock import Clock
from support.service import Glare, running

ARTIFACT = "/artifacts/{type_name}/{id}"


def test_a_refusal_is_recorded(glare: Glare) -> None:
    """A 403, and a 404 that hides an artifact, leave an entry; a 404 of what does not exist leaves none."""
    artifact = glare.alice.create("images", name="a")
    glare.alice.request("GET", "/artifacts/images/3f2504e0-4f89-41d3-9a0c-0305e82c3301")
    hidden = glare.bob.get(artifact)
    forbidden = glare.alice.request("GET", "/quotas")
    quotas = glare.bob.request("PUT", "/quotas", json=[])
    assert [hidden.status_code, forbidden.status_code, quotas.status_code] == [404, 403, 403]
    eventually(lambda: len(refusals(glare)) == 3)
    found = {entry["request_id"]: entry for entry in refusals(glare)}
    first = found[hidden.headers["x-openstack-request-id"]]
    assert (first["action"], first["user"], first["artifact"]) == (f"GET {ARTIFACT}", "bob", artifact["id"])
    assert first["detail"]["error"] == "ArtifactNotFound"
    second = found[forbidden.headers["x-openstack-request-id"]]
    assert second["detail"]["error"] == "PolicyException"
    assert "artifact:list_all_quotas" in second["detail"]["message"]
    assert found[quotas.headers["x-openstack-request-id"]]["action"] == "PUT /quotas"


@pytest.fixture
def recorder(glare: Glare) -> tuple[Refusals, Clock]:
    """Takes 40 refusals a minute, and writes when it is told to."""
    return Refusals(glare.services, 40), Clock(glare)


def refuse(recorder: Refusals, project: str, times: int) -> None:
    actor = Actor("u", project, frozenset())
    party = PARTY.set(Party.project(project))
    for number in range(times):
        recorder.take(Refusal(actor, "GET /x", f"req-{number}", "Forbidden", "no"))
    PARTY.reset(party)


def test_one_caller_cannot_fill_the_log_nor_hide_the_others(glare: Glare, recorder: tuple[Refusals, Clock]) -> None:
    """A caller has a quarter of a minute's rows, all callers have the rest, and what was too much is one row."""
    refusals_, clock = recorder
    refuse(refusals_, "loud", 1000)
    refuse(refusals_, "quiet", 3)
    refusals_.write()
    assert len(entries(glare, "project=loud&limit=1000")) == 10
    assert len(entries(glare, "project=quiet")) == 3
    for number in range(20):
        refuse(refusals_, f"p{number}", 10)
    clock.forward(60)
    refusals_.write()
    found = entries(glare, "outcome=refused&limit=1000")
    assert len(found) == 41
    [dropped] = [entry for entry in found if entry["action"] == "refusals_not_recorded"]
    assert dropped["detail"] == {"count": 990 + 200 - 27}
    refuse(refusals_, "loud", 1)
    refusals_.write()
    assert len(entries(glare, "project=loud&limit=1000")) == 11


def test_refusals_that_cannot_be_written_are_given_up(
    glare: Glare, recorder: tuple[Refusals, Clock], caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is down costs the entries, a log line, and no memory."""
    refusals_, _ = recorder
    with glare.services.db.write() as connection:
        connection.execute(text("ALTER TABLE audit RENAME TO elsewhere"))
    refuse(refusals_, "p", 2)
    refusals_.write()
    with glare.services.db.write() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO audit"))
    refusals_.write()
    assert refusals(glare) == []
    assert "refused requests are not in the audit log" in caplog.text


def test_a_service_that_stops_writes_what_waits(tmp_path: Path) -> None:
    """A refusal of the last moment is in the log of the next start."""
    with running(tmp_path) as glare:
        assert glare.bob.request("PUT", "/quotas", json=[]).status_code == 403
    with running(tmp_path) as glare:
        assert [entry["action"] for entry in refusals(glare)] == ["PUT /quotas"]


def test_old_entries_leave(glare: Glare) -> None:
    """The sweep drops changes after their retention, and refusals after theirs."""
    clock = Clock(glare)
    glare.alice.create("images", name="a")
    recorder = Refusals(glare.services, 40)
    refuse(recorder, "p", 1)
    recorder.write()
    for days, left in ((29, ["create", "GET /x"]), (2, ["create"]), (333, ["create"]), (2, [])):
        clock.forward(days * 86400)
        sweep(glare.services)
        assert actions(glare) == left
