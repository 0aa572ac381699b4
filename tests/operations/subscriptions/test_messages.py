"""What is sent to subscribers: which events, in which form."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
import trustme
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook

from glare.db import deliveries as delivery_rows
from glare.db.outbox import DatabaseOutbox
from glare.domain.events import Event, RecordedEvent
from glare.events.consumer import Consumer, NoSink
from glare.operations.subscriptions.fan_out import fan_out
from glare.operations.upkeep.sweep import sweep
from support.origins.origin import Origin
from support.origins.receiver import Receiver
from support.service import Glare, Json
from support.subscribers import happen, image, log, now_clock, show, subscribe, subscribed, telling, work

HOUR = 3600.0


def location_event(artifact: Json, location_id: str, url: str, now: int, kind: str = "location.changed") -> Event:
    """As re-verification records it."""
    location = {"id": location_id, "url": url, "blob": "image", "state": "changed", "reason": "digest"}
    payload = {"id": artifact["id"], "visibility": artifact["visibility"], "location": location}
    return Event(kind, artifact["owner"], artifact["type_name"], artifact["id"], payload, now)


def test_life_of_an_artifact_reaches_its_subscriber(service: Glare, receiver: Receiver) -> None:
    """Each event comes once, in order, as a valid CloudEvents document with a valid signature and a growing
    sequence.
    """
    now_clock(service)
    made = subscribed(service, service.alice, receiver)
    artifact = image(service, "cirros")
    service.alice.upload(artifact, "image", b"data")
    service.alice.activate(artifact)
    service.alice.delete(artifact)
    work(service)
    names = ["artifact.create", "artifact.upload", "artifact.update", "artifact.activate", "artifact.delete"]
    assert [message.type for message in receiver.events()] == names
    sequences = []
    for message in receiver.events():
        assert Webhook(made["secret"]).verify(message.body, dict(message.headers)) == message.document
        read = from_http_event(HTTPMessage(headers=dict(message.headers), body=message.body))
        assert read.get_subject() == f"/artifacts/images/{artifact['id']}"
        assert read.get_specversion() == "1.0"
        data = read.get_data()
        assert isinstance(data, dict)
        assert data["id"] == artifact["id"]
        assert message.headers["content-type"] == "application/cloudevents+json"
        sequences.append(read.get_extension("sequence"))
    assert sequences == sorted(set(sequences))
    assert {len(sequence) for sequence in sequences} == {20}
    logged = log(service.alice, made)
    assert [one["id"] for one in logged] == [message.headers["webhook-id"] for message in receiver.events()]
    assert {one["state"] for one in logged} == {"delivered"}
    assert work(service) == 0


@pytest.mark.sqlite
def test_over_tls_with_a_certificate_that_is_checked(tmp_path: Path) -> None:
    """A target whose certificate is trusted gets its messages; one whose certificate is not, gets nothing and the log
    says tls.
    """
    trusted, other = trustme.CA(), trustme.CA()
    contexts = []
    for authority in (trusted, other):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("mirror.test.example").configure_cert(context)
        contexts.append(context)
    with (
        Receiver(tls=contexts[0]) as good,
        Receiver(tls=contexts[1]) as bad,
        telling(tmp_path, good, bad) as glare,
    ):
        ours = ssl.create_default_context()
        trusted.configure_trust(ours)
        glare.services.webhooks.connector.tls = ours
        assert good.url.startswith("https://")
        subscribed(glare, glare.alice, good)
        made = subscribe(glare.bob, bad.url)
        work(glare)
        [asked] = glare.bob.request("GET", f"/subscriptions/{made['id']}/deliveries").json()["deliveries"]
        assert (asked["reason"], bad.messages) == ("tls", [])


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"events": ["artifact.upload"]}, ["artifact.upload"]),
        ({"scope": {"type_name": "secrets"}}, ["artifact.create"]),
        ({"events": ["location.changed", "artifact.create"]}, ["artifact.create", "artifact.create"]),
    ],
)
def test_only_what_was_asked_for_is_sent(
    service: Glare, receiver: Receiver, members: Json, expected: list[str]
) -> None:
    """Names of events and a type keep the others away."""
    subscribed(service, service.alice, receiver, **members)
    service.alice.upload(service.alice.create("images", name="a"), "image", b"x")
    service.alice.create("secrets", name="b")
    work(service)
    assert [message.type for message in receiver.events()] == expected


def test_one_artifact_and_one_location(service: Glare, receiver: Receiver) -> None:
    """A subscription to an artifact hears of it alone; one to a location of that location alone."""
    one, other = (service.alice.create("images", name=name) for name in "ab")
    subscribed(service, service.alice, receiver, scope={"artifact": one["id"]})
    service.alice.set(other, description="x")
    service.alice.set(one, description="x")
    work(service)
    assert [message.document["data"]["id"] for message in receiver.events()] == [one["id"]]


def test_a_location_scope_hears_of_that_location(tmp_path: Path, receiver: Receiver, origin: Origin) -> None:
    """Events about another location of the same artifact are not sent."""
    origin.put("/file", b"data")
    with telling(tmp_path, receiver, ports=(origin.port,)) as glare:
        artifact = glare.alice.create("images", name="a")
        glare.alice.locate(artifact, "image", origin.url("/file"), md5=None)
        with glare.services.db.read() as connection:
            [(location_id,)] = connection.exec_driver_sql("SELECT location_id FROM blobs").all()
        assert (
            glare.bob.request(
                "POST", "/subscriptions", json={"target": receiver.url, "scope": {"location": location_id}}
            ).status_code
            == 400
        )
        subscribed(glare, glare.alice, receiver, scope={"location": location_id})
        now = glare.services.clock()
        happen(
            glare,
            location_event(artifact, "f" * 32, origin.url("/file"), now),
            location_event(artifact, location_id, origin.url("/file"), now, "location.unreachable"),
        )
        work(glare)
        assert [message.type for message in receiver.events()] == ["location.unreachable"]


def test_the_outbox_has_two_ends(service: Glare, receiver: Receiver) -> None:
    """A sink that fails delays no webhook, webhooks that wait delay no sink, and an event stays until both have had
    it.
    """
    clock = now_clock(service)
    subscribed(service, service.alice, receiver)

    class Broken(NoSink):
        def deliver(self, recorded: RecordedEvent) -> None:
            raise OSError("the broker is down")

    broken, well = (
        Consumer(DatabaseOutbox(service.services.db), sink, service.services.clock) for sink in (Broken(), NoSink())
    )
    service.alice.create("images", name="a")
    assert broken.run_once() == 0
    work(service)
    assert [message.type for message in receiver.events()] == ["artifact.create"]
    clock.forward(8 * 24 * HOUR)
    sweep(service.services)
    assert service.events() == ["create"]
    service.alice.create("secrets", name="b")
    assert well.run_once() == 2
    clock.forward(8 * 24 * HOUR)
    sweep(service.services)
    assert service.events() == ["create"]
    work(service)
    assert [message.type for message in receiver.events()] == ["artifact.create", "artifact.create"]
    sweep(service.services)
    assert service.events() == []


def test_a_message_comes_once_into_a_log(service: Glare, receiver: Receiver) -> None:
    """A fan-out that dies before its commit leaves nothing, and the next one leaves each message once."""
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("glare.db.outbox.fanned", dies)
        with pytest.raises(KeyboardInterrupt):
            fan_out(service.services)
    assert log(service.alice, made) == []
    assert (fan_out(service.services), fan_out(service.services)) == (1, 0)
    assert len(log(service.alice, made)) == 1
    with service.services.db.read() as connection:
        assert delivery_rows.head(connection, made["id"], confirming=False) is not None
    assert json.loads(json.dumps(show(service.alice, made)))["next_try_at"] is not None
