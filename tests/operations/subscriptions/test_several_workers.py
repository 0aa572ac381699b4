"""Many workers, and those that die: no message is lost, and none is sent by two at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from glare.operations.subscriptions.deliver import Deliverer
from glare.operations.subscriptions.fan_out import fan_out
from support.origins.receiver import Answer, Message, Receiver, willing
from support.service import Glare
from support.subscribers import log, now_clock, states, subscribed, telling, work


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
        except BaseException as error:  # noqa: BLE001 - it is reported by the test's own thread
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
