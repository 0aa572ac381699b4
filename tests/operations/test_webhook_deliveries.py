"""Messages to subscribers: what is sent, to whom, when again, and that none is lost."""

from __future__ import annotations

import json
import logging
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from sqlalchemy import select, update
from standardwebhooks import Webhook, WebhookVerificationError

from glare.cli.logs import JsonFormatter
from glare.context import PARTY
from glare.db import deliveries as delivery_rows
from glare.db import outbox
from glare.db import subscriptions as rows
from glare.db.outbox import DatabaseOutbox
from glare.db.rows import fetch_artifact
from glare.db.tables import artifacts, deliveries, subscriptions
from glare.db.tables import outbox as outbox_table
from glare.domain.blob import Slot
from glare.domain.events import Event, RecordedEvent
from glare.errors import OutboundBusy
from glare.events.consumer import Consumer, NoSink
from glare.events.webhooks import SecretBox, make_key_file
from glare.operations.locations.events import location_event as recorded_location_event
from glare.operations.subscriptions.deliver import Deliverer
from glare.operations.subscriptions.fan_out import fan_out
from glare.operations.upkeep.depths import depths
from glare.operations.upkeep.sweep import sweep
from glare.shares import Party
from support.origins.origin import Origin
from support.origins.receiver import Answer, Message, Receiver, willing
from support.service import Glare, Json
from support.subscribers import change, log, now_clock, show, state, subscribe, subscribed, telling, work

HOUR = 3600.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that confirms, and takes everything."""
    with Receiver() as server:
        yield server


@pytest.fixture
def service(tmp_path: Path, receiver: Receiver) -> Iterator[Glare]:
    """A service that may send to `receiver`."""
    with telling(tmp_path, receiver) as glare:
        yield glare
        assert glare.leftovers() == {}


def refusing(*statuses: int, **headers: str) -> Any:
    """Confirms; then answers with these statuses, the last of them for ever."""
    left = list(statuses)

    def answer(message: Message) -> Answer:
        if message.type == "subscription.confirmation":
            return willing(message)
        return Answer(left.pop(0) if len(left) > 1 else left[0], headers)

    return answer


def states(actor: Any, subscription: Json) -> list[tuple[str, str | None, int]]:
    """State, reason and tries of each delivery of an event, oldest first."""
    return [(one["state"], one["reason"], one["tries"]) for one in log(actor, subscription)]


def image(glare: Glare, name: str) -> Json:
    """An image of Alice's that can be activated once it has data."""
    return glare.alice.create("images", name=name, container_format="bare", disk_format="raw")


def happen(glare: Glare, *events: Event) -> None:
    """Record events as the service does."""
    glare.services.db.transact(lambda connection: outbox.record(connection, events))


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
def test_a_shortage_of_ours_is_no_failure_of_the_target(service: Glare, receiver: Receiver) -> None:
    """A message for which there is no room waits for a moment, untried; the room that it asks for is its project's."""
    clock = now_clock(service)
    made = subscribed(service, service.alice, receiver)
    asked: list[Party] = []

    def busy(*_: object, **__: object) -> None:
        asked.append(PARTY.get())
        raise OutboundBusy(retry_after=3)

    image(service, "cirros")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.services.webhooks, "open", busy)
        work(service)
    assert asked == [Party.project("wonderland")]
    assert states(service.alice, made) == [("pending", None, 0)]
    assert work(service) == 0
    clock.forward(4)
    work(service)
    assert [message.type for message in receiver.events()] == ["artifact.create"]


def test_a_changed_body_or_another_secret_does_not_verify(service: Glare, receiver: Receiver) -> None:
    """The published library refuses what was not signed with the secret as it came."""
    now_clock(service)
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    work(service)
    [message] = receiver.events()
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(message.body.replace(b"images", b"secret"), dict(message.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 44).verify(message.body, dict(message.headers))


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


def location_event(artifact: Json, location_id: str, url: str, now: int, kind: str = "location.changed") -> Event:
    """As re-verification records it."""
    location = {"id": location_id, "url": url, "blob": "image", "state": "changed", "reason": "digest"}
    payload = {"id": artifact["id"], "visibility": artifact["visibility"], "location": location}
    return Event(kind, artifact["owner"], artifact["type_name"], artifact["id"], payload, now)


def test_location_events_show_confidential_urls_to_the_owner_only(tmp_path: Path, origin: Origin) -> None:
    """A subscriber of another project reads scheme and host of a confidential URL, the owner and readers of an open one
    all of it.
    """
    signed, plain = "/file?X-Amz-Signature=s3cret", "/plain?version=1"
    for target in (signed, plain):
        origin.put(target, b"data")
    with (
        Receiver() as to_owner,
        Receiver() as to_other,
        telling(tmp_path, to_owner, to_other, ports=(origin.port,)) as glare,
    ):
        subscribed(glare, glare.alice, to_owner, events=["location.changed"])
        subscribed(glare, glare.bob, to_other, events=["location.changed"])
        urls = []
        for name, target in (("signed", signed), ("plain", plain)):
            artifact = image(glare, name)
            glare.alice.locate(artifact, "image", origin.url(target), md5=None)
            glare.alice.activate(artifact)
            public = glare.admin.publish(artifact)
            urls.append(origin.url(target))
            with glare.services.db.read() as connection:
                stored = fetch_artifact(connection, public["id"])
            assert stored is not None
            happen(glare, recorded_location_event("location.changed", stored, Slot("image"), glare.services.clock()))
        work(glare)
        represented = [
            [one.document["data"]["location"]["url"] for one in server.events()] for server in (to_owner, to_other)
        ]
        assert represented == [urls, ["http://127.0.0.1", urls[1]]]


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


def test_private_artifacts_of_others_are_never_told(service: Glare, receiver: Receiver) -> None:
    """A subscriber to everything hears of other projects' public artifacts, and of no private one."""
    made = subscribed(service, service.bob, receiver)
    artifact = image(service, "a")
    service.alice.upload(artifact, "image", b"x")
    service.alice.activate(artifact)
    work(service)
    assert log(service.bob, made) == []
    service.admin.publish(artifact)
    work(service)
    # Both are of the change that published it, and tell of what was public after it.
    assert [message.type for message in receiver.events()] == ["artifact.update", "artifact.publish"]


def test_what_happened_in_private_stays_there(service: Glare, receiver: Receiver) -> None:
    """Events of the time when an artifact was private are its owner's alone, though it is public when they become
    messages or are sent.
    """
    made = subscribed(service, service.bob, receiver)
    own = subscribed(service, service.alice, receiver)
    artifact = image(service, "secret name")
    service.alice.upload(artifact, "image", b"x")
    service.alice.set(artifact, name="open name")
    service.alice.activate(artifact)
    service.admin.publish(artifact)
    work(service)
    reported = [one["type"] for one in log(service.bob, made)]
    assert reported == ["artifact.update", "artifact.publish"]
    assert len(log(service.alice, own)) == 7
    assert not any(
        b"secret name" in message.body
        for message in receiver.events()
        if message.headers["webhook-id"] in ids(service.bob, made)
    )


def test_what_was_public_once_is_not_told_again_when_it_is_private(service: Glare, receiver: Receiver) -> None:
    """Both states decide, also where somebody asks for a message a second time: the one that is told, and the one of
    now.
    """
    made = subscribed(service, service.bob, receiver)
    artifact = image(service, "a")
    service.alice.upload(artifact, "image", b"x")
    service.alice.activate(artifact)
    service.admin.publish(artifact)
    work(service)
    delivery = log(service.bob, made)[-1]
    with service.services.db.write() as connection:
        connection.execute(update(artifacts).where(artifacts.c.id == artifact["id"]).values(visibility="private"))
    sent = len(receiver.events())
    path = f"/subscriptions/{made['id']}/deliveries/{delivery['id']}/redelivery"
    assert service.bob.request("POST", path).status_code == 202
    work(service)
    assert len(receiver.events()) == sent
    assert (log(service.bob, made)[-1]["state"], log(service.bob, made)[-1]["reason"]) == ("dropped", "not_visible")


def ids(actor: Any, subscription: Json) -> set[str]:
    """The ids of the messages of a subscription."""
    return {one["id"] for one in log(actor, subscription)}


def test_what_a_subscriber_may_see_is_decided_when_it_is_sent(service: Glare, receiver: Receiver) -> None:
    """An event whose artifact is hidden from the subscriber meanwhile is dropped, and the log says why; the next one is
    sent.
    """
    made = subscribed(service, service.bob, receiver)
    hidden, seen = (image(service, name) for name in "ab")
    for artifact in (hidden, seen):
        service.alice.upload(artifact, "image", b"x")
        service.alice.activate(artifact)
        service.admin.publish(artifact)
    while fan_out(service.services):
        pass
    with service.services.db.write() as connection:
        connection.execute(update(artifacts).where(artifacts.c.id == hidden["id"]).values(visibility="private"))
    work(service)
    assert {message.document["data"]["id"] for message in receiver.events()} == {seen["id"]}
    dropped = log(service.bob, made, "&state=dropped")
    assert {(one["reason"], one["tries"]) for one in dropped} == {("not_visible", 0)}
    assert {one["subject"] for one in dropped} == {f"/artifacts/images/{hidden['id']}"}


def test_a_target_that_has_not_confirmed_gets_no_event(service: Glare, receiver: Receiver) -> None:
    """Pending, then expired: no event is kept for it, until its owner asks again and it confirms."""
    clock = now_clock(service)
    receiver.answer = lambda _: Answer(204)
    made = subscribe(service.alice, receiver.url)
    service.alice.create("images", name="a")
    work(service)
    clock.forward(3 * 24 * HOUR + 1)
    token = receiver.messages[0].document["data"]["token"]
    path = f"/subscriptions/{made['id']}/confirmation"
    assert service.alice.request("POST", path, json={"token": token}).status_code == 409
    sweep(service.services)
    assert state(service.alice, made) == "expired"
    receiver.answer = willing
    assert change(service.alice, made, enabled=True)["state"] == "pending"
    service.alice.create("images", name="b")
    while fan_out(service.services):
        pass
    work(service)
    assert state(service.alice, made) == "active"
    assert receiver.types() == ["subscription.confirmation"] * 2
    assert receiver.messages[1].document["data"]["token"] != token


def test_another_target_has_to_confirm_again(tmp_path: Path, receiver: Receiver) -> None:
    """After a change of the target nothing goes to either, until the new one has confirmed; what waited then goes
    there.
    """
    with Receiver(answer=lambda _: Answer(204)) as second, telling(tmp_path, receiver, second) as glare:
        made = subscribed(glare, glare.alice, receiver)
        glare.alice.create("images", name="a")
        while fan_out(glare.services):
            pass
        assert change(glare.alice, made, target=second.url)["state"] == "pending"
        work(glare)
        assert (receiver.events(), second.types()) == ([], ["subscription.confirmation"])
        token = second.messages[0].document["data"]["token"]
        glare.alice.request("POST", f"/subscriptions/{made['id']}/confirmation", json={"token": token})
        work(glare)
        assert (receiver.events(), second.types()[1:]) == ([], ["artifact.create"])


def test_failures_are_tried_again_later_and_later(service: Glare, receiver: Receiver) -> None:
    """Under one id with a fresh timestamp, after pauses that double; the next message waits for the first one."""
    clock = now_clock(service)
    receiver.answer = refusing(500, 503, 500, 204)
    made = subscribed(service, service.alice, receiver)
    for name in "ab":
        service.alice.create("images", name=name)
    pauses = []
    for _ in range(4):
        began = clock.micros
        tried = len(receiver.events())
        while work(service) == 0 and len(receiver.events()) == tried:
            clock.forward(1)
        pauses.append((clock.micros - began) / 1e6)
    assert pauses[0] == 0
    assert 4 <= pauses[1] <= 7
    assert 8 <= pauses[2] <= 13
    assert 16 <= pauses[3] <= 25
    first = receiver.events()[:4]
    assert len({message.headers["webhook-id"] for message in first}) == 1
    stamps = [int(message.headers["webhook-timestamp"]) for message in first]
    assert stamps == sorted(set(stamps))
    assert states(service.alice, made) == [("delivered", None, 4), ("delivered", None, 1)]


def test_a_target_may_ask_for_time_within_a_bound(service: Glare, receiver: Receiver) -> None:
    """Retry-After is obeyed, and where it asks for longer than the operator's bound, the bound."""
    clock = now_clock(service)
    receiver.answer = refusing(429, **{"Retry-After": "3600"})
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    work(service)
    clock.forward(3599)
    assert work(service) == 0
    receiver.answer = refusing(503, **{"Retry-After": "99999999"})
    clock.forward(2)
    assert work(service) == 1
    clock.forward(6 * HOUR - 2)
    assert work(service) == 0
    clock.forward(4)
    assert work(service) == 1
    assert states(service.alice, made) == [("pending", "status", 3)]


def test_a_message_is_given_up_and_can_be_sent_again(service: Glare, receiver: Receiver) -> None:
    """After `retry_time` it is failed and the next one has its turn; sent again it has the same id, and is
    delivered.
    """
    clock = now_clock(service)
    receiver.answer = refusing(500)
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    work(service)
    clock.forward(24 * HOUR)
    work(service)
    assert [(one[0], one[1]) for one in states(service.alice, made)] == [("failed", "status")]
    assert state(service.alice, made) == "active"
    receiver.answer = willing
    service.alice.create("images", name="b")
    work(service)
    [failed, delivered] = log(service.alice, made)
    assert (failed["state"], failed["status"], delivered["state"]) == ("failed", 500, "delivered")
    path = f"/subscriptions/{made['id']}/deliveries/{failed['id']}"
    answer = service.alice.request("POST", f"{path}/redelivery")
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    work(service)
    assert service.alice.request("GET", path).json()["state"] == "delivered"
    assert receiver.events()[-1].headers["webhook-id"] == failed["id"]
    assert receiver.events()[-1].document["data"]["name"] == "a"
    change(service.alice, made, enabled=False)
    assert service.alice.request("POST", f"{path}/redelivery").status_code == 409
    assert service.alice.request("POST", f"{path}x/redelivery").status_code == 404


def test_a_dead_target_is_suspended_and_others_are_told(tmp_path: Path, receiver: Receiver) -> None:
    """After `suspend_after` of failures it gets nothing, an event says so; switched on again, it gets what waited."""
    with (
        Receiver(answer=refusing(500)) as dead,
        telling(tmp_path, receiver, dead, text="suspend_after = 2 d\n") as glare,
    ):
        clock = now_clock(glare)
        watching = subscribed(glare, glare.alice, receiver, events=["subscription.suspended"])
        made = subscribed(glare, glare.alice, dead)
        elsewhere = subscribed(glare, glare.bob, receiver, events=["subscription.suspended"])
        for name in "abc":
            glare.alice.create("images", name=name)
        for _ in range(60):
            work(glare)
            clock.forward(HOUR)
        assert show(glare.alice, made)["reason"] == "failing"
        assert state(glare.alice, made) == "suspended"
        assert "subscription.suspended" in glare.events()
        [reported] = receiver.events()
        assert reported.document["data"]["subscription"] == {"id": made["id"], "description": "", "reason": "failing"}
        assert len(log(glare.alice, watching)) == 1
        assert log(glare.bob, elsewhere) == []
        tried = len(dead.messages)
        glare.alice.create("images", name="not told")
        work(glare)
        assert len(dead.messages) == tried
        dead.answer = willing
        assert change(glare.alice, made, enabled=True)["state"] == "active"
        work(glare)
        first, *_, last = [one["state"] for one in log(glare.alice, made)]
        assert (first, last) == ("failed", "delivered")
        assert log(glare.alice, made, "&state=pending") == []
        assert show(glare.alice, made)["failing_since"] is None


def test_gone_suspends_at_once(service: Glare, receiver: Receiver) -> None:
    """A target that answers 410 gets no second try."""
    receiver.answer = refusing(410)
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    work(service)
    assert show(service.alice, made)["reason"] == "gone"
    assert state(service.alice, made) == "suspended"
    assert states(service.alice, made) == [("failed", "gone", 1)]


@pytest.mark.sqlite
def test_redirects_are_not_followed(service: Glare, receiver: Receiver) -> None:
    """A target that sends elsewhere has failed, and nothing goes there."""
    receiver.answer = refusing(307, Location="/elsewhere")
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    work(service)
    assert states(service.alice, made) == [("pending", "redirected", 1)]
    assert {message.target for message in receiver.messages} == {"/hook"}


@pytest.mark.sqlite
@pytest.mark.parametrize("host", ["private.test.example", "two.test.example", "nowhere.test.example", "127.0.0.1"])
def test_the_log_does_not_tell_what_is_forbidden(tmp_path: Path, receiver: Receiver, host: str) -> None:
    """A forbidden address, one of two, a name that is not there and a closed port are one: unreachable."""
    with telling(tmp_path, receiver) as glare:
        port = receiver.port
        if host == "127.0.0.1":
            receiver.__exit__(None, None, None)
        made = subscribe(glare.alice, f"http://{host}:{port}/")
        work(glare)
        [asked] = glare.alice.request("GET", f"/subscriptions/{made['id']}/deliveries").json()["deliveries"]
        assert (asked["reason"], asked["status"], asked["tries"]) == ("unreachable", None, 1)
        assert receiver.messages == []
        if host == "127.0.0.1":
            receiver.__enter__()


def test_a_dead_target_delays_nobody_and_projects_take_turns(tmp_path: Path, receiver: Receiver) -> None:
    """Many queues of one project do not keep another project's single one waiting."""
    with telling(tmp_path, receiver, text="max_per_project = -1\n") as glare:
        clock = now_clock(glare)
        for _ in range(4):
            subscribed(glare, glare.alice, receiver, scope={"type_name": "images"})
            clock.forward(1)
        subscribed(glare, glare.bob, receiver, scope={"type_name": "images"})
        for actor in (glare.alice, glare.bob):
            clock.forward(1)
            actor.create("images", name="a")
        while fan_out(glare.services):
            pass
        deliverer, order = Deliverer(glare.services), []
        while deliverer.run_once():
            order.append(receiver.events()[-1].document["data"]["owner"])
            clock.forward(0.001)
        assert order.count("builders") == 1
        assert "builders" in order[:2]


@pytest.mark.parametrize(
    ("step", "sent", "tries"),
    [
        ("glare.db.subscriptions.claim", 0, 0),
        ("glare.db.subscriptions.hold", 0, 0),
        ("glare.operations.subscriptions.deliver.Deliverer._try", 0, 0),
        ("glare.operations.subscriptions.deliver._settle", 1, 0),
        ("glare.operations.subscriptions.deliver._go_on", 1, 0),
        ("glare.db.subscriptions.release", 1, 1),
    ],
)
def test_a_worker_that_dies_loses_nothing(
    service: Glare, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, step: str, sent: int, tries: int
) -> None:
    """Killed at any step, its message comes once its claim has run out: again, under the same id, if it was not written
    down as sent.
    """
    clock = now_clock(service)
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    fan_out(service.services)

    class Killed(BaseException):
        """As a signal ends a process: nothing is cleaned up."""

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(step, die)
        with pytest.raises(Killed):
            Deliverer(service.services).run_once()
    assert len(receiver.events()) == sent
    assert states(service.alice, made) == [("delivered" if tries else "pending", None, tries)]
    if not step.endswith("claim"):
        assert work(service) == 0
    clock.forward(120)
    service.alice.create("secrets", name="b")
    work(service)
    assert states(service.alice, made) == [("delivered", None, 1)] * 2
    names = [message.document["data"]["name"] for message in receiver.events()]
    assert names == ["a"] * (sent + 1 - tries) + ["b"]
    assert len({message.headers["webhook-id"] for message in receiver.events()}) == 2


def test_two_workers_do_not_send_one_message_at_once(service: Glare, receiver: Receiver) -> None:
    """While one sends, others find nothing to do in that queue; each message comes once, and in order."""
    subscribed(service, service.alice, receiver)
    for name in "abc":
        service.alice.create("images", name=name)
    while fan_out(service.services):
        pass
    found: list[int] = []

    def meanwhile(message: Message) -> Answer:
        found.append(Deliverer(service.services).run_once())
        return willing(message)

    receiver.answer = meanwhile
    Deliverer(service.services).run_once()
    assert found == [0, 0, 0]
    assert [message.document["data"]["name"] for message in receiver.events()] == ["a", "b", "c"]


def test_many_workers_together_send_everything_once(service: Glare, receiver: Receiver) -> None:
    """Threads that fan out and deliver at the same time neither lose nor double a message, and keep each queue in
    order.
    """
    made = [subscribed(service, service.alice, receiver) for _ in range(3)]
    receiver.messages.clear()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            deliverer = Deliverer(service.services)
            while not finished.is_set():
                fan_out(service.services)
                deliverer.run_once()
        except BaseException as error:  # noqa: BLE001 - it is told by the test's own thread
            failures.append(error)

    finished = threading.Event()
    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    names = [f"n{number}" for number in range(8)]
    for name in names:
        service.alice.create("images", name=name)
    finished.set()
    for thread in threads:
        thread.join()
    assert failures == []
    work(service)
    for one in made:
        ids = {entry["id"] for entry in log(service.alice, one)}
        came = [message for message in receiver.messages if message.headers["webhook-id"] in ids]
        assert [message.document["data"]["name"] for message in came] == names


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


def test_the_log_is_kept_for_its_retention(service: Glare, receiver: Receiver) -> None:
    """Finished messages go after `log_retention`; one that waits stays, however old."""
    clock = now_clock(service)
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    work(service)
    change(service.alice, made, enabled=False)
    change(service.alice, made, enabled=True)
    service.alice.create("images", name="b")
    fan_out(service.services)
    clock.forward(30 * 24 * HOUR + 60)
    sweep(service.services)
    assert [one["state"] for one in log(service.alice, made)] == ["pending"]


def test_deleted_with_all_its_messages(service: Glare, receiver: Receiver) -> None:
    """Nothing is left of a subscription that is deleted, and what it waited for is not sent."""
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    fan_out(service.services)
    assert service.alice.request("DELETE", f"/subscriptions/{made['id']}").status_code == 204
    work(service)
    assert receiver.events() == []
    with service.services.db.read() as connection:
        assert connection.execute(select(deliveries)).first() is None


@pytest.mark.sqlite
def test_both_secrets_sign_for_a_while(service: Glare, receiver: Receiver) -> None:
    """After a replacement the receiver may verify with either; after the overlap with the new one only."""
    clock = now_clock(service)
    made = subscribed(service, service.alice, receiver)
    new = service.alice.request("POST", f"/subscriptions/{made['id']}/secret", json={}).json()["secret"]
    service.alice.create("images", name="a")
    work(service)
    both = receiver.events()[-1]
    for secret in (made["secret"], new):
        Webhook(secret).verify(both.body, dict(both.headers))
    clock.forward(24 * HOUR + 1)
    service.alice.create("images", name="b")
    work(service)
    assert len(both.headers["webhook-signature"].split(" ")) == 2
    assert len(receiver.events()[-1].headers["webhook-signature"].split(" ")) == 1


def test_no_secret_is_kept_or_logged_in_clear(
    service: Glare, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither secrets nor the token of a confirmation are in any row of the database, or in any record of a log."""
    caplog.set_level(logging.DEBUG)
    receiver.answer = lambda _: Answer(500)
    made = subscribe(service.alice, receiver.url)
    work(service)
    token = receiver.messages[0].document["data"]["token"]
    replaced = service.alice.request("POST", f"/subscriptions/{made['id']}/secret", json={}).json()["secret"]
    secrets = [made["secret"].removeprefix("whsec_"), replaced.removeprefix("whsec_"), token]
    kept = []
    with service.services.db.read() as connection:
        for table in (subscriptions, deliveries, outbox_table):
            kept += [str(dict(row)) for row in connection.execute(select(table)).mappings()]
        kept += [str(row) for row in connection.exec_driver_sql("SELECT * FROM audit").all()]
    formatter = JsonFormatter()
    logged = [formatter.format(record) for record in caplog.records if not record.name.startswith("httpx")]
    assert kept
    assert logged
    for secret in secrets:
        assert not [text for text in (*kept, *logged) if secret in text]


@pytest.mark.sqlite
def test_an_unknown_key_holds_messages_back_and_blames_nobody(tmp_path: Path, receiver: Receiver) -> None:
    """On a node with another key file nothing is sent and no try is counted; with the right one it goes on."""
    with telling(tmp_path, receiver) as glare:
        clock = now_clock(glare)
        made = subscribed(glare, glare.alice, receiver)
        glare.alice.create("images", name="a")
        fan_out(glare.services)
        other = tmp_path / "other.key"
        make_key_file(other)
        Deliverer(replace(glare.services, secrets=SecretBox(other))).run_once()
        assert states(glare.alice, made) == [("pending", None, 0)]
        assert show(glare.alice, made)["failing_since"] is None
        clock.forward(61)
        work(glare)
        assert states(glare.alice, made) == [("delivered", None, 1)]


def test_depths_are_told_to_operators(service: Glare, receiver: Receiver) -> None:
    """Waiting messages, events that are no messages yet and suspended subscriptions are counted, and outcomes too."""
    receiver.answer = refusing(500)
    made = subscribed(service, service.alice, receiver)
    service.alice.create("images", name="a")
    assert depths(service.services)["glare_outbox_unfanned_events"] == 1
    work(service)
    reported = depths(service.services)
    assert (reported["glare_webhook_queue"], reported["glare_webhook_suspended"]) == (1, 0)
    text = service.stranger.request("GET", "/metrics").text
    assert 'glare_webhook_deliveries_total{outcome="retried"} 1.0' in text
    service.services.db.transact(lambda connection: rows.remove(connection, made["id"]))


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
