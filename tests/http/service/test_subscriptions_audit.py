"""Changes of subscriptions are in the audit log, each in its own transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text
from starlette.routing import Route

from glare.http.call import Endpoint
from glare.http.routes import API
from support.audit import entries
from support.origins.receiver import Answer, Receiver
from support.service import Glare, Json
from support.subscribers import show, subscribe, telling, work

ONE = "/subscriptions/{subscription}"

Change = Callable[[Glare, Json], httpx2.Response]

CHANGES: dict[tuple[str, str], tuple[str, Change]] = {
    ("POST", "/subscriptions"): (
        "subscription.create",
        lambda glare, made: glare.alice.request("POST", "/subscriptions", json={"target": made["target"]}),
    ),
    ("PATCH", ONE): (
        "subscription.update",
        lambda glare, made: glare.alice.request("PATCH", path(made), json={"events": ["artifact.create"]}),
    ),
    ("DELETE", ONE): ("subscription.delete", lambda glare, made: glare.alice.request("DELETE", path(made))),
    ("POST", f"{ONE}/secret"): (
        "subscription.secret",
        lambda glare, made: glare.alice.request("POST", f"{path(made)}/secret", json={}),
    ),
    ("POST", f"{ONE}/confirmation"): (
        "subscription.confirm",
        lambda glare, made: glare.alice.request("POST", f"{path(made)}/confirmation", json={"token": made["token"]}),
    ),
    ("POST", f"{ONE}/deliveries/{{delivery}}/redelivery"): (
        "subscription.redeliver",
        lambda glare, made: glare.alice.request("POST", f"{path(made)}/deliveries/{made['message']}/redelivery"),
    ),
}
"""For each route that changes something: the entry that it leaves, and a way to use it."""


def path(subscription: Json) -> str:
    return f"/subscriptions/{subscription['id']}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that leaves it to its owner to confirm."""
    with Receiver(answer=lambda _: Answer(204)) as server:
        yield server


@pytest.fixture
def service(tmp_path: Path, receiver: Receiver) -> Iterator[Glare]:
    """A service that may send to it."""
    with telling(tmp_path, receiver) as glare:
        yield glare


def pending(service: Glare, receiver: Receiver) -> Json:
    """A subscription with the token and the id of the message that its target got."""
    made = subscribe(service.alice, receiver.url)
    work(service)
    [message] = receiver.messages
    return made | {"token": message.document["data"]["token"], "message": message.headers["webhook-id"]}


def test_every_route_that_changes_something_is_tried_below() -> None:
    """A new route has to say here what it leaves in the audit log."""
    routes = [
        (method, route.path)
        for route in API
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint) and route.path.startswith("/subscriptions")
        for method in route.endpoint.allow.split(", ")
        if method != "GET"
    ]
    assert sorted(routes) == sorted(CHANGES)


@pytest.mark.parametrize(("action", "change"), CHANGES.values(), ids=[action for action, _ in CHANGES.values()])
def test_a_change_of_a_subscription_leaves_its_entry(
    service: Glare, receiver: Receiver, action: str, change: Change
) -> None:
    """One, that says who, in which request, to which subscription and host, and nothing that is secret."""
    made = pending(service, receiver)
    before = len(entries(service))
    answer = change(service, made)
    assert answer.is_success, answer.text
    [entry] = list(reversed(entries(service)))[before:]
    assert (entry["action"], entry["user"], entry["project"]) == (action, "alice", "wonderland")
    assert entry["request_id"] == answer.headers["x-openstack-request-id"]
    assert entry["target"] == (answer.json()["id"] if action == "subscription.create" else made["id"])
    assert entry["detail"]["host"] == f"mirror.test.example:{receiver.port}"
    assert "/hook" not in str(entry)
    assert made["token"] not in str(entry)


@pytest.mark.parametrize(("action", "change"), CHANGES.values(), ids=[action for action, _ in CHANGES.values()])
def test_a_change_of_a_subscription_without_its_entry_does_not_happen(
    service: Glare, receiver: Receiver, action: str, change: Change
) -> None:
    """Where the entry cannot be written, the subscription and its project are as they were."""
    made = pending(service, receiver)
    before = (show(service.alice, made), service.alice.request("GET", f"{path(made)}/deliveries").json())
    with service.services.db.write() as connection:
        connection.execute(text("ALTER TABLE audit RENAME TO elsewhere"))
    assert change(service, made).status_code == 500, action
    with service.services.db.write() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO audit"))
    assert (show(service.alice, made), service.alice.request("GET", f"{path(made)}/deliveries").json()) == before
    assert len(service.alice.request("GET", "/subscriptions").json()["subscriptions"]) == 1


def test_what_the_service_does_by_itself_has_no_actor(tmp_path: Path) -> None:
    """A target that confirms, and one that is gone, leave entries without a user."""
    with Receiver() as receiver, telling(tmp_path, receiver) as glare:
        made = subscribe(glare.alice, receiver.url)
        work(glare)
        receiver.answer = lambda _: Answer(410)
        glare.alice.create("images", name="a")
        work(glare)
        found = [(entry["action"], entry["user"]) for entry in entries(glare) if entry["target"] == made["id"]]
    assert found == [("subscription.suspend", None), ("subscription.confirm", None), ("subscription.create", "alice")]
