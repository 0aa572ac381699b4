"""Who may hear of what happens: decided again when it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import update

from glare.db.rows import fetch_artifact
from glare.db.tables import artifacts
from glare.domain.blob import Slot
from glare.operations.locations.events import location_event as recorded_location_event
from glare.operations.subscriptions.fan_out import fan_out
from support.origins.origin import Origin
from support.origins.receiver import Receiver
from support.service import Glare, Json
from support.subscribers import happen, image, log, subscribed, telling, work


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
