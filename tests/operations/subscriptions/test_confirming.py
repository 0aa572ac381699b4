"""Targets that have to say that they want to hear."""

from __future__ import annotations

from pathlib import Path

from glare.operations.subscriptions.fan_out import fan_out
from glare.operations.upkeep.sweep import sweep
from support.origins.receiver import Answer, Receiver, willing
from support.service import Glare
from support.subscribers import change, now_clock, state, subscribe, subscribed, telling, work

HOUR = 3600.0


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
