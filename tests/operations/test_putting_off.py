"""Work that raises is put off, for longer each time, and what is behind it has its turn: in every loop of the
worker.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from glare.db import blobs as blob_rows
from glare.db import deliveries
from glare.db.outbox import DatabaseOutbox
from glare.db.tables import blobs, jobs, outbox, subscriptions
from glare.digest import BLOCK
from glare.domain.blob import Slot
from glare.domain.events import RecordedEvent
from glare.events.consumer import Backoff, Consumer
from glare.operations import putting_off
from glare.operations.locations.check import check
from glare.operations.locations.promote import begin_by_policy
from glare.operations.locations.promote_by_policy import PromotionRounds
from glare.operations.locations.verify import _tell_stale
from glare.operations.subscriptions.confirmations import expire
from glare.operations.subscriptions.fan_out import fan_out
from glare.operations.subscriptions.messages import data_of
from glare.operations.upkeep.sweep import sweep
from support.origins.receiver import Receiver
from support.runs.clock import Clock
from support.runs.jobs import Working, working
from support.service import Glare, running
from support.subscribers import log, now_clock, subscribed, telling, work

DATA = random.Random(5).randbytes(2 * BLOCK + 9)
HOUR = 3600.0
OVERFLOW = "Mon, 01 Jan 99999999999 00:00:00 GMT"
ODD = "Mon, 01 Jan 2024 00:00:00 GM\xe9"


class Counted:
    """Counts what the service says of work that was put off."""

    def __init__(self, glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of: list[str] = []
        monkeypatch.setattr(glare.services.metrics, "work_put_off", self.of.append)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Working]:
    with working(tmp_path, "[verification]\nspot_blocks = 1\n") as service:
        yield service


def test_waits_double_up_to_the_longest() -> None:
    """However often work was put off, its wait is that of the first time, doubled, and never beyond the longest."""
    assert [putting_off.wait(5, 100, times) for times in (0, 1, 2, 3, 6, 10**6)] == [5, 5, 10, 20, 100, 100]


@pytest.mark.parametrize("header", [OVERFLOW, ODD, "9" * 6000, "\xb2"])
@pytest.mark.parametrize("kind", ["conditional", "full"])
def test_no_header_of_an_origin_disturbs_a_check(site: Working, header: str, kind: str) -> None:
    """Dates that overflow and bytes beyond ASCII end in an outcome, whether they come with a refusal or with the
    body.
    """
    site.origin.put("/a", DATA)
    image = site.record("/a", DATA)
    site.origin.put("/a", DATA, etag=None, headers={"Last-Modified": header})
    site.later(31 * 24 * HOUR if kind == "full" else 6 * HOUR)
    assert [entry[1] for entry in site.history(image)][-1:] == ["equal"]
    site.later(6 * HOUR)
    site.origin.refuse("/a", 503, {"Retry-After": header})
    assert site.later(7 * HOUR) == 1
    assert site.history(image)[0][1:3] == ("failed", "throttled")


def test_a_validator_that_cannot_be_sent_is_none(site: Working) -> None:
    """What an earlier release has recorded is read again before it is sent: the check goes without it."""
    image = site.record("/a", DATA)
    site.origin.put("/a", DATA, etag=None)
    with site.glare.services.db.write() as connection:
        connection.execute(update(blobs).values(etag=None, last_modified=ODD))
    assert site.later(6 * HOUR) == 1
    assert site.history(image)[0][:2] == ("conditional", "equal")


def test_a_check_that_raises_keeps_nobody_waiting(site: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises: it is reported and waits, twice as long each time; the other location of its host is checked
    at once.
    """
    counted = Counted(site.glare, monkeypatch)
    broken, image = site.record("/a", DATA), site.record("/b", DATA, name="other")
    good = checks_of(site, monkeypatch, broken)
    assert site.later(7 * HOUR) == 2
    assert good == [site.location_of(image)["id"]]
    assert counted.of == [putting_off.CHECK]
    asked = len(counted.of)
    for _ in range(40):  # Ten hours by the quarter.
        site.later(HOUR / 4)
    assert len(counted.of) - asked == 6, "after 10, 20, 40, 80, 160 and 320 minutes, at the next quarter"
    monkeypatch.undo()
    site.later(24 * HOUR)
    assert site.column(broken, "faults") == 0
    assert site.state(broken) == "verified"


def checks_of(site: Working, monkeypatch: pytest.MonkeyPatch, broken: Any) -> list[str]:
    """Have checks of `broken` raise what no check raises; returns the ids of the others, as they are checked."""
    bad = site.location_of(broken)["id"]
    good: list[str] = []

    def odd(services: Any, target: Any, kind: Any, cancellation: Any, *_: Any) -> Any:
        if target.id == bad:
            raise OverflowError("a defect")
        good.append(target.id)
        return check(services, target, kind, cancellation)

    monkeypatch.setattr("glare.operations.locations.verify.check", odd)
    return good


def test_an_error_while_a_finding_is_stored_puts_off_too(site: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body is read once, not again and again, where what came of it cannot be stored."""
    image = site.record("/a", DATA)
    monkeypatch.setattr("glare.operations.locations.verify.check_history.record_check", _raise)
    before = site.origin.count("/a")
    assert site.glare.alice.request("POST", f"/locations/{site.location_of(image)['id']}/checks").status_code == 202
    assert site.work() == 1
    for _ in range(4):
        site.later(60)
    assert site.origin.count("/a") == before + 1


def _raise(*_: Any, **__: Any) -> Any:
    raise OverflowError("a defect")


def test_a_job_that_cannot_be_read_or_ended_lets_others_pass(site: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that this release does not know, and a job that raises where it is undone, wait; the jobs behind them are
    done.
    """
    counted = Counted(site.glare, monkeypatch)
    site.origin.put("/a", DATA)
    for name in ("unknown", "stuck", "good"):
        site.clock.forward(1)
        assert site.ask(site.image(name), site.origin.url("/a" if name == "good" else "/missing")).status_code == 202
    with site.glare.services.db.write() as connection:
        first = connection.execute(select(jobs.c.id).order_by(jobs.c.created_at).limit(1)).scalar_one()
        connection.execute(update(jobs).where(jobs.c.id == first).values(kind="of_the_future"))
    monkeypatch.setattr("glare.operations.locations.jobs.record_later.undo", _raise)
    assert len(site.do()) == 3
    assert [state for _, state, _ in site.rows()] == ["waiting", "waiting", "done"]
    assert counted.of == [putting_off.JOB, putting_off.JOB]
    for _ in range(20):
        site.clock.forward(60)
        site.do()
    assert max(tries for _, state, tries in site.rows() if state == "waiting") <= 7
    monkeypatch.undo()
    with site.glare.services.db.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == first).values(kind="record"))
    site.clock.forward(2 * HOUR)
    site.do()
    site.clock.forward(2 * HOUR)
    site.do()
    assert {state for _, state, _ in site.rows()} == {"done", "failed"}


def test_an_event_that_cannot_become_messages_lets_others_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those behind it are told at once; it is tried again later, and delivered once the defect is gone."""
    with Receiver() as receiver, telling(tmp_path, receiver) as glare:
        clock = now_clock(glare)
        counted = Counted(glare, monkeypatch)
        subscribed(glare, glare.alice, receiver)
        glare.alice.create("images", name="odd")
        glare.alice.create("images", name="good")
        add = "glare.operations.subscriptions.fan_out.deliveries.add"
        real = deliveries.add

        def odd(connection: Any, messages: Any, now: int) -> None:
            if any(message.event.payload["name"] == "odd" for message in messages):
                raise OverflowError("a defect")
            real(connection, messages, now)

        monkeypatch.setattr(add, odd)
        work(glare)
        assert [message.document["data"]["name"] for message in receiver.events()] == ["good"]
        assert counted.of == [putting_off.FAN_OUT]
        monkeypatch.setattr(add, real)
        clock.forward(60)
        work(glare)
        assert [message.document["data"]["name"] for message in receiver.events()] == ["good", "odd"]
        assert fan_out(glare.services) == 0


def test_a_message_that_cannot_be_made_is_given_up_one_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried for as long as one whose target fails, is not held against the target, and then the next has its
    turn.
    """
    with Receiver() as receiver, telling(tmp_path, receiver, text="retry_time = 1 h\n") as glare:
        clock = now_clock(glare)
        counted = Counted(glare, monkeypatch)
        made = subscribed(glare, glare.alice, receiver)
        glare.alice.create("images", name="odd")
        glare.alice.create("images", name="good")

        def odd(services: Any, connection: Any, subscription: Any, event: Any) -> Any:
            if event.payload["name"] == "odd":
                raise OverflowError("a defect")
            return data_of(services, connection, subscription, event)

        monkeypatch.setattr("glare.operations.subscriptions.deliver.data_of", odd)
        for _ in range(30):
            work(glare)
            clock.forward(300)
        assert [(one["state"], one["reason"]) for one in log(glare.alice, made)] == [
            ("failed", "internal"),
            ("delivered", None),
        ]
        assert 2 < len(counted.of) < 30
        with glare.services.db.read() as connection:
            assert connection.execute(select(subscriptions.c.failing_since)).scalar_one() is None


class _Picky:
    """A sink that takes no event of these names while `broken`."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.down = False
        self.delivered: list[str] = []
        self.tried = 0

    def deliver(self, recorded: RecordedEvent) -> None:
        self.tried += 1
        name = recorded.event.payload["name"]
        if self.down or name in self.names:
            raise TypeError(f"{name} cannot be sent")
        self.delivered.append(name)

    def close(self) -> None:
        """Nothing is open."""


def test_a_notification_that_cannot_be_sent_lets_others_pass(tmp_path: Path) -> None:
    """After its patience is over those behind it are tried, also behind several such; it is kept, and sent once it can
    be.
    """
    with running(tmp_path) as glare:
        clock, sink, reported = Clock(glare), _Picky("odd", "odder"), []
        consumer = Consumer(
            DatabaseOutbox(glare.services.db),
            sink,
            glare.services.clock,
            Backoff(patience=3),
            lambda: reported.append(1),
        )
        for name in ("odd", "odder", "good", "better"):
            glare.alice.create("images", name=name)
        for _ in range(12):
            consumer.run_once()
            clock.forward(70)
        assert sink.delivered == ["good", "better"]
        tried = sink.tried
        for _ in range(10):
            consumer.run_once()
            clock.forward(600)
        assert sink.tried - tried <= 12, "each about once an hour"
        assert len(reported) == sink.tried - 2
        sink.names = ()
        clock.forward(3700)
        consumer.run_once()
        assert sink.delivered[2:] == ["odd", "odder"]


def test_a_broker_that_is_down_changes_no_order(tmp_path: Path) -> None:
    """Where nothing can be sent nothing steps aside, however long it lasts."""
    with running(tmp_path) as glare:
        clock, sink = Clock(glare), _Picky()
        sink.down = True
        consumer = Consumer(DatabaseOutbox(glare.services.db), sink, glare.services.clock, Backoff(patience=3))
        for name in "abcde":
            glare.alice.create("images", name=name)
        for _ in range(30):
            consumer.run_once()
            clock.forward(70)
        sink.down = False
        consumer.run_once()
        assert sink.delivered == list("abcde")


def test_an_event_that_cannot_be_read_lets_others_pass(tmp_path: Path) -> None:
    """Both ends of the outbox pass over a row that is no event for this release."""
    with running(tmp_path) as glare:
        clock, sink = Clock(glare), _Picky()
        consumer = Consumer(DatabaseOutbox(glare.services.db), sink, glare.services.clock)
        glare.alice.create("images", name="odd")
        glare.alice.create("images", name="good")
        with glare.services.db.write() as connection:
            first = connection.execute(select(outbox.c.id).order_by(outbox.c.id).limit(1)).scalar_one()
            connection.execute(update(outbox).where(outbox.c.id == first).values(payload=b"{"))
        consumer.run_once()
        assert sink.delivered == ["good"]
        assert fan_out(glare.services) == 1
        assert fan_out(glare.services) == 0
        clock.forward(3601)
        assert fan_out(glare.services) == 0


def test_the_sweep_passes_over_what_it_cannot_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of attempts, of targets that have not confirmed and of proofs that are old, those behind one that raises have
    their turn.
    """
    with working(tmp_path, "") as site:
        counted = Counted(site.glare, monkeypatch)
        stale = [site.record(f"/{name}", DATA, name=name) for name in ("a", "b")]
        for number in range(2):
            body = {"target": f"https://hooks{number}.example.com/"}
            assert site.glare.alice.request("POST", "/subscriptions", json=body).status_code == 201
        site.clock.forward(91 * 24 * HOUR)
        failed: set[str] = set()

        def once(kind: str, real: Any) -> Any:
            def call(*args: Any, **more: Any) -> Any:
                if kind not in failed:
                    failed.add(kind)
                    raise OverflowError("a defect")
                return real(*args, **more)

            return call

        monkeypatch.setattr("glare.operations.upkeep.sweep.expire", once("expire", expire))
        monkeypatch.setattr("glare.operations.locations.verify._tell_stale", once("stale", _tell_stale))
        sweep(site.glare.services)
        assert counted.of == [putting_off.SWEEP] * 2
        with site.glare.services.db.read() as connection:
            states = sorted(connection.execute(select(subscriptions.c.state)).scalars())
        assert states == ["expired", "pending"]
        reported = sorted(len(site.events(image)) for image in stale)
        assert reported == [0, 1]
        sweep(site.glare.services)
        assert [site.events(image) for image in stale] == [["location.stale"]] * 2


def test_dead_attempts_are_ended_behind_one_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round ends those that it can, and ends itself, however many it cannot."""
    with running(tmp_path) as glare:
        clock = Clock(glare)
        counted = Counted(glare, monkeypatch)
        monkeypatch.setattr("glare.operations.upkeep.sweep._BATCH", 1)
        for number in range(3):
            artifact = glare.alice.create("sample_artifact", name=str(number))
            attempt = blob_rows.NewAttempt(f"{number}" * 32, clock.micros, 0, None, external=False, staged=None)
            with glare.services.db.write() as connection:
                blob_rows.begin_attempt(connection, artifact["id"], _slot("blob"), attempt)
        end = blob_rows.end_attempt

        def odd(connection: Any, attempt_id: str, **more: Any) -> Any:
            if attempt_id.startswith("0"):
                raise OverflowError("a defect")
            return end(connection, attempt_id, **more)

        monkeypatch.setattr("glare.operations.upkeep.sweep.blob_rows.end_attempt", odd)
        clock.forward(3600)
        sweep(glare.services)
        assert counted.of == [putting_off.SWEEP]
        monkeypatch.undo()
        sweep(glare.services)
        assert glare.leftovers() == {}


def _slot(field: str) -> Any:
    return Slot(field, None)


def test_a_promotion_that_raises_keeps_no_round_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The artifacts behind it are looked at in the same round, and the next round begins where it would have."""
    with working(tmp_path, "[promotion]\nwhen = last_good\nbatch = 10\n") as site:
        counted = Counted(site.glare, monkeypatch)
        for name in ("a", "b", "c"):
            site.record(f"/{name}", DATA, name=name)
        seen: list[str] = []

        def odd(services: Any, artifact: Any, slot: Any) -> None:
            seen.append(artifact.id)
            if len(seen) == 1:
                raise OverflowError("a defect")
            begin_by_policy(services, artifact, slot)

        monkeypatch.setattr("glare.operations.locations.promote_by_policy.begin_by_policy", odd)
        assert PromotionRounds().look(site.glare.services) == 2
        assert len(set(seen)) == 3
        assert counted.of == [putting_off.PROMOTION]
        site.do()
