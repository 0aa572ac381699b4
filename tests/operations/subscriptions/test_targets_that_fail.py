"""Messages that are not taken: when they are sent again, and what becomes of a target that is dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from glare.context import PARTY
from glare.errors import OutboundBusy
from glare.shares import Party
from support.origins.receiver import Receiver, willing
from support.service import Glare
from support.subscribers import (
    change,
    image,
    log,
    now_clock,
    refusing,
    show,
    state,
    states,
    subscribe,
    subscribed,
    telling,
    work,
)

HOUR = 3600.0


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
