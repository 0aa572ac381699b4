"""What checks of an external location mean: pure decisions, without a clock or a database of their own.

All times are microseconds since the epoch, all durations microseconds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from glare.documents.locations import CheckKind as CheckKind
from glare.documents.locations import CheckOutcome
from glare.domain.blob import LocationState
from glare.domain.moment import MINUTE
from glare.domain.origins.sites import site_of
from glare.errors import Cause, Contact

AT_ONCE: Final = 0
"""A due time before all others."""

_DOUBLINGS: Final = 32


Outcome = CheckOutcome


class Difference(StrEnum):
    """In what an origin differs from what was recorded: reasons beside those of `Cause`."""

    VALIDATORS = "validators"
    SIZE = "size"
    DIGEST = "digest"


PRIVATE_CAUSES: Final = frozenset({Cause.DNS, Cause.POLICY, Cause.CONNECT, Cause.BUSY})
"""Causes that would tell a user about the inside of networks; they all look alike to them."""

OUT_OF_REACH: Final = "out_of_reach"
"""What a user sees instead of one of `PRIVATE_CAUSES`."""


def visible_reason(reason: str | None, *, to_operator: bool) -> str | None:
    """The reason as the caller may see it."""
    return OUT_OF_REACH if reason in PRIVATE_CAUSES and not to_operator else reason


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `bytes` were read; `retry_after` is a duration that the origin asked for.

    The validators are those that a full, equal answer came with. `contact` says how far the last request came, None
    where nothing was asked.
    """

    kind: CheckKind
    outcome: Outcome
    reason: str | None = None
    bytes: int = 0
    retry_after: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    contact: Contact | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a location, and when it is looked at again. See `External`.

    doubt
        what hinted at a change that no full check has looked at yet
    refuted
        how many such hints full checks have shown to be wrong, less one for each full check that nothing had hinted at
    withheld_at
        since when a finding waits for the end of an outage of ours
    withheld
        which one that is: that it has changed, or that it failed
    """

    state: LocationState
    reason: str | None
    proven_at: int | None
    seen_at: int | None
    failures: int
    matched_at: int | None
    check_at: int | None
    full_at: int | None
    doubt: str | None = None
    refuted: int = 0
    withheld_at: int | None = None
    withheld: Outcome | None = None

    @property
    def is_recovering(self) -> bool:
        """Whether only two equal full checks, some time apart, make it good: also where an outage has delayed the state
        of what was found changed.
        """
        return self.state in (LocationState.CHANGED, LocationState.UNREACHABLE) or self.withheld is Outcome.CHANGED


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often locations are checked, as the operator has set it.

    - `check_interval`, `full_interval`: between checks of any kind, and between full ones, of a location that is well;
    - `retry_first`, `retry_most`: after a failed check, doubled with each further one up to the second, which is also
      the most that ``Retry-After`` is obeyed;
    - `quarantine_interval`: between checks of a changed location;
    - `recovery_gap`: between the two equal full checks that end a quarantine;
    - `failures`: how many failed checks in a row make it unreachable;
    - `hint_interval`: least time between a proof and the full check that a hint asks for, doubled with each hint that
      was refuted;
    - `jitter`: the share by which intervals vary, so that what was recorded together is not checked together.
    """

    check_interval: int
    full_interval: int
    retry_first: int
    retry_most: int
    quarantine_interval: int
    recovery_gap: int
    failures: int
    hint_interval: int = 5 * MINUTE
    jitter: float = 0.1

    def spread(self, interval: int, chance: float) -> int:
        """`interval`, varied by a `chance` between 0 and 1."""
        return int(interval * (1 + self.jitter * (2 * chance - 1)))

    def follow_up(self, standing: Standing, now: int) -> tuple[int, int]:
        """When a hint at a change is followed up: by a check of any kind, and by a full one.

        The first one at once, whatever the budget says. One of a location whose hints were wrong before waits, and has
        to fit into the budget as all full checks do: whoever controls an origin must not make us download it again and
        again.
        """
        if not standing.refuted:
            return AT_ONCE, AT_ONCE
        pause = min(self.hint_interval << min(standing.refuted, _DOUBLINGS), self.full_interval)
        full_at = max(now, (standing.proven_at or 0) + pause)
        soon = min(self.retry_first << min(standing.refuted - 1, _DOUBLINGS), self.check_interval)
        return max(now + soon, min(full_at, now + self.check_interval)), full_at

    def first(self, now: int, chance: float) -> tuple[int, int]:
        """When a location that was measured just now is due for a check of any kind, and for a full one."""
        return now + self.spread(self.check_interval, chance), now + self.spread(self.full_interval, chance)


@dataclass(frozen=True, slots=True)
class Step:
    """What a finding leads to. `event` names the transition, None where there is none."""

    standing: Standing
    event: str | None = None


def after(
    standing: Standing, finding: Finding, now: int, rhythm: Rhythm, *, outage: bool = False, chance: float = 0.5
) -> Step:
    """What `finding` makes of `standing`.

    In an `outage` of our own the state waits, and the finding is kept: the next check comes soon, and after a mismatch
    it takes what ends a quarantine to show that it was none. A failure is over with the next answer, as any is.
    """
    if outage and finding.outcome in (Outcome.FAILED, Outcome.CHANGED):
        return Step(_withheld(standing, finding, now, rhythm, chance))
    if standing.withheld is not Outcome.CHANGED:
        standing = replace(standing, withheld_at=None, withheld=None)
    match finding.outcome:
        case Outcome.EQUAL if finding.kind is CheckKind.FULL:
            return _proven(standing, now, rhythm, chance)
        case Outcome.EQUAL:
            return _seen(standing, now, rhythm, chance)
        case Outcome.SUSPECT:
            check_at, full_at = (AT_ONCE, AT_ONCE) if standing.withheld else rhythm.follow_up(standing, now)
            return Step(replace(standing, doubt=finding.reason, check_at=check_at, full_at=full_at))
        case Outcome.CHANGED:
            return _changed(standing, finding, now, rhythm, chance)
        case Outcome.FAILED:
            return _failed(standing, finding, now, rhythm, chance)


def _withheld(standing: Standing, finding: Finding, now: int, rhythm: Rhythm, chance: float) -> Standing:
    soon = now + rhythm.spread(rhythm.retry_first, chance)
    if standing.withheld is Outcome.CHANGED and finding.outcome is Outcome.FAILED:
        return replace(standing, matched_at=None, check_at=soon, full_at=AT_ONCE)  # A mismatch weighs more.
    mismatch = finding.outcome is Outcome.CHANGED
    return replace(
        standing,
        reason=finding.reason if standing.state is LocationState.VERIFIED else standing.reason,
        withheld_at=now if standing.withheld is not finding.outcome else standing.withheld_at,
        withheld=finding.outcome,
        matched_at=None if mismatch else standing.matched_at,
        check_at=soon,
        full_at=AT_ONCE if mismatch else standing.full_at,
    )


def _proven(standing: Standing, now: int, rhythm: Rhythm, chance: float) -> Step:
    refuted = standing.refuted + 1 if standing.doubt is not None else max(0, standing.refuted - 1)
    proven = replace(standing, proven_at=now, seen_at=now, failures=0, doubt=None, refuted=refuted)
    if standing.is_recovering:
        first = standing.matched_at if standing.matched_at is not None else now
        again = first + rhythm.recovery_gap
        if now < again or standing.matched_at is None:
            return Step(replace(proven, matched_at=first, check_at=again, full_at=again))
    check_at, full_at = rhythm.first(now, chance)
    well = replace(
        proven,
        state=LocationState.VERIFIED,
        reason=None,
        matched_at=None,
        check_at=check_at,
        full_at=full_at,
        withheld_at=None,
        withheld=None,
    )
    if standing.state is LocationState.VERIFIED:
        return Step(well)
    return Step(well, "location.verified" if standing.state is LocationState.UNVERIFIED else "location.recovered")


def _seen(standing: Standing, now: int, rhythm: Rhythm, chance: float) -> Step:
    seen = replace(standing, seen_at=now, failures=0)
    if standing.state is not LocationState.VERIFIED or standing.withheld is not None:
        return Step(replace(seen, check_at=AT_ONCE, full_at=AT_ONCE))  # It answers again: that deserves a whole look.
    return Step(replace(seen, reason=None, check_at=now + rhythm.spread(rhythm.check_interval, chance)))


def _changed(standing: Standing, finding: Finding, now: int, rhythm: Rhythm, chance: float) -> Step:
    again = now + rhythm.spread(rhythm.quarantine_interval, chance)
    changed = replace(
        standing,
        state=LocationState.CHANGED,
        reason=finding.reason,
        seen_at=now,
        failures=0,
        matched_at=None,
        check_at=again,
        full_at=again,
        doubt=None,
        refuted=0,
        withheld_at=None,
        withheld=None,
    )
    return Step(changed, None if standing.state is LocationState.CHANGED else "location.changed")


def _failed(standing: Standing, finding: Finding, now: int, rhythm: Rhythm, chance: float) -> Step:
    failures = standing.failures + 1
    wait = min(rhythm.retry_first << min(failures - 1, 32), rhythm.retry_most)
    wait = max(rhythm.spread(wait, chance), min(finding.retry_after or 0, rhythm.retry_most))
    failed = replace(standing, failures=failures, matched_at=None, check_at=now + wait)
    if standing.state in (LocationState.CHANGED, LocationState.UNVERIFIED):
        return Step(failed)  # What was found before weighs more than silence.
    if standing.state is LocationState.VERIFIED and failures >= rhythm.failures:
        lost = replace(failed, state=LocationState.UNREACHABLE, reason=finding.reason, withheld_at=None, withheld=None)
        return Step(lost, "location.unreachable")
    if standing.withheld is not None:
        return Step(replace(failed, full_at=AT_ONCE))  # The mismatch that waits weighs more.
    return Step(replace(failed, reason=finding.reason))


@dataclass(frozen=True, slots=True)
class Word:
    """What a host has said last: the network it is in, and whose location was checked."""

    host: str
    network: str | None
    project: str | None


@dataclass(frozen=True, slots=True)
class OutageRule:
    """How many unrelated hosts, of how many projects, and which share of all, have to fail for a fault to be ours."""

    hosts: int
    projects: int
    share: float


def is_outage(host: str, project: str, bad: Collection[Word], good: Collection[Word], rule: OutageRule) -> bool:
    """Whether a finding about a location of `project` at `host` is one of so many that the fault is ours.

    `bad` and `good` are the last words of hosts within one window. The judgement must not rest on what one tenant
    controls, so hosts are counted once for each network, and once for each registered domain, and both counts have to
    reach the rule's number and share; hosts in networks that nobody knows do not count. They have to be of as many
    projects as the rule says, or of all that were checked in the window where those are fewer. The finding's own host
    is no witness for itself.
    """
    others = [word for word in bad if word.host != host and word.network is not None]
    well = [word for word in good if word.host != host and word.network is not None]
    networks, sites = _counted(host, others)
    fine_networks, fine_sites = _counted(host, well)
    unrelated = 1 + min(len(networks), len(sites))
    share = rule.share
    many = len(networks) >= share * len(networks | fine_networks) and len(sites) >= share * len(sites | fine_sites)
    witnesses = {word.project for word in others}
    needed = min(rule.projects, len({project} | {word.project for word in (*bad, *good)}))
    return unrelated >= rule.hosts and len(witnesses) >= needed and many


def _counted(host: str, words: Collection[Word]) -> tuple[set[str | None], set[str]]:
    """The networks of these words, and their sites without that of `host`."""
    return {word.network for word in words}, {site_of(word.host) for word in words} - {site_of(host)}


def is_cut_off(reached: int, asked: int) -> bool:
    """Whether so few of the operator's beacons answer that the fault is ours: fewer than half."""
    return 2 * reached < asked
