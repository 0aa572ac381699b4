"""Fair shares: bounds, order, refusals."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.errors import ClientDisconnected, GlareError, TooManyRequests, Unavailable
from glare.shares import Bounds, Party, Shares, _Ticket

A, B = Party.project("a"), Party.project("b")


class _Queue:
    """A `Shares` whose tickets come and go by hand; `order` is who was let in."""

    def __init__(
        self, *, together: int = 1, of_party: int = 1, waiting: int = 2000, waiting_of_party: int = 2000
    ) -> None:
        self.now = 0.0
        self.refusals: list[str] = []
        self.errors: list[GlareError] = []
        self.shares = Shares(
            "test",
            Bounds(together, of_party, waiting, waiting_of_party, patience=30.0),
            refused=lambda _, reason: self.refusals.append(reason),
            clock=lambda: self.now,
        )
        self.order: list[Party] = []
        self.tickets: list[_Ticket] = []

    def come(self, party: Party, weight: int = 1) -> None:
        def settle(error: GlareError | None) -> None:
            if error is None:
                self.order.append(party)
            else:
                self.errors.append(error)

        self.tickets.append(self.shares._enter(party, weight, settle))

    def inside(self) -> list[_Ticket]:
        return [ticket for ticket in self.tickets if ticket.inside]

    def go(self, ticket: _Ticket, seconds: float = 1.0) -> None:
        self.now += seconds
        self.shares._leave(ticket)


def test_a_thousand_that_wait_delay_another_party_by_one() -> None:
    """The party that has had least comes next, whatever stands before it."""
    queue = _Queue()
    for _ in range(1000):
        queue.come(A)
    queue.come(B)
    queue.go(queue.inside()[0])
    queue.go(queue.inside()[0])
    assert queue.order == [A, B, A]


def test_time_is_shared_and_not_turns() -> None:
    """A party whose work takes nine times as long gets fewer turns."""
    queue = _Queue()
    for _ in range(50):
        queue.come(A)
        queue.come(B)
    for _ in range(30):
        ticket = queue.inside()[0]
        queue.go(ticket, 9.0 if ticket.party == A else 1.0)
    turns = Counter(queue.order)
    assert turns[B] > 5 * turns[A]


def test_who_comes_back_after_a_pause_has_saved_nothing() -> None:
    """A party cannot collect turns by staying away and take them all at once."""
    queue = _Queue()
    queue.come(B)
    queue.go(queue.inside()[0])
    for _ in range(100):
        queue.come(A)
        queue.go(queue.inside()[0])
    for _ in range(10):
        queue.come(A)
        queue.come(B)
    queue.order.clear()
    for _ in range(6):
        queue.go(queue.inside()[0])
    turns = Counter(queue.order)
    assert turns[A] >= 2
    assert turns[B] <= 4


def test_one_party_never_has_more_than_its_share() -> None:
    """What is free beyond it stays free for others."""
    queue = _Queue(together=4, of_party=3)
    for _ in range(10):
        queue.come(A)
    assert len(queue.inside()) == 3
    queue.come(B)
    assert Counter(ticket.party for ticket in queue.inside()) == {A: 3, B: 1}


def test_a_full_queue_of_a_party_refuses_that_party_only() -> None:
    """It is its own doing, and says so; others still come in."""
    queue = _Queue(waiting_of_party=2)
    for _ in range(4):
        queue.come(A)
    queue.come(B)
    assert queue.refusals == ["party"]
    assert queue.shares.waiting == 3


def test_who_would_wait_too_long_is_refused_at_once() -> None:
    """With work that takes three seconds and one place, ten wait within their thirty; the next one hears at once that
    it cannot, and another party still comes in.
    """
    queue = _Queue()
    queue.come(A)
    queue.go(queue.inside()[0], 3.0)
    for _ in range(13):
        queue.come(A)
    assert queue.refusals == ["time"]
    assert queue.shares.queues() == {A: (0, 11)}
    queue.come(B)
    assert queue.refusals == ["time"]


def test_a_party_without_a_past_waits() -> None:
    """How long its work takes is not known, so only the bounds of queues refuse it."""
    queue = _Queue()
    for _ in range(1000):
        queue.come(A)
    assert queue.refusals == []


@pytest.mark.parametrize(("waiting", "of_party"), [(2, 2000), (2000, 2)], ids=["all", "party"])
def test_a_refusal_can_be_asked_again(waiting: int, of_party: int) -> None:
    """It stands as long as the bound does, counts as one each time, and takes nothing from anybody."""
    queue = _Queue(waiting=waiting, waiting_of_party=of_party)
    for _ in range(4):
        queue.come(A)
    (reason,) = queue.refusals
    refusal = queue.errors[-1]
    assert refusal.again is not None
    again = refusal.again()
    assert (type(again), again and again.message) == (type(refusal), refusal.message)
    assert queue.refusals == [reason, reason]
    assert queue.shares.waiting == 2
    queue.go(queue.inside()[0])
    assert refusal.again() is None
    assert queue.refusals == [reason, reason]


def test_who_has_waited_is_not_asked_again() -> None:
    """That says nothing of what becomes of the next one."""
    shares = Shares("test", Bounds(1, 1, 10, 5, patience=0.01))
    with shares.hold(A), pytest.raises(Unavailable) as late, shares.hold(B):
        pass
    assert late.value.again is None


def test_where_all_is_full_the_longest_queue_makes_room() -> None:
    """A party that waits with one is not refused because another waits with many."""
    queue = _Queue(waiting=5)
    for _ in range(6):
        queue.come(A)
    queue.come(B)
    assert queue.refusals == ["all"]
    queue.go(queue.inside()[0])
    assert queue.order[-1] == B
    queue.come(A)
    queue.come(A)
    assert queue.refusals == ["all", "all"]


def test_weights_count() -> None:
    """A heavy one waits until so much is free, and is not passed by for ever."""
    queue = _Queue(together=4, of_party=4)
    queue.come(A, 3)
    queue.come(B, 3)
    queue.come(A, 1)
    queue.come(A, 1)
    assert queue.order == [A]
    queue.go(queue.inside()[0])
    assert queue.order[:2] == [A, B]


def test_errors_say_when_to_come_back() -> None:
    """Each refusal carries seconds, and its sentence names them."""
    shares = Shares("test", Bounds(1, 1, 10, 0, patience=0.05))
    with shares.hold(A):
        with pytest.raises(TooManyRequests) as own, shares.hold(A):
            pass
        other = Shares("test", Bounds(1, 1, 10, 5, patience=0.05))
        with other.hold(A), pytest.raises(Unavailable) as late, other.hold(B):
            pass
    assert own.value.retry_after == 1
    assert "again in 1 s" in own.value.message
    assert late.value.retry_after == 1
    assert (shares.in_use, shares.waiting, other.in_use, other.waiting) == (0, 0, 0, 0)


def test_a_thread_whose_client_has_gone_leaves_the_queue() -> None:
    """What nobody waits for is not done."""
    shares = Shares("test", Bounds(1, 1, 10, 5, patience=30.0))
    with shares.hold(A):
        with pytest.raises(ClientDisconnected), shares.hold(B, cancelled=ClientDisconnected):
            pass
        assert shares.waiting == 0


def test_a_task_that_is_cancelled_leaves_the_queue() -> None:
    """On the event loop likewise, and what was waiting behind it moves up."""

    async def run() -> None:
        shares = Shares("test", Bounds(1, 1, 10, 5, patience=30.0))

        async def one() -> None:
            async with shares.share(B):
                raise AssertionError

        async with shares.share(A):
            waiting = asyncio.create_task(one())
            await asyncio.sleep(0)
            assert shares.waiting == 1
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert shares.waiting == 0
        assert shares.in_use == 0

    asyncio.run(run())


def test_threads_and_the_event_loop_share() -> None:
    """A part that a thread gives back wakes a task that waits for it."""

    async def run() -> None:
        shares = Shares("test", Bounds(1, 1, 10, 5, patience=30.0))
        inside, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with shares.hold(A):
                inside.set()
                leave.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        await asyncio.to_thread(inside.wait, 30)
        asyncio.get_running_loop().call_later(0.01, leave.set)
        async with shares.share(B):
            assert shares.in_use == 1
        thread.join()

    asyncio.run(run())


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 4), st.booleans()), max_size=60))
def test_no_bound_is_ever_passed(steps: list[tuple[str, int, bool]]) -> None:
    """Whatever comes and goes: sums stay below the bounds, nobody is lost, and at the end nothing is held."""
    queue = _Queue(together=5, of_party=3, waiting=6, waiting_of_party=3)
    for name, weight, leaves in steps:
        if leaves and queue.inside():
            queue.go(queue.inside()[0])
        else:
            queue.come(Party.project(name), weight)
        inside = queue.inside()
        by_party = Counter[Party]()
        for ticket in inside:
            by_party[ticket.party] += ticket.weight
        assert sum(by_party.values()) == queue.shares.in_use <= 5
        assert max(by_party.values(), default=0) <= 3
        assert queue.shares.waiting <= 6
        assert len(queue.order) + len(queue.refusals) + queue.shares.waiting == len(queue.tickets)
    while queue.inside():
        queue.go(queue.inside()[0])
    assert (queue.shares.in_use, queue.shares.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("unix", "unknown"),
    ],
)
def test_the_anonymous_are_told_apart_by_network(address: str | None, name: str) -> None:
    """A caller who has many addresses of one network is one party."""
    assert Party.network(address) == Party("network", name)


def test_who_has_gone_while_it_waited_is_not_begun() -> None:
    """A task is told so at once, leaves the queue, and counts as refused; whoever is let in at once watches for
    nothing.
    """

    async def run() -> None:
        refusals: list[str] = []
        shares = Shares("test", Bounds(1, 1, 10, 5, patience=30.0), refused=lambda _, reason: refusals.append(reason))
        left = asyncio.Event()
        watched = 0

        async def gone() -> None:
            nonlocal watched
            watched += 1
            await left.wait()

        async def one() -> None:
            async with shares.share(B, gone=gone):
                raise AssertionError

        async with shares.share(A, gone=gone):
            waiting = asyncio.create_task(one())
            await asyncio.sleep(0)
            left.set()
            with pytest.raises(ClientDisconnected):
                await waiting
            assert (shares.waiting, watched, refusals) == (0, 1, ["gone"])
        assert shares.in_use == 0

    asyncio.run(run())


def test_what_is_there_already_is_taken_whatever_the_bounds() -> None:
    """It counts, others wait until it has been given back, and a party that has all of its share is told so."""
    shares = Shares("answers", Bounds(together=4, of_party=2, waiting=5, waiting_of_party=5, patience=0.01))
    shares.require_room(A)
    with shares.take(A, 3), shares.take(A, 3):
        assert shares.in_use == 6
        with pytest.raises(TooManyRequests):
            shares.require_room(A)
        shares.require_room(B)
        with pytest.raises(Unavailable), shares.hold(B):
            pass
    assert shares.in_use == 0
    shares.require_room(A)
    with shares.hold(A, 2):
        assert shares.in_use == 2
