"""Who hears of what is shared: the owner, members since they are there, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from support.origins.receiver import Receiver
from support.service import Glare, Json
from support.subscribers import log, subscribe, subscribed, telling, work

SINCE: Final = {"OpenStack-API-Version": "artifact 1.3"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def service(tmp_path: Path, receiver: Receiver) -> Iterator[Glare]:
    with telling(tmp_path, receiver) as glare:
        yield glare
        assert glare.leftovers() == {}


def active(service: Glare, name: str) -> Json:
    artifact = service.alice.create("images", name=name, disk_format="raw", container_format="bare")
    service.alice.upload(artifact, "image", b"x")
    return service.alice.activate(artifact)


def turn(service: Glare, artifact: Json, visibility: str) -> None:
    step = {"op": "replace", "path": "/visibility", "value": visibility}
    assert service.alice.patch(artifact, step, headers=SINCE).status_code == 200


def describe(service: Glare, artifact: Json, text: str) -> None:
    assert service.alice.set(artifact, description=text).status_code == 200


def add(service: Glare, artifact: Json, project: str = "builders") -> None:
    path = f"/members/{artifact['id']}"
    assert service.alice.request("POST", path, json={"project": project}, headers=SINCE).status_code == 201


def decide(service: Glare, artifact: Json, status: str) -> None:
    path = f"/members/{artifact['id']}/builders"
    assert service.bob.request("PUT", path, json={"status": status}, headers=SINCE).status_code == 200


def heard(actor: Any, subscription: Json) -> list[str]:
    """The types of what was sent to a subscription, oldest first, without the request to confirm."""
    found = [one["type"] for one in log(actor, subscription) if one["state"] == "delivered"]
    return [one for one in found if one != "subscription.confirmation"]


def test_a_member_hears_of_what_its_lists_show(service: Glare, receiver: Receiver) -> None:
    """Of itself always; of the artifact from the time on when it has accepted it, and never of other members."""
    everything = subscribed(service, service.bob, receiver)
    other = subscribed(service, service.actor("u:strangers:member"), receiver)
    artifact = active(service, "shared")
    turn(service, artifact, "shared")
    add(service, artifact, "others")
    add(service, artifact)
    describe(service, artifact, "told while it is pending")
    work(service)
    assert heard(service.bob, everything) == ["member.added"]
    decide(service, artifact, "accepted")
    describe(service, artifact, "told")
    work(service)
    assert heard(service.bob, everything) == ["member.added", "member.changed", "artifact.update"]
    turn(service, artifact, "private")
    describe(service, artifact, "not told")
    work(service)
    assert heard(service.bob, everything)[3:] == ["member.removed"]
    assert heard(service.actor("u:strangers:member"), other) == []
    of_bob = {one["id"] for one in log(service.bob, everything)}
    sent = b"".join(one.body for one in receiver.events() if one.headers["webhook-id"] in of_bob)
    assert b"others" not in sent
    assert b"not told" not in sent


def test_a_subscription_that_names_an_artifact_hears_of_what_may_be_got(service: Glare, receiver: Receiver) -> None:
    """Also of community, and of what is not accepted; nobody subscribes to what they may not get."""
    artifact = active(service, "named")
    turn(service, artifact, "shared")
    asked = {"target": receiver.url, "scope": {"artifact": artifact["id"]}}
    assert service.bob.request("POST", "/subscriptions", json=asked).status_code == 400
    add(service, artifact)
    named = subscribed(service, service.bob, receiver, scope={"artifact": artifact["id"]})
    everything = subscribed(service, service.bob, receiver)
    describe(service, artifact, "one")
    work(service)
    turn(service, artifact, "community")
    describe(service, artifact, "two")
    work(service)
    assert heard(service.bob, named) == [
        "artifact.update", "member.removed", "artifact.update", "artifact.communitize", "artifact.update",
    ]  # fmt: skip
    assert heard(service.bob, everything) == ["member.removed"]


def test_a_removed_member_hears_no_more(service: Glare, receiver: Receiver) -> None:
    """What happened while it was a member is not sent once it is none; who comes back hears of what comes then."""
    subscription = subscribe(service.bob, receiver.url)
    work(service)
    artifact = active(service, "back and forth")
    turn(service, artifact, "shared")
    add(service, artifact)
    decide(service, artifact, "accepted")
    describe(service, artifact, "not sent in time")
    path = f"/members/{artifact['id']}/builders"
    assert service.alice.request("DELETE", path, headers=SINCE).status_code == 204
    add(service, artifact)
    decide(service, artifact, "accepted")
    work(service)
    told = heard(service.bob, subscription)
    assert told == ["member.added", "member.changed", "member.removed", "member.added", "member.changed"]
    service.alice.delete(artifact)
    work(service)
    assert heard(service.bob, subscription)[5:] == ["member.removed"]
