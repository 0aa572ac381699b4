"""Subscriptions through the API: who may have which, what is shown of them, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from support.audit import entries
from support.origins.receiver import Answer, Receiver
from support.policies import ruled
from support.service import Glare
from support.subscribers import change, show, state, subscribe, telling, work

HOOK = "https://mirror.test.example/hook"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """A service whose subscriptions nobody serves."""
    with telling(tmp_path_factory.mktemp("subscriptions")) as glare:
        yield glare
        assert glare.leftovers() == {}


@pytest.fixture
def somebody(service: Glare, unique: Any) -> Any:
    """An actor of a project of its own."""
    return service.actor(f"somebody:{unique()}:member")


def test_a_subscription_is_shown_as_it_was_made(somebody: Any) -> None:
    """Show and list say what was asked for, and that the target has not confirmed yet."""
    made = subscribe(somebody, HOOK, events=["artifact.create", "location.changed"], description="für mich")
    assert made["state"] == "pending"
    assert made["target"] == HOOK
    assert made["events"] == ["artifact.create", "location.changed"]
    assert made["scope"] is None
    represented = {name: value for name, value in made.items() if name != "secret"}
    assert show(somebody, made) == represented
    listed = somebody.request("GET", "/subscriptions").json()
    assert listed["subscriptions"] == [represented]


def test_a_secret_is_shown_where_it_is_made_and_never_again(service: Glare, somebody: Any) -> None:
    """Creation and replacement answer with one of at least 24 bytes; nothing else does, and the old one stays valid for
    a while.
    """
    made = subscribe(somebody, HOOK)
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) == 32
    Webhook(made["secret"])
    replaced = somebody.request("POST", f"/subscriptions/{made['id']}/secret", json={}).json()
    assert replaced["secret"] != made["secret"]
    assert replaced["old_secret_until"] is not None
    own = "whsec_" + base64.b64encode(b"x" * 24).decode()
    brought = somebody.request("POST", f"/subscriptions/{made['id']}/secret", json={"secret": own})
    assert brought.json()["secret"] == own
    path = f"/subscriptions/{made['id']}"
    texts = [
        *(somebody.request("GET", address).text for address in (path, "/subscriptions", f"{path}/deliveries")),
        somebody.request("PATCH", path, json={"description": "new"}).text,
        str(entries(service)),
    ]
    for secret in (made["secret"], replaced["secret"], own):
        assert not any(secret.removeprefix("whsec_") in text for text in texts)


@pytest.mark.sqlite
def test_policies_decide(service: Glare, somebody: Any, tmp_path: Path) -> None:
    """Each rule of subscriptions is asked, and its override obeyed."""
    made = subscribe(somebody, HOOK)
    path = f"/subscriptions/{made['id']}"
    requests = {
        "create": ("POST", "/subscriptions", {"target": HOOK}),
        "list": ("GET", "/subscriptions", None),
        "get": ("GET", path, None),
        "update": ("PATCH", path, {"description": "new"}),
        "delete": ("DELETE", path, None),
    }
    for verb, (method, address, body) in requests.items():
        options = {} if body is None else {"json": body}
        with ruled(service, tmp_path, {f"subscription:{verb}": "role:admin"}):
            refused = somebody.request(method, address, **options)
            assert (verb, refused.status_code) == (verb, 403)
        assert somebody.request(method, address, **options).is_success


def test_others_do_not_see_it(service: Glare, somebody: Any) -> None:
    """For another project there is no such subscription, whatever it tries; admins see and change it."""
    made = subscribe(somebody, HOOK)
    path = f"/subscriptions/{made['id']}"
    for method, address, body in (
        ("GET", path, None),
        ("PATCH", path, {"enabled": False}),
        ("DELETE", path, None),
        ("POST", f"{path}/secret", {}),
        ("POST", f"{path}/confirmation", {"token": "x"}),
        ("GET", f"{path}/deliveries", None),
        ("GET", f"{path}/deliveries/msg_1", None),
        ("POST", f"{path}/deliveries/msg_1/redelivery", None),
    ):
        options = {"json": body} if body is not None else {}
        assert service.bob.request(method, address, **options).status_code == 404, (method, address)
        assert service.stranger.request(method, address, **options).status_code == 401
        assert service.anonymous.request(method, address, **options).status_code in (401, 403)
    assert service.bob.request("GET", f"/subscriptions?project={made['project']}").status_code == 403
    assert service.anonymous.request("POST", "/subscriptions", json={"target": HOOK}).status_code in (401, 403)
    assert service.admin.request("GET", path).status_code == 200
    assert service.admin.request("GET", f"/subscriptions?project={made['project']}").json()["subscriptions"] != []
    assert service.admin.request("DELETE", path).status_code == 204
    assert somebody.request("GET", path).status_code == 404


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "members"),
        ({}, "target"),
        ({"target": 1}, "target"),
        ({"target": "http://mirror.test.example/"}, "target"),
        ({"target": "https://mirror.test.example:8443/"}, "target"),
        ({"target": "https://user:hunter2@mirror.test.example/"}, "target"),
        ({"target": "https://localhost/"}, "target"),
        ({"target": HOOK, "events": []}, "events"),
        ({"target": HOOK, "events": ["artifact.creat"]}, "events"),
        ({"target": HOOK, "events": "artifact.create"}, "events"),
        ({"target": HOOK, "scope": {"type_name": "nothing"}}, "scope.type_name"),
        ({"target": HOOK, "scope": {"type_name": "images", "artifact": "x"}}, "scope"),
        ({"target": HOOK, "scope": {"artifact": "x"}}, "scope.artifact"),
        ({"target": HOOK, "scope": {"artifact": "\u20ac"}}, "scope.artifact"),
        ({"target": HOOK, "scope": {"location": "0" * 32}}, "scope.location"),
        ({"target": HOOK, "description": "x" * 256}, "description"),
        ({"target": HOOK, "secret": "whsec_c2hvcnQ="}, "secret"),
        ({"target": HOOK, "secret": "hunter2hunter2hunter2hunter2hunter2"}, "secret"),
        ({"target": HOOK, "state": "active"}, "state"),
    ],
)
def test_a_wrong_document_is_refused(service: Glare, body: Any, named: str) -> None:
    """400 with a message that names the member, and never repeats a secret or a password."""
    answer = service.alice.request("POST", "/subscriptions", json=body)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]
    assert "hunter2" not in answer.text


def test_a_scope_must_be_visible_to_the_project(service: Glare, unique: Any) -> None:
    """A private artifact of another project cannot be subscribed to: not by strangers, and not by admins for their own
    project.
    """
    private = service.alice.create("images", name=unique())
    for actor in (service.bob, service.admin):
        answer = actor.request("POST", "/subscriptions", json={"target": HOOK, "scope": {"artifact": private["id"]}})
        assert answer.status_code == 400
    made = subscribe(service.alice, HOOK, scope={"artifact": private["id"]})
    assert made["scope"] == {"artifact": private["id"]}
    assert change(service.alice, made, scope={"type_name": "images"})["scope"] == {"type_name": "images"}


@pytest.mark.sqlite
@pytest.mark.parametrize("query", ["limit=0", "limit=x", "state=perhaps", "marker=x", "other=1", "limit=1&limit=2"])
@pytest.mark.parametrize("deliveries", [False, True])
def test_a_wrong_query_of_a_list_is_refused(service: Glare, somebody: Any, query: str, deliveries: bool) -> None:
    """400 with a message that names the parameter."""
    path = f"/subscriptions/{subscribe(somebody, HOOK)['id']}/deliveries" if deliveries else "/subscriptions"
    answer = somebody.request("GET", f"{path}?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["error"]["message"]


def test_pages_follow_each_other(somebody: Any) -> None:
    """`next` leads through all subscriptions, newest first, each once."""
    made = [subscribe(somebody, HOOK, description=str(number)) for number in range(5)]
    path, found = "/subscriptions?limit=2", []
    while path:
        page = somebody.request("GET", path).json()
        found += [one["id"] for one in page["subscriptions"]]
        path = page.get("next")
    assert sorted(found) == sorted(one["id"] for one in made)
    assert len(found) == 5


def test_a_project_has_so_many_and_no_more(tmp_path: Any) -> None:
    """Beyond `max_per_project` 409, until one is deleted; other projects have their own number."""
    with telling(tmp_path, text="max_per_project = 2\n") as glare:
        first = subscribe(glare.alice, HOOK)
        subscribe(glare.alice, HOOK)
        assert glare.alice.request("POST", "/subscriptions", json={"target": HOOK}).status_code == 409
        subscribe(glare.bob, HOOK)
        assert glare.alice.request("DELETE", f"/subscriptions/{first['id']}").status_code == 204
        subscribe(glare.alice, HOOK)


def test_asking_targets_is_charged_to_the_project(tmp_path: Any) -> None:
    """Whoever makes and deletes subscriptions to have strangers asked meets the limit of outbound requests: 429."""
    with telling(tmp_path, text="[locations]\nproject_requests = 2\n") as glare:
        made = subscribe(glare.alice, HOOK)
        change(glare.alice, made, target=f"{HOOK}/2")
        answer = glare.alice.request("PATCH", f"/subscriptions/{made['id']}", json={"target": f"{HOOK}/3"})
        assert answer.status_code == 429
        assert show(glare.alice, made)["target"] == f"{HOOK}/2"


def test_a_target_is_confirmed_by_hand(tmp_path: Any) -> None:
    """Where the target does not echo the token, its owner sends it; a wrong one is refused, and once is enough."""
    with Receiver(answer=lambda _: Answer(204)) as receiver, telling(tmp_path, receiver) as glare:
        made = subscribe(glare.alice, receiver.url)
        work(glare)
        assert state(glare.alice, made) == "pending"
        data = receiver.messages[0].document["data"]
        path, token = data["confirmation"], data["token"]
        assert glare.alice.request("POST", path, json={"token": "wrong"}).status_code == 403
        assert glare.bob.request("POST", path, json={"token": token}).status_code == 404
        assert glare.alice.request("POST", path, json={}).status_code == 400
        assert glare.alice.request("POST", path, json={"token": token}).json()["state"] == "active"
        assert glare.alice.request("POST", path, json={"token": token}).status_code == 409


@pytest.mark.parametrize("marker", ["1_\u00e9", "1_\u0001", "1_", "\u00e9", "1_%00"])
@pytest.mark.parametrize("path", ["subscriptions", "locations", "takedowns", "audit", "artifacts/images"])
def test_a_marker_that_no_page_gave_breaks_nothing(glare: Glare, path: str, marker: str) -> None:
    """No text reaches the comparison of a column that cannot hold it: it is a place in the order, or refused."""
    answer = glare.admin.request("GET", f"/{path}", params={"marker": marker})
    assert answer.status_code in (200, 400, 404), answer.text
    if not marker.isascii():
        assert answer.status_code != 200
