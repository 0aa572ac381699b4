"""What has failed a short while ago is asked last."""

from __future__ import annotations

from glare.egress.lately import Lately


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_failed_is_last_for_a_while() -> None:
    """The rest keeps its order; of several that failed the one that did so longest ago comes first; time heals."""
    clock = Clock()
    lately = Lately(60, 10, clock)
    lately.failed("b")
    clock.now = 10
    lately.failed("a")
    assert lately.ordered("abcd", list) == ["c", "d", "b", "a"]
    clock.now = 60
    assert lately.ordered("abcd", list) == ["b", "c", "d", "a"]
    clock.now = 70
    assert lately.ordered("abcd", list) == ["a", "b", "c", "d"]


def test_success_heals_at_once() -> None:
    """What has worked since is no worse than the others."""
    lately = Lately(60, 10, Clock())
    lately.failed("a")
    lately.worked("a")
    lately.worked("never failed")
    assert not lately.has_failed("a")
    assert lately.ordered("ab", list) == ["a", "b"]


def test_the_latest_failure_counts() -> None:
    """What is known under several keys has failed when one of them has."""
    clock = Clock()
    lately = Lately(60, 10, clock)
    for clock.now, key in ((0, "x"), (1, "y"), (2, "z")):
        lately.failed(key)
    assert lately.ordered(["y", "xz", "ab"], list) == ["ab", "y", "xz"]


def test_the_memory_is_bounded() -> None:
    """Beyond the bound the oldest failures are forgotten, those that were repeated last."""
    lately = Lately(60, 2, Clock())
    for key in ("a", "b", "a", "c"):
        lately.failed(key)
    assert [key for key in "abc" if lately.has_failed(key)] == ["a", "c"]
