"""Notifications over RabbitMQ: what is sent, and what becomes of it while the broker fails."""

from __future__ import annotations

import contextlib
import logging
import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg
from sqlalchemy import func, select

from glare.db.outbox import DatabaseOutbox, record
from glare.db.tables import outbox
from glare.domain.events import Event
from glare.events.consumer import Consumer
from glare.events.messaging import MessagingSink, load_library
from support.origins.relay import Relay
from support.programs.broker import PATIENCE, Mailbox, transport_url
from support.runs.clock import Clock
from support.server import Server
from support.service import Glare, running

pytestmark = pytest.mark.sqlite

PREFIX = "artifact.artifact:"


def configured(
    relay: Relay,
    mailbox: Mailbox,
    *,
    driver: str = "messagingv2",
    topics: Sequence[str] = (),
    retry: int = -1,
    more: str = "",
) -> str:
    """Options that send notifications to `mailbox` through `relay`."""
    return (
        f"[DEFAULT]\nglare_publisher_id = artifact.test\ntransport_url = {transport_url(relay.port)}\n"
        f"control_exchange = {mailbox.exchange}\n"
        f"[oslo_messaging_notifications]\ndriver = {driver}\ntopics = {','.join(topics or [mailbox.topic])}\nretry = "
        f"{retry}\n"
        f"[outbox]\nbroker_timeout = 1 s\n{more}"
    )


@dataclass(frozen=True, slots=True)
class Notifying:
    """A service, its clock, and the consumer that its worker would have."""

    glare: Glare
    consumer: Consumer
    clock: Clock


@contextmanager
def notifying(directory: Path, text: str) -> Iterator[Notifying]:
    """A service without a worker."""
    with running(directory, text) as glare:
        assert glare.settings.bus is not None
        sink = MessagingSink(glare.settings.bus)
        clock = Clock(glare)
        with contextlib.closing(sink):
            yield Notifying(glare, Consumer(DatabaseOutbox(glare.services.db), sink, glare.services.clock), clock)


def test_a_notification_is_what_receivers_know(tmp_path: Path, relay: Relay, mailbox: Mailbox) -> None:
    """Event types, publisher, priority and payload are those of the original service, in the order of what happened."""
    relay.restore()
    with notifying(tmp_path, configured(relay, mailbox)) as at:
        artifact = at.glare.alice.create("sample_artifact", name="a", string_required="x", description="text")
        at.clock.forward(1.25)
        at.glare.alice.activate(artifact)
        at.glare.admin.request("PUT", "/quotas", json=[])
        assert at.consumer.run_once() == 4
        reported = mailbox.read(4)
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
        **dict.fromkeys(("created_at", "updated_at"), "2030-01-01T00:00:00.000000"),
    }
    moved = dict.fromkeys(("updated_at", "activated_at"), "2030-01-01T00:00:01.250000")
    active = {**created, "status": "active", **moved}
    assert [(message.type, message.content["payload"]) for message in reported] == [
        (f"{PREFIX}create", created),
        (f"{PREFIX}update", active),
        (f"{PREFIX}activate", active),
        (f"{PREFIX}set_quotas", None),
    ]
    assert {message.envelope for message in reported} == {"2.0"}
    assert {message.content["publisher_id"] for message in reported} == {"artifact.test"}
    assert {message.content["priority"] for message in reported} == {"INFO"}
    assert [message.content["timestamp"][10:] for message in reported[:2]] == [" 00:00:00.000000", " 00:00:01.250000"]
    assert not any(name.startswith("_context") for name in reported[0].content)
    assert len({message.content["message_id"] for message in reported}) == 4


def test_the_older_format_has_no_envelope(tmp_path: Path, relay: Relay, mailbox: Mailbox) -> None:
    """`driver = messaging` sends the same content without an envelope."""
    relay.restore()
    with notifying(tmp_path, configured(relay, mailbox, driver="messaging")) as at:
        at.glare.alice.create("images", name="a")
        assert at.consumer.run_once() == 1
        (message,) = mailbox.read(1)
    assert message.envelope is None
    assert message.type == f"{PREFIX}create"
    assert message.content["payload"]["name"] == "a"


def test_an_event_of_a_location_names_it(tmp_path: Path, relay: Relay, mailbox: Mailbox) -> None:
    """An event whose subject is not the artifact has its subject in the event type, and its payload as it was
    recorded.
    """
    relay.restore()
    with notifying(tmp_path, configured(relay, mailbox)) as at:
        event = Event("location.changed", "wonderland", "images", "1", {"location": {"id": "2"}}, 0)
        at.glare.services.db.transact(lambda connection: record(connection, [event]))
        assert at.consumer.run_once() == 1
        (message,) = mailbox.read(1)
    assert (message.type, message.content["payload"]) == ("artifact.location:changed", {"location": {"id": "2"}})


def test_a_listener_of_the_library_understands(tmp_path: Path, relay: Relay, mailbox: Mailbox) -> None:
    """oslo.messaging's own listener gets the event with an empty context; each topic gets it under the same id."""
    relay.restore()
    heard: queue.Queue[tuple[Any, ...]] = queue.Queue()

    class Endpoint:
        def info(self, ctxt: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any) -> None:
            heard.put((ctxt, publisher_id, event_type, payload["name"], metadata["message_id"]))

    oslo_messaging = load_library()
    with Mailbox() as other, notifying(tmp_path, configured(relay, mailbox, topics=(mailbox.topic, other.topic))) as at:
        conf = cfg.ConfigOpts()
        conf([], project="test", default_config_files=[], default_config_dirs=[], use_env=False)
        transport = oslo_messaging.get_notification_transport(conf, url=transport_url(relay.port))
        target = oslo_messaging.Target(topic=mailbox.topic, exchange=mailbox.exchange)
        mailbox.stop_reading()
        listener = oslo_messaging.get_notification_listener(transport, [target], [Endpoint()], executor="threading")
        listener.start()
        at.glare.alice.create("images", name="a")
        assert at.consumer.run_once() == 1
        ctxt, *reported, identity = heard.get(timeout=PATIENCE)
        listener.stop()
        listener.wait()
        transport.cleanup()
    assert not any(ctxt.values())
    assert reported == ["artifact.test", f"{PREFIX}create", "a"]
    assert identity


def test_a_broker_that_is_down_delays_and_loses_nothing(
    tmp_path: Path, relay: Relay, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    """While the broker is down requests are answered and events wait, longer each time; then all come once, in
    order.
    """
    with notifying(tmp_path, configured(relay, mailbox)) as at:
        artifact = at.glare.alice.create("images", name="0")
        assert at.consumer.run_once() == 0
        relay.restore()
        assert at.consumer.run_once() == 0, "it waits for its time, not for the broker"
        at.clock.forward(1.1)
        assert at.consumer.run_once() == 1
        relay.cut()
        for number in range(1, 4):
            at.glare.alice.set(artifact, description=str(number))
        with caplog.at_level(logging.WARNING, "glare.events.consumer"):
            for wait in (1, 2, 4):
                assert at.consumer.run_once() == 0
                at.clock.forward(wait - 0.1)
                assert at.consumer.run_once() == 0
                at.clock.forward(0.2)
        waits = [entry.getMessage().split()[2] for entry in caplog.records if entry.name == "glare.events.consumer"]
        assert waits == ["1", "1", "2", "4"], "each event has waits of its own"
        relay.restore()
        assert at.consumer.run_once() == 3
        reported = mailbox.read(4)
        assert mailbox.rest() == []
    assert [message.content["payload"]["description"] for message in reported] == ["", "1", "2", "3"]


def test_a_lost_confirmation_brings_the_event_again(tmp_path: Path, relay: Relay, mailbox: Mailbox) -> None:
    """A broker that takes an event and falls silent gets it again under the same id, and those behind it after it."""
    relay.restore()
    with notifying(tmp_path, configured(relay, mailbox)) as at:
        artifact = at.glare.alice.create("images", name="0")
        assert at.consumer.run_once() == 1
        at.glare.alice.set(artifact, description="1")
        at.glare.alice.set(artifact, description="2")
        relay.silence_target()
        assert at.consumer.run_once() == 0
        relay.restore()
        relay.drop()
        at.clock.forward(2)
        assert at.consumer.run_once() == 2
        reported = mailbox.read(4)
        assert mailbox.rest() == []
    assert [message.content["payload"]["description"] for message in reported] == ["", "1", "1", "2"]
    assert reported[1].content["message_id"] == reported[2].content["message_id"]


@pytest.mark.parametrize(("retry", "delivered"), [(-1, 0), (1, 1)])
def test_a_message_is_sent_again_at_once_as_often_as_is_set(
    tmp_path: Path, relay: Relay, mailbox: Mailbox, retry: int, delivered: int
) -> None:
    """A connection that broke while nobody used it costs a wait by default, and none with `retry`."""
    relay.restore()
    with notifying(tmp_path, configured(relay, mailbox, retry=retry)) as at:
        at.glare.alice.create("images", name="a")
        assert at.consumer.run_once() == 1
        relay.drop()
        at.glare.alice.create("images", name="b")
        assert at.consumer.run_once() == delivered
        at.clock.forward(2)
        at.consumer.run_once()
        assert [message.content["payload"]["name"] for message in mailbox.read(2)] == ["a", "b"]


def test_the_service_starts_and_works_without_its_broker(tmp_path: Path, relay: Relay, mailbox: Mailbox) -> None:
    """`glare-server serve` starts while the broker is down, answers requests, and tells everything once the broker is
    there.
    """
    text = configured(relay, mailbox, more="poll_interval = 0.05\nretry_delay = 0.05\nmax_retry_delay = 0.1\n")
    with Server(tmp_path, text) as server:
        names = [str(number) for number in range(20)]
        for name in names[:10]:
            server.alice.create("images", name=name)
        with server.services.db.read() as connection:
            waiting = select(func.count()).select_from(outbox).where(outbox.c.consumed_at.is_(None))
            assert connection.execute(waiting).scalar_one() == 10
        relay.restore()
        reported: dict[str, None] = {}
        while len(reported) < 10:
            reported[mailbox.read(1)[0].content["payload"]["name"]] = None
        for name in names[10:]:
            server.alice.create("images", name=name)
            relay.drop()
        while len(reported) < 20:
            reported[mailbox.read(1)[0].content["payload"]["name"]] = None
        log = server.log
    assert list(reported) == names
    assert "events wait" in log
