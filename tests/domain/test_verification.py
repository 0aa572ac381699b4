"""What checks make of a location, decided without a clock or a database."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.domain.blob import LocationState
from glare.domain.verification import (
    AT_ONCE,
    CheckKind,
    Finding,
    Outcome,
    Rhythm,
    Standing,
    after,
    is_outage,
    shown_reason,
)
from glare.errors import Cause

HOUR = 3_600_000_000
RHYTHM = Rhythm(
    check_interval=6 * HOUR,
    full_interval=720 * HOUR,
    retry_first=HOUR // 12,
    retry_most=24 * HOUR,
    quarantine_interval=6 * HOUR,
    recovery_gap=HOUR,
    failures=3,
    jitter=0.0,
)
WELL = Standing(LocationState.VERIFIED, None, 0, 0, 0, None, 6 * HOUR, 720 * HOUR)

EQUAL = Finding(CheckKind.FULL, Outcome.EQUAL)
SEEN = Finding(CheckKind.SPOT, Outcome.EQUAL)
SUSPECT = Finding(CheckKind.CONDITIONAL, Outcome.SUSPECT, "validators")
CHANGED = Finding(CheckKind.FULL, Outcome.CHANGED, "digest")
FAILED = Finding(CheckKind.FULL, Outcome.FAILED, "timeout")


def test_a_full_check_moves_the_proof_and_a_cheap_one_does_not() -> None:
    """`proven_at` moves by a whole body only, `seen_at` by both."""
    seen = after(WELL, SEEN, HOUR, RHYTHM).standing
    assert (seen.proven_at, seen.seen_at) == (0, HOUR)
    assert (seen.check_at, seen.full_at) == (7 * HOUR, 720 * HOUR)
    proven = after(seen, EQUAL, 2 * HOUR, RHYTHM).standing
    assert (proven.proven_at, proven.seen_at) == (2 * HOUR, 2 * HOUR)
    assert (proven.check_at, proven.full_at) == (8 * HOUR, 722 * HOUR)


def test_a_hint_asks_for_a_full_check_at_once_and_changes_nothing_else() -> None:
    """A cheap check cannot quarantine: it has the whole body read."""
    step = after(WELL, SUSPECT, HOUR, RHYTHM)
    assert step.event is None
    assert step.standing == replace(WELL, check_at=AT_ONCE, full_at=AT_ONCE)


@pytest.mark.parametrize("state", [LocationState.VERIFIED, LocationState.UNREACHABLE, LocationState.UNVERIFIED])
def test_one_full_mismatch_quarantines(state: LocationState) -> None:
    """Whatever the state was, one whole body that differs makes it changed, and tells so once."""
    step = after(replace(WELL, state=state), CHANGED, HOUR, RHYTHM)
    assert (step.event, step.standing.state, step.standing.reason) == (
        "location.changed",
        LocationState.CHANGED,
        "digest",
    )
    assert step.standing.proven_at == 0
    assert after(step.standing, CHANGED, 2 * HOUR, RHYTHM).event is None


def test_unreachable_needs_several_failures_in_a_row() -> None:
    """The third failure makes it unreachable, with the waits doubling; a success in between begins the count anew."""
    standing, waits, events = WELL, [], []
    for expected in (LocationState.VERIFIED, LocationState.VERIFIED, LocationState.UNREACHABLE):
        step = after(standing, FAILED, 0, RHYTHM)
        standing = step.standing
        assert standing.state is expected
        waits.append(standing.check_at)
        events.append(step.event)
    assert events == [None, None, "location.unreachable"]
    assert waits == [HOUR // 12, HOUR // 6, HOUR // 3]
    twice = after(after(WELL, FAILED, 0, RHYTHM).standing, FAILED, 0, RHYTHM).standing
    again = after(after(twice, SEEN, 0, RHYTHM).standing, FAILED, 0, RHYTHM).standing
    assert (again.state, again.failures) == (LocationState.VERIFIED, 1)


def test_waits_are_bounded_and_retry_after_is_obeyed_within_the_bound() -> None:
    """However many failures, and whatever the origin asks, the next check is a day away at most."""
    standing = replace(WELL, failures=1000)
    assert after(standing, FAILED, 0, RHYTHM).standing.check_at == 24 * HOUR
    polite = replace(FAILED, retry_after=2 * HOUR)
    assert after(WELL, polite, 0, RHYTHM).standing.check_at == 2 * HOUR
    endless = replace(FAILED, retry_after=10**6 * HOUR)
    assert after(WELL, endless, 0, RHYTHM).standing.check_at == 24 * HOUR


@pytest.mark.parametrize("state", [LocationState.CHANGED, LocationState.UNREACHABLE])
def test_recovery_takes_two_equal_full_checks_some_time_apart(state: LocationState) -> None:
    """One equal body, or two too close together, end no quarantine; a failure or a mismatch between them begins it anew."""
    bad = replace(WELL, state=state, failures=3)
    first = after(bad, EQUAL, HOUR, RHYTHM)
    assert (first.standing.state, first.event, first.standing.check_at) == (state, None, 2 * HOUR)
    early = after(first.standing, EQUAL, 2 * HOUR - 1, RHYTHM)
    assert (early.standing.state, early.event, early.standing.check_at) == (state, None, 2 * HOUR)
    second = after(early.standing, EQUAL, 2 * HOUR, RHYTHM)
    assert (second.standing.state, second.event) == (LocationState.VERIFIED, "location.recovered")
    assert (second.standing.reason, second.standing.matched_at, second.standing.failures) == (None, None, 0)
    for between in (FAILED, CHANGED):
        spoilt = after(first.standing, between, HOUR, RHYTHM).standing
        assert after(spoilt, EQUAL, 9 * HOUR, RHYTHM).standing.state is not LocationState.VERIFIED


def test_silence_does_not_end_a_quarantine() -> None:
    """What has changed stays changed, however often it fails afterwards."""
    standing = after(WELL, CHANGED, 0, RHYTHM).standing
    for _ in range(5):
        standing = after(standing, FAILED, 0, RHYTHM).standing
    assert (standing.state, standing.reason) == (LocationState.CHANGED, "digest")


@pytest.mark.parametrize("finding", [FAILED, CHANGED])
def test_an_outage_of_ours_is_held_against_nobody(finding: Finding) -> None:
    """In an outage no state, count or reason moves; the check is repeated soon."""
    standing = replace(WELL, failures=2)
    step = after(standing, finding, 0, RHYTHM, outage=True)
    assert step.event is None
    assert step.standing == replace(standing, check_at=HOUR // 12)


def test_a_cheap_answer_of_what_was_unreachable_has_it_read_whole() -> None:
    """That it answers again is no proof."""
    step = after(replace(WELL, state=LocationState.UNREACHABLE), SEEN, HOUR, RHYTHM)
    assert (step.standing.state, step.standing.full_at, step.event) == (LocationState.UNREACHABLE, AT_ONCE, None)


@given(
    st.lists(
        st.tuples(st.sampled_from([EQUAL, SEEN, SUSPECT, CHANGED, FAILED]), st.integers(0, 3 * HOUR), st.booleans())
    )
)
def test_states_move_only_as_promised(steps: list[tuple[Finding, int, bool]]) -> None:
    """Over any history: verified is left by a mismatch or by failures in a row only, and reached by equal bodies only."""
    standing, now, failures, equals = WELL, 0, 0, []
    for finding, wait, outage in steps:
        now += wait
        before, step = standing, after(standing, finding, now, RHYTHM, outage=outage)
        standing = step.standing
        held = outage and finding.outcome in (Outcome.FAILED, Outcome.CHANGED)
        if not held:
            failures = failures + 1 if finding is FAILED else failures if finding is SUSPECT else 0
            if finding is EQUAL:
                equals.append(now)
            elif finding in (CHANGED, FAILED):
                equals.clear()
        assert (standing.state is not before.state) == (step.event is not None)
        if before.state is LocationState.VERIFIED and standing.state is not before.state:
            assert finding is CHANGED or failures >= RHYTHM.failures
            assert not held
        if standing.state is LocationState.VERIFIED and before.state is not LocationState.VERIFIED:
            assert finding is EQUAL
            assert equals[-1] - equals[0] >= RHYTHM.recovery_gap
        if standing.proven_at != before.proven_at:
            assert finding is EQUAL
            assert standing.proven_at == now


def test_outage_counts_unrelated_hosts() -> None:
    """Many names below one domain are one site; a few failures among many that answer are no outage."""
    same = frozenset(f"{number}.mirror.example" for number in range(9))
    assert not is_outage(same, frozenset(), hosts=3, share=0.6)
    others = frozenset(["a.one.example", "b.two.test", "192.0.2.1"])
    assert is_outage(others, frozenset(), hosts=3, share=0.6)
    answering = frozenset(f"h{number}.site{number}.example.net{number}" for number in range(9))
    assert not is_outage(others, answering, hosts=3, share=0.6)


def test_reasons_that_tell_about_networks_look_alike() -> None:
    """A name that does not resolve, a forbidden address and a closed port are one reason for users."""
    secret = {shown_reason(cause, to_operator=False) for cause in (Cause.DNS, Cause.POLICY, Cause.CONNECT, Cause.BUSY)}
    assert secret == {"out_of_reach"}
    assert shown_reason(Cause.GONE, to_operator=False) == "gone"
    assert shown_reason(Cause.DNS, to_operator=True) == "dns"


def test_jitter_stays_within_its_share() -> None:
    """Intervals vary by a tenth at most."""
    rhythm = replace(RHYTHM, jitter=0.1)
    assert (rhythm.spread(1000, 0.0), rhythm.spread(1000, 0.5), rhythm.spread(1000, 1.0)) == (900, 1000, 1100)
