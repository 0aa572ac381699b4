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
    OutageRule,
    Outcome,
    Rhythm,
    Standing,
    Word,
    after,
    is_cut_off,
    is_outage,
    visible_reason,
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
    assert step.standing == replace(WELL, check_at=AT_ONCE, full_at=AT_ONCE, doubt="validators")


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
    """One equal body, or two too close together, end no quarantine; a failure or a mismatch between them begins it
    anew.
    """
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
    """In an outage no state and no count moves; the finding is kept, and the check repeated soon: a full one after a
    mismatch.
    """
    standing = replace(WELL, failures=2)
    step = after(standing, finding, HOUR, RHYTHM, outage=True)
    assert step.event is None
    full_at = AT_ONCE if finding is CHANGED else standing.full_at
    assert step.standing == replace(
        standing,
        reason=finding.reason,
        withheld_at=HOUR,
        withheld=finding.outcome,
        check_at=HOUR + HOUR // 12,
        full_at=full_at,
    )
    again = after(step.standing, finding, 2 * HOUR, RHYTHM, outage=True)
    assert again.standing.withheld_at == HOUR, "it waits since it was found"
    over = after(again.standing, EQUAL, 3 * HOUR, RHYTHM).standing
    assert (over.withheld_at is None) is (finding is FAILED)
    over = after(over, EQUAL, 4 * HOUR, RHYTHM).standing
    assert (over.withheld_at, over.withheld, over.reason) == (None, None, None)


def test_a_mismatch_that_waits_is_forgotten_after_two_proofs_only() -> None:
    """One equal check, a cheap one, a hint or a failure leave it there, and each asks for a whole body; a mismatch
    after the outage counts at once.
    """
    held = after(WELL, CHANGED, HOUR, RHYTHM, outage=True).standing
    for finding in (SEEN, SUSPECT, FAILED):
        step = after(held, finding, 2 * HOUR, RHYTHM)
        assert (step.standing.withheld, step.standing.reason) == (Outcome.CHANGED, "digest")
        assert step.standing.full_at == AT_ONCE
    failed = after(held, FAILED, 2 * HOUR, RHYTHM, outage=True).standing
    assert (failed.withheld, failed.withheld_at, failed.reason) == (Outcome.CHANGED, HOUR, "digest")
    once = after(held, EQUAL, 2 * HOUR, RHYTHM).standing
    assert (once.withheld, once.matched_at, once.check_at, once.full_at) == (
        Outcome.CHANGED,
        2 * HOUR,
        3 * HOUR,
        3 * HOUR,
    )
    soon = after(once, EQUAL, 2 * HOUR + 1, RHYTHM).standing
    assert soon.withheld is Outcome.CHANGED
    assert after(once, FAILED, 2 * HOUR + 1, RHYTHM).standing.matched_at is None
    changed = after(once, CHANGED, 2 * HOUR + 1, RHYTHM)
    assert (changed.event, changed.standing.withheld) == ("location.changed", None)
    twice = after(once, EQUAL, 3 * HOUR, RHYTHM)
    assert (twice.event, twice.standing.state, twice.standing.withheld) == (None, LocationState.VERIFIED, None)


def test_a_failure_that_waits_does_not_hide_a_mismatch() -> None:
    """Which finding waits is known, and the graver one stays."""
    held = after(WELL, FAILED, HOUR, RHYTHM, outage=True).standing
    held = after(held, CHANGED, 2 * HOUR, RHYTHM, outage=True).standing
    assert (held.withheld, held.withheld_at, held.reason) == (Outcome.CHANGED, 2 * HOUR, "digest")


def test_a_hint_that_was_wrong_weighs_less_the_next_time() -> None:
    """The first one is followed at once; the pause after the last proof doubles with each that was refuted, up to the
    interval of full checks.
    """
    rhythm = replace(RHYTHM, hint_interval=HOUR // 12)
    standing, now = WELL, 0
    pauses = []
    for _ in range(20):
        hinted = after(standing, SUSPECT, now, rhythm).standing
        assert hinted.doubt == "validators"
        pauses.append((hinted.full_at or 0) - now)
        assert (hinted.full_at == AT_ONCE) == (standing.refuted == 0), "only the first passes the budget"
        assert hinted.check_at is not None
        assert now < hinted.check_at <= now + rhythm.check_interval or hinted.check_at == AT_ONCE
        now = max(now, hinted.full_at or 0)
        standing = after(hinted, EQUAL, now, rhythm).standing
    assert standing.refuted == 20
    assert pauses[:4] == [0, HOUR // 6, HOUR // 3, 2 * HOUR // 3]
    assert pauses[-1] == rhythm.full_interval
    for left in (19, 18):
        standing = after(standing, EQUAL, now, rhythm).standing
        assert standing.refuted == left, "a full check that nothing hinted at makes up for one"
    assert after(standing, CHANGED, now, rhythm).standing.refuted == 0, "a hint that was right makes up for all"


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
    """Over any history: verified is left by a mismatch or by failures in a row only, and reached by equal bodies
    only.
    """
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


def words(*hosts: str, project: str = "p", network: str | None = "") -> list[Word]:
    """The last words of these hosts, each in a network of its own unless one is given."""
    return [Word(host, f"net of {host}" if network == "" else network, project) for host in hosts]


def ours(bad: list[Word], good: list[Word] | None = None, *, host: str = "own.victim.org", project: str = "v") -> bool:
    return is_outage(host, project, bad, good or [], OutageRule(hosts=3, projects=3, share=0.6))


def test_outage_counts_unrelated_hosts() -> None:
    """Names below one domain are one, and so are hosts of one network; a few failures among many that answer are no
    outage.
    """
    same = words(*(f"{number}.mirror.example" for number in range(9)), project="v")
    assert not ours(same)
    others = words("a.one.example", "b.two.test", "192.0.2.1", project="v")
    assert ours(others)
    assert not ours([replace(word, network="2001:db8::/64") for word in others])
    assert not ours([replace(word, network=None) for word in others]), "nobody knows where they are"
    answering = words(*(f"h{number}.site{number}.example.net{number}" for number in range(9)), project="v")
    assert not ours(others, answering)
    assert not ours(words("own.victim.org", "b.two.test", project="v")), "the host itself is no witness"


def test_networks_of_one_domain_make_no_share() -> None:
    """Two domains with many addresses outvote nobody: a share counts registered domains, too."""
    many = [f"h{number}.{'one.co.uk' if number % 2 else 'two.co.uk'}" for number in range(12)]
    bad = words(*many, project="mallory")
    bad = [replace(word, project=f"p{number % 3}") for number, word in enumerate(bad)]
    good = words(*(f"mirror.fine{number}.example" for number in range(4)), project="v")
    assert ours(bad), "the hosts would be enough"
    assert not ours(bad, good)
    assert ours(bad, good[:1])


def test_no_project_holds_up_the_states_of_others() -> None:
    """Hosts have to be of several projects, but for those of a project itself where no other one was checked."""
    many = [f"h{number}.site{number}.example.net{number}" for number in range(12)]
    assert not ours(words(*many, project="mallory"))
    two = words(*many[:6], project="mallory") + words(*many[6:], project="malcolm")
    assert not ours(two)
    assert ours(two + words("x.y.test", project="third"))
    assert ours(two[:6] + words("x.y.test", project="v"), project="v"), (
        "there are two projects, and both have others that fail"
    )
    assert ours(words(*many, project="v"), project="v")


@pytest.mark.parametrize(("reached", "asked", "cut_off"), [(0, 1, True), (1, 1, False), (1, 2, False), (1, 3, True)])
def test_fewer_than_half_of_the_beacons(reached: int, asked: int, cut_off: bool) -> None:
    """Half of them are enough to say that we are connected."""
    assert is_cut_off(reached, asked) is cut_off


def test_reasons_that_tell_about_networks_look_alike() -> None:
    """A name that does not resolve, a forbidden address and a closed port are one reason for users."""
    secret = {
        visible_reason(cause, to_operator=False) for cause in (Cause.DNS, Cause.POLICY, Cause.CONNECT, Cause.BUSY)
    }
    assert secret == {"out_of_reach"}
    assert visible_reason(Cause.GONE, to_operator=False) == "gone"
    assert visible_reason(Cause.DNS, to_operator=True) == "dns"


def test_jitter_stays_within_its_share() -> None:
    """Intervals vary by a tenth at most."""
    rhythm = replace(RHYTHM, jitter=0.1)
    assert (rhythm.spread(1000, 0.0), rhythm.spread(1000, 0.5), rhythm.spread(1000, 1.0)) == (900, 1000, 1100)
