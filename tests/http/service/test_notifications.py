"""Events: recorded with what causes them, delivered at least once, and dropped after their retention."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from glare.db.outbox import DatabaseOutbox
from glare.db.tables import outbox
from glare.domain.events import RecordedEvent
from glare.events.consumer import Consumer, LogSink
from glare.operations.subscriptions.fan_out import fan_out
from glare.operations.upkeep.sweep import sweep
from support.origins.origin import Origin
from support.runs.clock import Clock
from support.service import Glare, Json, running

Unique = Callable[[], str]

KEYS = {
    *("type", "id", "description", "name", "version", "visibility", "status"),
    *("created_at", "updated_at", "activated_at", "owner"),
}
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")


def recorded(glare: Glare) -> list[tuple[str, Any]]:
    """Types and payloads of all recorded events, in order."""
    with glare.services.db.read() as connection:
        rows = connection.execute(select(outbox.c.event_type, outbox.c.payload).order_by(outbox.c.id)).all()
    return [(row.event_type, msgspec.json.decode(row.payload)) for row in rows]


def since(glare: Glare, action: Callable[[], Any]) -> list[str]:
    """The types of the events that an action causes."""
    before = len(glare.events())
    action()
    return glare.events()[before:]


def test_every_change_is_told(glare: Glare, origin: Origin) -> None:
    """Each kind of change is recorded under its name, in the order of what happened."""
    origin.put("/x", b"x")
    artifact: Json = {}
    steps: list[tuple[Callable[[], Any], list[str]]] = [
        (lambda: artifact.update(glare.alice.create("sample_artifact", name="a", string_required="x")), ["create"]),
        (lambda: glare.alice.set(artifact, description="new"), ["update"]),
        (lambda: glare.alice.upload(artifact, "blob", b"data"), ["upload"]),
        (lambda: glare.alice.upload(artifact, "blob", b"more"), ["upload"]),
        (lambda: glare.alice.locate(artifact, "small_blob", origin.url("/x"), md5=None), ["set_location"]),
        (
            lambda: glare.alice.request("DELETE", f"/artifacts/sample_artifact/{artifact['id']}/small_blob"),
            ["delete_blob"],
        ),
        (lambda: glare.alice.activate(artifact), ["update", "activate"]),
        (lambda: glare.admin.set(artifact, status="deactivated"), ["update", "deactivate"]),
        (lambda: glare.admin.set(artifact, status="active", description="b"), ["update", "reactivate"]),
        (lambda: glare.admin.publish(artifact), ["update", "publish"]),
        (lambda: glare.admin.request("PUT", "/quotas", json=[]), ["set_quotas"]),
        (lambda: glare.alice.download(artifact, "blob"), []),
        (lambda: glare.bob.show(artifact), []),
        (lambda: glare.admin.delete(artifact), ["delete"]),
    ]
    for action, expected in steps:
        assert since(glare, action) == expected


def test_one_patch_tells_its_actions_in_order(api: Glare, unique: Unique) -> None:
    """`update` comes first, then one event for each action, repetitions as well."""
    artifact = api.alice.create("sample_artifact", name=unique(), string_required="x")
    actions = [("status", "active"), ("status", "active"), ("visibility", "public"), ("status", "deactivated")]
    patch = [{"op": "replace", "path": f"/{field}", "value": value} for field, value in actions]
    reported = since(api, lambda: api.admin.change(artifact, *patch))
    assert reported == ["update", "activate", "activate", "publish", "deactivate"]


def test_nothing_is_told_of_what_did_not_happen(api: Glare, unique: Unique) -> None:
    """Refused requests, and patches that change nothing, leave no event."""
    name = unique()
    artifact = api.alice.create("sample_artifact", name=name)
    hidden: list[Callable[[], Any]] = [
        lambda: api.alice.try_create("sample_artifact", name=name),
        lambda: api.alice.try_create("sample_artifact", name=unique(), unknown=1),
        lambda: api.alice.set(artifact, status="active"),
        lambda: api.alice.set(artifact, description="x", unknown=1),
        lambda: api.alice.set(artifact, status="drafted"),
        lambda: api.alice.patch(artifact),
        lambda: api.alice.try_upload(artifact, "small_blob", b"x" * 11),
        lambda: api.alice.try_upload(artifact, "blob", b"invalid_data"),
        lambda: api.bob.delete(artifact),
        lambda: api.alice.request("PUT", "/quotas", json=[]),
    ]
    for action in hidden:
        assert since(api, action) == []


def test_payload(tmp_path: Path) -> None:
    """The payload's keys and dates are what receivers of notifications know; of a deletion it is the state before."""
    with running(tmp_path) as glare:
        clock = Clock(glare, "2030-01-01T00:00:00.123456Z")
        artifact = glare.alice.create("sample_artifact", name="a", string_required="x", description="text")
        clock.forward(1)
        glare.alice.activate(artifact)
        clock.forward(1)
        glare.alice.delete(artifact)
        glare.admin.request("PUT", "/quotas", json=[])
        events = recorded(glare)
    assert [kind for kind, _ in events] == ["create", "update", "activate", "delete", "set_quotas"]
    created = {
        "type": "sample_artifact",
        "id": artifact["id"],
        "name": "a",
        "version": "0.0.0",
        "owner": "wonderland",
        "description": "text",
        "visibility": "private",
        "status": "drafted",
        "activated_at": None,
        **dict.fromkeys(("created_at", "updated_at"), "2030-01-01T00:00:00.123456"),
    }
    active = {
        **created,
        "status": "active",
        **dict.fromkeys(("updated_at", "activated_at"), "2030-01-01T00:00:01.123456"),
    }
    assert [payload for _, payload in events] == [created, active, active, active, None]
    assert set(created) == KEYS


def test_dates_have_no_zone(api: Glare, unique: Unique) -> None:
    """Dates are naive, with microseconds, also on the second."""
    api.alice.create("images", name=unique())
    payload = recorded(api)[-1][1]
    assert DATE.fullmatch(payload["created_at"])


def test_log_sink(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With driver = log each event is a log record with event type, publisher and payload."""
    text = (
        "[oslo_messaging_notifications]\ndriver = log\n[DEFAULT]\nglare_publisher_id = artifact.test\n[outbox]\n"
        "poll_interval = 0.05\n"
    )
    with caplog.at_level(logging.INFO, "glare.notifications"), running(tmp_path, text, worker=True) as glare:
        artifact = glare.alice.create("images", name="a")
        glare.alice.set(artifact, description="x")
        end = time.monotonic() + 10
        while len(reported := [record for record in caplog.records if record.name == "glare.notifications"]) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
    assert [record.__dict__["event_type"] for record in reported] == [
        "artifact.artifact:create",
        "artifact.artifact:update",
    ]
    assert {record.levelname for record in reported} == {"INFO"}
    assert {record.__dict__["publisher_id"] for record in reported} == {"artifact.test"}
    assert reported[0].__dict__["payload"]["id"] == artifact["id"]
    assert len({record.__dict__["message_id"] for record in reported}) == 2


class Failing:
    """A sink that fails until it is told to work."""

    def __init__(self) -> None:
        self.works = False
        self.delivered: list[str] = []
        self.before: Callable[[], None] = lambda: None

    def deliver(self, recorded: RecordedEvent) -> None:
        self.before()
        if not self.works:
            raise ConnectionError("the receiver is down")
        self.delivered.append(recorded.event.type)

    def close(self) -> None:
        """Nothing is open."""


def test_failed_delivery_is_tried_again(tmp_path: Path) -> None:
    """Events whose delivery failed come again, in order, once they have waited; delivered ones do not."""
    with running(tmp_path) as glare:
        clock, sink = Clock(glare), Failing()
        consumer = Consumer(DatabaseOutbox(glare.services.db), sink, glare.services.clock)
        artifact = glare.alice.create("images", name="a")
        glare.alice.set(artifact, description="x")
        assert consumer.run_once() == 0
        sink.works = True
        glare.alice.delete(artifact)
        clock.forward(3600)
        while consumer.run_once():
            pass
        assert sink.delivered == ["create", "update", "delete"]
        clock.forward(3600)
        assert consumer.run_once() == 0


def test_two_consumers_share_events(tmp_path: Path) -> None:
    """While one consumer holds a claim, another does not get the same events."""
    with running(tmp_path) as glare:
        clock = Clock(glare)
        box = DatabaseOutbox(glare.services.db)
        glare.alice.create("images", name="a")
        claimed = box.claim("one", clock.micros, clock.micros + 1000, 100)
        assert [event.event.type for event in claimed] == ["create"]
        assert box.claim("two", clock.micros, clock.micros + 1000, 100) == []
        clock.forward(1)
        assert [event.event_id for event in box.claim("two", clock.micros, clock.micros + 1000, 100)] == [
            claimed[0].event_id
        ]
        box.consumed("one", [claimed[0].id], clock.micros)
        clock.forward(1)
        assert box.claim("three", clock.micros, clock.micros + 1000, 100)


def test_no_event_overtakes_another(tmp_path: Path) -> None:
    """While the oldest event is claimed, or waits after a failure, nobody gets a younger one."""
    with running(tmp_path) as glare:
        clock, box = Clock(glare), DatabaseOutbox(glare.services.db)
        artifact = glare.alice.create("images", name="a")
        (first,) = box.claim("one", clock.micros, clock.micros + 1_000_000, 100)
        glare.alice.set(artifact, description="x")
        assert box.claim("two", clock.micros, clock.micros + 1_000_000, 100) == []
        box.put_back("one", [first.id], clock.micros + 5_000_000, failed=[first.id])
        clock.forward(4)
        assert box.claim("two", clock.micros, clock.micros + 1_000_000, 100) == []
        clock.forward(2)
        both = box.claim("two", clock.micros, clock.micros + 1_000_000, 100)
        assert [(one.event.type, one.failures) for one in both] == [("create", 1), ("update", 0)]
        box.put_back("one", [first.id], 0, failed=[first.id])
        assert box.claim("one", clock.micros, clock.micros + 1_000_000, 100) == [], "the claim is no longer its own"


def test_consumers_that_race_never_have_the_same_events(tmp_path: Path) -> None:
    """Of claims at the same moment one gets the events and the others nothing."""
    with running(tmp_path) as glare, ThreadPoolExecutor(4) as threads:
        clock, box = Clock(glare), DatabaseOutbox(glare.services.db)
        for number in range(6):
            glare.alice.create("images", name=str(number))
        until = clock.micros + 1_000_000
        claims = list(threads.map(lambda name: box.claim(name, clock.micros, until, 2), "abcdefgh"))
        assert sorted(map(len, claims)) == [0] * 7 + [2]


def test_a_delivery_begins_only_well_before_its_claim_ends(tmp_path: Path) -> None:
    """A slow receiver gets the rest of a batch under a new claim, so that nobody else has it meanwhile."""
    with running(tmp_path) as glare:
        clock, slow = Clock(glare), Failing()
        slow.works = True
        consumer = Consumer(DatabaseOutbox(glare.services.db), slow, glare.services.clock)
        for number in range(4):
            glare.alice.create("images", name=str(number))
        slow.before = lambda: clock.forward(16)
        assert [consumer.run_once(), consumer.run_once(), consumer.run_once()] == [2, 2, 0]


def test_what_was_delivered_before_a_failure_does_not_come_again(tmp_path: Path) -> None:
    """A failure in the middle of a batch puts back that event and those behind it."""
    with running(tmp_path) as glare:
        clock, sink = Clock(glare), Failing()
        sink.works = True
        consumer = Consumer(DatabaseOutbox(glare.services.db), sink, glare.services.clock)
        artifact = glare.alice.create("images", name="a")
        glare.alice.set(artifact, description="x")
        glare.alice.delete(artifact)
        sink.before = lambda: setattr(sink, "works", sink.delivered != ["create"])
        assert [consumer.run_once(), consumer.run_once()] == [1, 0]
        sink.before, sink.works = lambda: None, True
        clock.forward(2)
        assert consumer.run_once() == 2
        assert sink.delivered == ["create", "update", "delete"]


def test_events_are_kept_for_their_retention(tmp_path: Path) -> None:
    """Delivered events are dropped when the configured time has passed; undelivered ones stay, however old."""

    def kept() -> int:
        with glare.services.db.read() as connection:
            return connection.execute(select(func.count()).select_from(outbox)).scalar_one()

    with running(tmp_path, "[outbox]\nretention = 1 h\n") as glare:
        clock = Clock(glare)
        consumer = Consumer(DatabaseOutbox(glare.services.db), LogSink("test"), glare.services.clock)
        glare.alice.create("images", name="delivered")
        assert (consumer.run_once(), fan_out(glare.services)) == (1, 1)
        glare.alice.create("images", name="waiting")
        clock.forward(3599)
        sweep(glare.services)
        assert kept() == 2
        clock.forward(2)
        sweep(glare.services)
        assert kept() == 1
        clock.forward(10 * 3600)
        sweep(glare.services)
        assert kept() == 1
        assert consumer.run_once() == 1


def test_more_events_than_a_batch_are_delivered_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many events wait, they come in the order in which they happened."""
    monkeypatch.setattr("glare.events.consumer._BATCH", 2)
    with running(tmp_path) as glare:
        for number in range(5):
            glare.alice.create("images", name=str(number))
        names: list[str] = []

        class Names:
            def deliver(self, recorded: RecordedEvent) -> None:
                names.append(recorded.event.payload["name"])

            def close(self) -> None:
                """Nothing is open."""

        consumer = Consumer(DatabaseOutbox(glare.services.db), Names(), glare.services.clock)
        while consumer.run_once():
            pass
        assert names == [str(number) for number in range(5)]
