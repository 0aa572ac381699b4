"""Readers that take nothing, too little, or enough."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from glare.server.pace import Pace, Verdict

pytestmark = pytest.mark.sqlite  # The server knows of no database.

STALL, RATE = 60.0, 1000


def judged(pace: Pace, *, until: float, rate: float, start: float = 0.0, taken: int = 0) -> Iterator[Verdict | None]:
    """What is said each second about a reader of `rate` bytes a second while bytes wait for it."""
    for second in range(1, int(until) + 1):
        yield pace.judge(start + second, taken + int(rate * second))


def verdict(rate: float, until: float = 600) -> Verdict | None:
    pace = Pace(STALL, RATE)
    pace.wait(0.0)
    return next((found for found in judged(pace, until=until, rate=rate) if found), None)


def test_a_reader_is_judged_by_what_it_takes() -> None:
    """Nothing is a stall, a drip is too slow, and the least rate is enough for as long as it lasts."""
    assert verdict(0) == "stall"
    assert verdict(1) == "slow"
    assert verdict(RATE * 0.9) == "slow"
    assert verdict(RATE) is None
    assert verdict(RATE * 1000) is None


def test_nobody_is_judged_before_the_time_is_over() -> None:
    """A stall lasts as long as was said; so does the first window of the rate."""
    assert verdict(0, until=STALL - 1) is None
    assert verdict(1, until=STALL - 1) is None


def test_what_was_fast_once_excuses_no_drip_later() -> None:
    """The rate is that of each window by itself."""
    pace = Pace(STALL, RATE)
    pace.wait(0.0)
    assert not any(judged(pace, until=STALL, rate=RATE * 1000))
    taken = int(STALL * RATE * 1000)
    assert "slow" in set(judged(pace, until=2 * STALL, rate=1, start=STALL, taken=taken))


def test_time_in_which_nothing_waits_does_not_count() -> None:
    """A reader that has everything is no slow one, however long the next piece takes to come."""
    pace = Pace(STALL, RATE)
    taken = 0
    for hour in range(20):
        now = hour * 3600.0
        pace.wait(now)
        taken += 5000
        pace.proceed(now + 5)
        assert pace.judge(now + 1000, taken) is None
        assert not pace.waiting


def test_short_waits_add_up() -> None:
    """Whoever makes the server wait again and again, and takes little, is as slow as who does it in one piece."""
    pace = Pace(STALL, RATE)
    found = None
    taken = 0
    for round_ in range(40):
        now = round_ * 100.0
        pace.wait(now)
        taken += 100
        found = found or pace.judge(now + 2, taken)
        pace.proceed(now + 2)
    assert found == "slow"
