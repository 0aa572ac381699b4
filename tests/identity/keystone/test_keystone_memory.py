"""What a process remembers of tokens is bounded, and ends when it has to."""

from __future__ import annotations

import math

from glare.domain.actor import Actor
from glare.identity.keystone.memory import ActorMemory, TokenMemory

ANN = Actor("ann", "p1", frozenset({"member"}))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_values_end_with_their_time() -> None:
    """A value is there for as long as it may be; one that may not be kept, or no longer, is not there."""
    clock = Clock()
    memory = TokenMemory(1 << 20, clock)
    memory.set("a", b"1", time=10)
    memory.set("b", b"2", time=-1)
    assert (memory.get("a"), memory.get("b")) == (b"1", None)
    memory.set("a", b"3", time=0)
    assert memory.get("a") is None
    memory.set("a", b"1", time=10)
    clock.now += 10
    assert memory.get("a") is None
    assert memory.held == 0


def test_bytes_are_bounded() -> None:
    """What was used least goes first, and a value that is larger than everything is not kept."""
    memory = TokenMemory(4000)
    for name in "abc":
        memory.set(name, b"x" * 1000, time=10)
    assert memory.get("a") is not None
    memory.set("d", b"x" * 1000, time=10)
    assert [name for name in "abcd" if memory.get(name) is not None] == ["a", "c", "d"]
    assert memory.held <= 4000
    memory.set("e", b"x" * 5000, time=10)
    assert memory.held == 0


def test_it_tells_when_the_first_ends_of_what_was_looked_at() -> None:
    """A decision from several values holds for as long as all of them; outside of the block nothing is told."""
    clock = Clock()
    memory = TokenMemory(1 << 20, clock)
    memory.set("service", b"1", time=5)
    with memory.watched() as seen:
        assert seen.until == math.inf
        memory.set("user", b"2", time=10)
        assert seen.until == 1010
        clock.now += 1
        memory.get("service")
        assert seen.until == 1005
    memory.set("other", b"3", time=1)
    assert seen.until == 1005


def test_callers_are_bounded_and_end() -> None:
    """The first goes first; a clock that jumps ahead ends what has an end, and one that jumps back prolongs nothing."""
    clock, wall = Clock(), Clock()
    memory = ActorMemory(2, clock, wall)
    for name in (b"1", b"2", b"3"):
        memory.put(name, ANN, 1100, 1050)
    assert [memory.get(name) for name in (b"1", b"2", b"3")] == [None, ANN, ANN]
    wall.now = 1050
    assert memory.get(b"3") is None
    wall.now = 0
    assert memory.get(b"3") == ANN
    clock.now = 1100
    assert memory.get(b"3") is None
