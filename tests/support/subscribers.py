"""A service whose webhooks may go to receivers on loopback, and the work of its worker step by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glare.db import outbox
from glare.domain.events import Event
from glare.operations.subscriptions.deliver import Deliverer
from glare.operations.subscriptions.fan_out import fan_out
from support.origins.receiver import Answer, Message, Receiver, willing
from support.runs.clock import Clock
from support.service import ActorClient, Glare, Json, running


@contextmanager
def telling(directory: Path, *receivers: Receiver, text: str = "", ports: tuple[int, ...] = ()) -> Iterator[Glare]:
    """A service without a worker that may send to these receivers; `ports` are those of origins."""
    opened = ",".join(str(receiver.port) for receiver in receivers) or "443"
    schemes = "https" if all(receiver.tls is not None for receiver in receivers) else "http, https"
    options = f"[subscriptions]\nallowed_schemes = {schemes}\nallowed_ports = {opened}\ndelivery_timeout = 5 s\n{text}"
    with running(directory, options, ports=ports or (80, 443)) as glare:
        yield glare


def now_clock(glare: Glare) -> Clock:
    """A clock that begins now: receivers compare the time of a signature with theirs."""
    return Clock(glare, datetime.now(UTC).isoformat())


def work(glare: Glare) -> int:
    """Do what a worker would do now, until nothing is left; returns how many queues were served."""
    while fan_out(glare.services):
        pass
    deliverer, served = Deliverer(glare.services), 0
    while deliverer.run_once():
        served += 1
    return served


def subscribe(actor: ActorClient, url: str, **members: Any) -> Json:
    """A new subscription, with its secret."""
    answer = actor.request("POST", "/subscriptions", json={"target": url, **members})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


def subscribed(glare: Glare, actor: ActorClient, receiver: Receiver, **members: Any) -> Json:
    """A subscription that its receiver has confirmed, with its secret."""
    made = subscribe(actor, receiver.url, **members)
    work(glare)
    assert state(actor, made) == "active"
    return made


def show(actor: ActorClient, subscription: Json) -> Json:
    """As it is now."""
    answer = actor.request("GET", f"/subscriptions/{subscription['id']}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def state(actor: ActorClient, subscription: Json) -> str:
    """What it is now."""
    return str(show(actor, subscription)["state"])


def change(actor: ActorClient, subscription: Json, **members: Any) -> Json:
    """The subscription after a change that works."""
    answer = actor.request("PATCH", f"/subscriptions/{subscription['id']}", json=members)
    assert answer.status_code == 200, answer.text
    changed: Json = answer.json()
    return changed


def log(actor: ActorClient, subscription: Json, query: str = "") -> list[Json]:
    """The deliveries of events, oldest first, without confirmations."""
    answer = actor.request("GET", f"/subscriptions/{subscription['id']}/deliveries?limit=1000{query}")
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["deliveries"]
    return [one for one in reversed(found) if one["type"] != "subscription.confirmation"]


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
