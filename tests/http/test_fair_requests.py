"""Requests wait for their party's turn, without a thread; what nobody waits for is not begun."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from glare.context import PARTY
from glare.http.lanes import weight_of_list
from glare.shares import Party
from support.conversation import Conversation, eventually
from support.service import Glare, path_of, running

NARROW = (
    "[DEFAULT]\nallow_anonymous_access = true\ntrusted_proxies = 127.0.0.0/8\n"
    "[api]\nrequest_threads = 2\nrequest_threads_per_project = 1\nlist_threads = 2\nlist_threads_per_project = 1\n"
    "max_waiting = 3\nmax_waiting_per_project = 2\n"
)
WORKERS = ("glare-requests", "glare-lists", "stream")
ALICE, BOB = Party.project("wonderland"), Party.project("builders")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """A service with two threads of each kind, of which a project may have one."""
    with running(tmp_path_factory.mktemp("narrow"), NARROW) as glare:
        yield glare


@contextmanager
def statements(glare: Glare) -> Iterator[list[Party]]:
    """For each statement that a request's thread sends to the database, whose it was."""
    seen: list[Party] = []

    def note(*_: Any) -> None:
        if threading.current_thread().name.startswith(WORKERS):
            seen.append(PARTY.get())

    event.listen(glare.services.db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(glare.services.db.engine, "before_cursor_execute", note)


def refused(glare: Glare, what: str, reason: str) -> float:
    name = f'glare_refused_total{{reason="{reason}",what="{what}"}} '
    lines = glare.client.get("/metrics").text.splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def test_a_project_that_fills_its_queue_is_refused_and_others_are_not(narrow: Glare) -> None:
    """Two of its requests wait, the third is 429 with Retry-After and without a thread; another project is answered
    meanwhile.
    """
    artifact, other = narrow.alice.create("images", name="a"), narrow.bob.create("images", name="b")
    short = narrow.lanes.short.shares
    with ThreadPoolExecutor(2) as pool:
        with short.hold(ALICE):
            waiting = [pool.submit(narrow.alice.show, artifact) for _ in range(2)]
            eventually(lambda: short.waiting == 2)
            with statements(narrow) as seen:
                answer = narrow.alice.get(artifact)
            assert (answer.status_code, seen) == (429, [])
            assert int(answer.headers["retry-after"]) >= 1
            assert "project wonderland" in answer.json()["error"]["message"]
            assert narrow.bob.show(other)["name"] == "b"
            assert not any(future.done() for future in waiting)
        assert [future.result()["name"] for future in waiting] == ["a", "a"]
    assert refused(narrow, "requests", "party") == 1


def test_where_too_many_wait_the_youngest_of_the_largest_queue_is_refused(narrow: Glare) -> None:
    """With every place taken and every queue full, somebody who has nothing waiting still comes in: another one's
    youngest is 503.
    """
    artifact, other = narrow.alice.create("images", name="c"), narrow.bob.create("images", name="d")
    short = narrow.lanes.short.shares
    with ThreadPoolExecutor(4) as pool:
        with short.hold(ALICE), short.hold(BOB):
            mine = [pool.submit(narrow.alice.get, artifact) for _ in range(2)]
            eventually(lambda: short.waiting == 2)
            theirs = pool.submit(narrow.bob.get, other)
            eventually(lambda: short.waiting == 3)
            stranger = pool.submit(narrow.stranger.request, "GET", path_of(artifact))
            eventually(lambda: any(future.done() for future in mine))
            assert short.waiting == 3
        assert sorted(future.result().status_code for future in mine) == [200, 503]
        assert theirs.result().status_code == 200
        assert stranger.result().status_code == 404
    assert refused(narrow, "requests", "all") == 1


def test_lists_leave_threads_to_short_requests(narrow: Glare) -> None:
    """While a project's lists take all there is for lists, its own artifacts and those of others are shown."""
    artifact = narrow.alice.create("images", name="e")
    lists = narrow.lanes.lists.shares
    with ThreadPoolExecutor(1) as pool:
        with lists.hold(ALICE), lists.hold(BOB):
            waiting = pool.submit(narrow.alice.page, "images", "limit=1000")
            eventually(lambda: lists.waiting == 1)
            assert narrow.alice.show(artifact)["name"] == "e"
            assert not waiting.done()
        assert waiting.result()["artifacts"]


@pytest.mark.parametrize("path", ["/artifacts/images", "/artifacts/images?limit=1000", "/locations", "/subscriptions"])
def test_what_nobody_waits_for_is_not_begun(narrow: Glare, path: str) -> None:
    """A client that leaves while its request waits has cost no statement of the database."""
    lists = narrow.lanes.lists.shares
    before = refused(narrow, "lists", "gone")
    with lists.hold(ALICE):
        with statements(narrow) as seen, Conversation(narrow, "GET", path) as request:
            eventually(lambda: lists.waiting == 1)
            request.hang_up()
            request.wait()
            assert lists.waiting == 0
        assert seen == []
    assert refused(narrow, "lists", "gone") == before + 1


def test_a_list_for_a_client_that_has_left_is_not_begun(narrow: Glare) -> None:
    """A connection that closes behind its request has cost no statement, also where its turn comes at once."""
    before = refused(narrow, "lists", "gone")
    with statements(narrow) as seen:
        for _ in range(10):
            request = Conversation(narrow, "GET", "/artifacts/images?limit=1000")
            request.end()
            request.hang_up()
            with request:
                request.wait()
    assert seen == []
    assert refused(narrow, "lists", "gone") == before + 10


def test_a_document_is_not_lost_while_its_request_waits(narrow: Glare) -> None:
    """A change whose body was read before its turn came happens when it comes."""
    short = narrow.lanes.short.shares
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    with Conversation(narrow, "POST", "/artifacts/images", headers) as request:
        with short.hold(ALICE):
            request.feed(b'{"name": ')
            request.end(b'"waited"}')
            eventually(lambda: short.waiting == 1)
        assert request.answer().status == 201
    assert "waited" in narrow.alice.names("images")


def test_probes_have_threads_of_their_own(narrow: Glare) -> None:
    """While every thread is taken, health, readiness and numbers are answered."""
    short, lists = narrow.lanes.short.shares, narrow.lanes.lists.shares
    with short.hold(ALICE), short.hold(BOB), lists.hold(ALICE), lists.hold(BOB):
        for path in ("/healthz", "/readyz", "/metrics"):
            assert narrow.client.get(path).status_code == 200


def test_the_anonymous_are_parties_by_network(narrow: Glare) -> None:
    """Work for callers without a project belongs to the network that they come from, as the proxy before the service
    names it.
    """
    with statements(narrow) as seen:
        for address in ("198.51.100.7", "198.51.100.8", "203.0.113.1"):
            narrow.stranger.request("GET", "/artifacts/images", headers={"X-Forwarded-For": address})
    assert list(dict.fromkeys(seen)) == [Party("network", "198.51.100.0/24"), Party("network", "203.0.113.0/24")]


def test_work_in_threads_knows_whose_it_is(narrow: Glare) -> None:
    """Whatever a request does in a worker thread is done for its project."""
    with statements(narrow) as seen:
        artifact = narrow.bob.create("images", name="party")
        narrow.bob.upload(artifact, "image", b"data")
        narrow.bob.page("images")
    assert set(seen) == {BOB}


@pytest.mark.parametrize(
    ("query", "weight"),
    [
        ([], 1),
        ([("limit", "100")], 1),
        ([("limit", "101")], 2),
        ([("limit", "9" * 5000)], 2),
        ([("limit", "x")], 1),
        ([("sort", "name:asc,version:asc"), ("marker", "m")], 1),
        ([("name", "a")] * 10, 1),
        ([("name", "a")] * 11, 2),
        ([("tags", "a,b,c,d,e,f,g,h,i,j,k")], 2),
    ],
)
def test_costly_lists_weigh_more(query: list[tuple[str, str]], weight: int) -> None:
    """A large page and many conditions count as two of the threads for lists."""
    assert weight_of_list(query, 25) == weight


def test_requests_that_wait_too_long_are_refused(tmp_path: Path) -> None:
    """Whoever has waited for as long as the setting says hears 503 and when to come back."""
    with running(tmp_path, "[api]\nrequest_threads = 1\nmax_wait = 0.1 s\n") as glare:
        artifact = glare.alice.create("images", name="a")
        with glare.lanes.short.shares.hold(BOB):
            answer = glare.alice.get(artifact)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert refused(glare, "requests", "time") == 1
        assert glare.alice.show(artifact)["name"] == "a"
