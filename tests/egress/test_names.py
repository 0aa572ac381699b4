"""Name look-ups: shared fairly, bounded by party and by site, and our own shortage reported as ours."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from glare.context import PARTY
from glare.egress.decision import Address
from glare.egress.names import NameBounds, Names
from glare.errors import Cause, LocationRefused, OutboundBusy
from glare.shares import Party

HERE = [ip_address("192.0.2.1")]
LONG = 30.0
"""More seconds than any test takes."""


class Server:
    """A system's resolver; names that begin with ``silent`` or ``held`` are answered once `release` is called."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._release = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, host: str) -> Sequence[Address]:
        with self._lock:
            self.asked[host] += 1
        if host.startswith(("silent", "held")):
            self._release.wait(LONG)
        return HERE

    def release(self) -> None:
        self._release.set()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.release()


@pytest.fixture
def threads(server: Server) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as threads:
        yield threads
        server.release()


@contextmanager
def of(party: str) -> Iterator[None]:
    token = PARTY.set(Party.project(party))
    try:
        yield
    finally:
        PARTY.reset(token)


def ask(names: Names, party: str, host: str, seconds: float = LONG) -> Sequence[Address]:
    with of(party):
        return names.addresses(host, seconds)


def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come about, for long enough on any machine."""
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about")


def test_a_silent_site_leaves_places_for_others(server: Server, threads: ThreadPoolExecutor) -> None:
    """However many names of a domain are asked for, few wait at once, and another party's name is answered."""
    names = Names(server, NameBounds(threads=4, of_party=3, of_site=2, patience=0.05, quick=0.05))
    asked = [threads.submit(ask, names, f"p{at % 4}", f"silent{at}.evil.example") for at in range(28)]
    until(lambda: sum(one.done() for one in asked) == 26)
    assert names.under_way == 2
    assert ask(names, "victim", "good.example") == HERE
    refused = [one.exception() for one in asked if one.done()]
    assert all(isinstance(error, OutboundBusy) and error.retry_after for error in refused)


def test_a_slow_look_up_gives_its_place_to_the_next(server: Server, threads: ThreadPoolExecutor) -> None:
    """One thread is enough for names that are answered, whoever else is not."""
    names = Names(server, NameBounds(threads=1, slow_threads=3, quick=0.01))
    for party in "abc":
        threads.submit(ask, names, party, f"silent.{party}.example")
        until(lambda: names.under_way >= 1)
    assert ask(names, "victim", "good.example") == HERE
    until(lambda: names.under_way == 3)


def test_the_wait_for_a_place_is_not_the_time_of_the_look_up(server: Server, threads: ThreadPoolExecutor) -> None:
    """Whoever had to wait has all of its time left, and the caller is told how long it was."""
    names = Names(server, NameBounds(threads=1, slow_threads=1, patience=LONG, quick=LONG))
    first = threads.submit(ask, names, "a", "held.one.example")
    until(lambda: names.under_way == 1)
    waits: list[float] = []

    def second() -> Sequence[Address]:
        with of("b"):
            return names.addresses("good.example", 0.5, waited=waits.append)

    answer = threads.submit(second)
    threading.Event().wait(0.6)
    server.release()
    assert (first.result(LONG), answer.result(LONG)) == (HERE, HERE)
    assert waits[0] >= 0.5


def test_one_party_has_a_bounded_part(server: Server, threads: ThreadPoolExecutor) -> None:
    """A party with many silent domains fills its own part, and no other's."""
    names = Names(server, NameBounds(threads=8, of_party=3, patience=0.0, quick=0.01))
    asked = [threads.submit(ask, names, "evil", f"silent.evil{at}.example") for at in range(12)]
    until(lambda: sum(one.done() for one in asked) == 9)
    assert names.under_way == 3
    assert ask(names, "victim", "good.example") == HERE


def test_the_same_name_is_asked_for_once(server: Server, threads: ThreadPoolExecutor) -> None:
    """Whoever comes while a name is looked up waits for that answer."""
    names = Names(server, NameBounds(threads=1, of_party=1))
    asked: list[Future[Sequence[Address]]] = [threads.submit(ask, names, "a", "held.example")]
    until(lambda: names.under_way == 1)
    asked += [threads.submit(ask, names, f"p{at}", "held.example") for at in range(10)]
    server.release()
    assert [one.result(LONG) for one in asked] == [HERE] * 11
    assert server.asked["held.example"] == 1


def test_a_name_that_was_not_answered_is_left_alone_for_a_moment(server: Server) -> None:
    """The next ones are refused at once as the first one was, and the name server is not asked again."""
    now = 0.0
    names = Names(server, NameBounds(memory=10.0, quick=0.01), clock=lambda: now)
    for _ in range(3):
        with pytest.raises(LocationRefused) as caught:
            ask(names, "a", "silent.example", 0.05)
        assert caught.value.cause is Cause.DNS
    assert server.asked["silent.example"] == 1
    server.release()
    until(lambda: names.under_way == 0)
    now = 11.0
    assert ask(names, "a", "silent.example") == HERE


def test_what_is_remembered_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that were not answered are forgotten, the oldest first, when there are many."""
    monkeypatch.setattr("glare.egress.names._REMEMBERED", 2)
    names = Names(server, NameBounds(memory=LONG))
    for at in range(5):
        names._remember(f"{at}.example")
    assert list(names._silent) == ["3.example", "4.example"]


def test_refusals_are_counted(server: Server, threads: ThreadPoolExecutor) -> None:
    """Each look-up that got no place is counted in the metrics, with the bound that it met."""
    reported: list[tuple[str, str]] = []
    names = Names(
        server,
        NameBounds(threads=1, slow_threads=1, of_site=1, patience=0.0, quick=LONG),
        refused=lambda what, reason: reported.append((what, reason)),
    )
    threads.submit(ask, names, "a", "held.one.example")
    until(lambda: names.under_way == 1)
    for host in ("x.one.example", "x.two.example"):
        with pytest.raises(OutboundBusy):
            ask(names, "b", host)
    assert reported == [("names", "site"), ("names", "time")]


def test_what_is_under_way_is_told(server: Server, threads: ThreadPoolExecutor) -> None:
    """Quick look-ups, those that were not answered soon, and those that wait for a place or for room."""
    names = Names(server, NameBounds(threads=1, slow_threads=1, of_party=2, patience=LONG, quick=0.2))
    assert names.now == (0, 0, 0)
    asked = [threads.submit(ask, names, "one", "silent.example")]
    until(lambda: names.now == (0, 1, 0))
    asked.append(threads.submit(ask, names, "one", "held.example.org"))
    until(lambda: names.under_way == 2)
    asked.append(threads.submit(ask, names, "other", "held.example.net"))
    until(lambda: names.now == (1, 1, 1))
    server.release()
    for one in asked:
        one.result(LONG)
    until(lambda: names.now == (0, 0, 0))
