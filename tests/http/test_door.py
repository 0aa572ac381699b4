"""What is answered from the head of a request alone is what the long way answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from glare.http import door
from glare.http.door import Ready
from glare.shares import Party
from support.service import ACTORS, Glare, running

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

NARROW = (
    "[DEFAULT]\nallow_anonymous_access = true\n"
    "[api]\nprobe_age = 60 s\nlist_threads = 2\nlist_threads_per_project = 1\nmax_waiting_per_project = 1\n"
)
ALICE, BOB, STRANGERS = Party.project("wonderland"), Party.project("builders"), Party.network("127.0.0.1")
LISTS = "/artifacts/images?limit=1000"
LINE = re.compile(r"GET /artifacts/\{type_name\} 429, (\d+) times at once")
RANDOM = {"x-openstack-request-id", "content-length"}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """A service with one place for the lists of each project, and one that waits."""
    with running(tmp_path_factory.mktemp("narrow"), NARROW) as glare:
        yield glare


def scope_of(method: str, path: str, token: str | None = None, peer: str = "127.0.0.1", **headers: str) -> Any:
    """As the server makes it."""
    raw, _, query = path.partition("?")
    fields = {**({"x-auth-token": token} if token else {}), **headers}
    return {
        "type": "http",
        "method": method,
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()],
        "client": (peer, 50000),
    }


def at_once(glare: Glare, *about: Any, **headers: Any) -> Ready | None:
    app: Any = glare.client.app
    found: Ready | None = app.at_once(scope_of(*about, **headers))
    return found


def counted(glare: Glare, line: str) -> float:
    """The value of a line of the numbers that are kept, whatever is at hand for probes."""
    text = (glare.services.metrics.render({}) or b"").decode()
    return sum(float(found.rpartition(" ")[2]) for found in text.splitlines() if found.startswith(line))


@pytest.fixture
def overrun(narrow: Glare) -> Iterator[Glare]:
    """Alice's project has a list under way, and one that waits; the next one has been refused the long way."""
    lists = narrow.lanes.lists.shares
    with lists.hold(ALICE):
        waiting = lists._enter(ALICE, 1, lambda _: None)
        assert narrow.alice.request("GET", LISTS, headers={"Accept": "*/*"}).status_code == 429
        yield narrow
        lists._leave(waiting)
    app: Any = narrow.client.app
    app._door._kept.clear()


def test_a_refusal_at_once_is_that_of_the_long_way(overrun: Glare) -> None:
    """Status, body and headers are the same, but for the id of the request."""
    slow = overrun.alice.request("GET", LISTS, headers={"Accept": "*/*"})
    ready = at_once(overrun, "GET", LISTS, ACTORS["alice"], accept="*/*")
    assert ready is not None
    status, headers, body = ready
    assert (status, body) == (slow.status_code, slow.content)
    shown = {name.decode(): value.decode() for name, value in headers}
    assert {name: value for name, value in shown.items() if name not in RANDOM} == {
        name: value for name, value in slow.headers.items() if name not in RANDOM
    }
    assert int(shown["retry-after"]) >= 1
    assert shown["content-length"] == str(len(body))
    assert shown["x-openstack-request-id"].startswith("req-")


def test_a_refusal_about_links_is_kept_from_caches_too(narrow: Glare) -> None:
    """At once as the long way; and who reads by a link speaks no version."""
    path = "/links/1.abc/image"
    short = narrow.lanes.short.shares
    with ExitStack() as held:
        for _ in range(short.bounds.of_party + 1):  # One of them waits, and there is no place for another one.
            held.callback(short._leave, short._enter(STRANGERS, 1, lambda _: None))
        slow = narrow.stranger.request("GET", path, headers={"Accept": "*/*"})
        ready = at_once(narrow, "GET", path, accept="*/*")
        held.callback(narrow.client.app._door._kept.clear)  # type: ignore[attr-defined]  # it is within
    assert slow.status_code == 429
    assert ready is not None
    status, headers, body = ready
    assert (status, body) == (slow.status_code, slow.content)
    shown = {name.decode(): value.decode() for name, value in headers}
    assert shown["cache-control"] == "private, no-store"
    assert {name: value for name, value in shown.items() if name not in RANDOM} == {
        name: value for name, value in slow.headers.items() if name not in RANDOM
    }


def test_it_has_the_id_that_the_client_gives(overrun: Glare) -> None:
    """So that both sides talk of the same request."""
    given = "req-11111111-2222-4333-8444-555555555555"
    ready = at_once(overrun, "GET", LISTS, ACTORS["alice"], accept="*/*", x_openstack_request_id=given)
    assert ready is not None
    assert dict(ready[1])[b"x-openstack-request-id"] == given.encode()


def test_it_is_counted_as_others_are(overrun: Glare) -> None:
    """By what there is too little of at once, and as an answer within a second."""
    refused = 'glare_refused_total{reason="party",what="lists"}'
    answered = 'glare_http_requests_total{method="GET",route="/artifacts/{type_name}",status="429"}'
    app: Any = overrun.client.app
    app._door.tell()
    before = counted(overrun, refused), counted(overrun, answered)
    for _ in range(3):
        assert at_once(overrun, "GET", LISTS, ACTORS["alice"], accept="*/*")
    app._door.tell()
    assert (counted(overrun, refused), counted(overrun, answered)) == (before[0] + 3, before[1] + 3)


@pytest.mark.parametrize(
    "about",
    [
        ("GET", LISTS, ACTORS["bob"]),
        ("GET", LISTS, "mallory:wonderland:member"),
        ("GET", LISTS, None),
        ("GET", LISTS, ACTORS["alice"], "127.0.0.9"),
        ("POST", LISTS, ACTORS["alice"]),
        ("OPTIONS", LISTS, ACTORS["alice"]),
        ("GET", "/artifacts/images/11111111-2222-4333-8444-555555555555", ACTORS["alice"]),
        ("GET", "/locations", ACTORS["alice"]),
        ("GET", "*", ACTORS["alice"]),
    ],
)
def test_nobody_and_nothing_else_is_refused_for_it(overrun: Glare, about: tuple[Any, ...]) -> None:
    """Another caller, the same from elsewhere, and other kinds of requests go the long way."""
    assert at_once(overrun, *about, accept="*/*") is None


def test_another_version_is_looked_at_by_itself(overrun: Glare) -> None:
    """The answer names the version, and there may be none such."""
    assert at_once(overrun, "GET", LISTS, ACTORS["alice"], accept="*/*", openstack_api_version="artifact 9.9") is None


def test_where_there_is_room_again_nobody_is_refused(narrow: Glare) -> None:
    """A refusal that is remembered stands for as long as the bound is reached, and not longer."""
    lists = narrow.lanes.lists.shares
    with lists.hold(ALICE):
        waiting = lists._enter(ALICE, 1, lambda _: None)
        assert narrow.alice.request("GET", LISTS, headers={"Accept": "*/*"}).status_code == 429
        assert at_once(narrow, "GET", LISTS, ACTORS["alice"], accept="*/*")
        lists._leave(waiting)
        assert at_once(narrow, "GET", LISTS, ACTORS["alice"], accept="*/*") is None
    assert narrow.alice.page("images", "limit=1000")["artifacts"] == []


def test_a_caller_is_looked_at_again_after_a_while(overrun: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its token may have ended, or belong to another project by then."""
    app: Any = overrun.client.app
    now = app._door._clock()
    monkeypatch.setattr(app._door, "_clock", lambda: now + door._SECONDS + 1)
    assert at_once(overrun, "GET", LISTS, ACTORS["alice"], accept="*/*") is None


def test_the_anonymous_of_a_network_are_refused_together(narrow: Glare) -> None:
    """Whichever of its addresses they come from; those of another network are not."""
    lists = narrow.lanes.lists.shares
    with lists.hold(STRANGERS):
        waiting = lists._enter(STRANGERS, 1, lambda _: None)
        assert narrow.stranger.request("GET", LISTS, headers={"Accept": "*/*"}).status_code == 429
        assert at_once(narrow, "GET", LISTS, None, "127.0.0.77", accept="*/*")
        assert at_once(narrow, "GET", LISTS, None, "127.0.1.1", accept="*/*") is None
        lists._leave(waiting)


def test_memory_of_refusals_is_bounded(overrun: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is refused in ever new shapes is refused the long way, and nothing grows."""
    monkeypatch.setattr(door, "_KEPT", 3)
    for number in range(6):
        assert overrun.actor(f"u{number}:wonderland:member").request("GET", LISTS).status_code == 429
    app: Any = overrun.client.app
    assert len(app._door._kept) <= 4


@pytest.mark.parametrize("path", ["/healthz", "/healthcheck", "/readyz", "/metrics"])
def test_probes_are_answered_at_once_as_the_long_way(narrow: Glare, path: str) -> None:
    """From what was found within their age; they are asked the long way first, where nothing was."""
    slow = narrow.client.get(path)
    ready = at_once(narrow, "GET", path)
    assert slow.status_code == 200
    assert ready is not None
    status, headers, body = ready
    assert (status, body) == (200, slow.content)
    shown = {name.decode(): value.decode() for name, value in headers}
    assert {**shown, "x-openstack-request-id": ""} == {**slow.headers, "x-openstack-request-id": ""}


@pytest.mark.parametrize(
    ("path", "peer", "headers"),
    [
        ("/metrics", "192.0.2.1", {}),
        ("/metrics", "127.0.0.1", {"x_forwarded_for": "192.0.2.1"}),
        ("/healthz", "127.0.0.1", {"accept": "application/json"}),
    ],
)
def test_what_a_probe_may_not_see_goes_the_long_way(
    narrow: Glare, path: str, peer: str, headers: dict[str, str]
) -> None:
    """Where it is refused, or answered in another form."""
    assert at_once(narrow, "GET", path, None, peer, **headers) is None


def test_a_process_that_leaves_answers_nothing_at_once(overrun: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says then is said the long way: that it is stopping."""
    app: Any = overrun.client.app
    monkeypatch.setattr(app._application.drain, "leaving", True)
    assert at_once(overrun, "GET", LISTS, ACTORS["alice"], accept="*/*") is None
    assert at_once(overrun, "GET", "/readyz") is None


def test_those_of_a_second_leave_one_line(overrun: Glare, caplog: pytest.LogCaptureFixture) -> None:
    """How many they were, and whose. A second may end among them, and then there are two lines."""
    app: Any = overrun.client.app
    app._door.tell()
    caplog.clear()
    with caplog.at_level("INFO", "glare.access"):
        for _ in range(30):
            assert at_once(overrun, "GET", LISTS, ACTORS["alice"], accept="*/*")
        app._door.tell()
        app._door.tell()
    records = [record for record in caplog.records if record.name == "glare.access"]
    lines = [LINE.fullmatch(record.getMessage()) for record in records]
    assert len(lines) < 10
    assert sum(int(line[1]) for line in lines if line) == 30
    assert all("project wonderland" in record.__dict__["reason"] for record in records)
