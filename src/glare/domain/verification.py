"""What checks of an external location mean: pure decisions, without a clock or a database of their own.

All times are microseconds since the epoch, all durations microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from glare.domain.blob import LocationState
from glare.errors import Cause

AT_ONCE: Final = 0
"""A due time before all others."""


class CheckKind(StrEnum):
    """How much a check asks of an origin.

    `conditional` compares validators and length, `spot` a few random blocks, `full` every block.
    """

    CONDITIONAL = "conditional"
    SPOT = "spot"
    FULL = "full"


class Outcome(StrEnum):
    """What came of a check. Only a full one proves a change; a cheap one that hints at it is `suspect`."""

    EQUAL = "equal"
    SUSPECT = "suspect"
    CHANGED = "changed"
    FAILED = "failed"


class Difference(StrEnum):
    """In what an origin differs from what was recorded: reasons beside those of `Cause`."""

    VALIDATORS = "validators"
    SIZE = "size"
    DIGEST = "digest"


PRIVATE_CAUSES: Final = frozenset({Cause.DNS, Cause.POLICY, Cause.CONNECT, Cause.BUSY})
"""Causes that would tell a user about the inside of networks; they all look alike to them."""

OUT_OF_REACH: Final = "out_of_reach"
"""What a user sees instead of one of `PRIVATE_CAUSES`."""


def shown_reason(reason: str | None, *, to_operator: bool) -> str | None:
    """The reason as the caller may see it."""
    return OUT_OF_REACH if reason in PRIVATE_CAUSES and not to_operator else reason


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `bytes` were read; `retry_after` is a duration that the origin asked for.

    The validators are those that a full, equal answer came with.
    """

    kind: CheckKind
    outcome: Outcome
    reason: str | None = None
    bytes: int = 0
    retry_after: int | None = None
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a location, and when it is looked at again. See `External`."""

    state: LocationState
    reason: str | None
    proven_at: int | None
    seen_at: int | None
    failures: int
    matched_at: int | None
    check_at: int | None
    full_at: int | None


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often locations are checked, as the operator has set it.

    check_interval, full_interval
        between checks of any kind, and between full ones, of a location that is well
    retry_first, retry_most
        after a failed check: doubled with each further one, up to the second; also the most that ``Retry-After`` is obeyed
    quarantine_interval
        between checks of a changed location
    recovery_gap
        between the two equal full checks that end a quarantine
    failures
        how many failed checks in a row make it unreachable
    jitter
        the share by which intervals vary, so that what was recorded together is not checked together
    """

    check_interval: int
    full_interval: int
    retry_first: int
    retry_most: int
    quarantine_interval: int
    recovery_gap: int
    failures: int
    jitter: float = 0.1

    def spread(self, interval: int, chance: float) -> int:
        """`interval`, varied by a `chance` between 0 and 1."""
        return int(interval * (1 + self.jitter * (2 * chance - 1)))

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
    """What `finding` makes of `standing`. In an `outage` of our own nothing is held against a location."""
    if outage and finding.outcome in (Outcome.FAILED, Outcome.CHANGED):
        return Step(replace(standing, check_at=now + rhythm.spread(rhythm.retry_first, chance)))
    match finding.outcome:
        case Outcome.EQUAL if finding.kind is CheckKind.FULL:
            return _proven(standing, now, rhythm, chance)
        case Outcome.EQUAL:
            return _seen(standing, now, rhythm, chance)
        case Outcome.SUSPECT:
            return Step(replace(standing, check_at=AT_ONCE, full_at=AT_ONCE))
        case Outcome.CHANGED:
            return _changed(standing, finding, now, rhythm, chance)
        case Outcome.FAILED:
            return _failed(standing, finding, now, rhythm, chance)


def _proven(standing: Standing, now: int, rhythm: Rhythm, chance: float) -> Step:
    proven = replace(standing, proven_at=now, seen_at=now, failures=0)
    if standing.state in (LocationState.CHANGED, LocationState.UNREACHABLE):
        first = standing.matched_at if standing.matched_at is not None else now
        again = first + rhythm.recovery_gap
        if now < again or standing.matched_at is None:
            return Step(replace(proven, matched_at=first, check_at=again, full_at=again))
    check_at, full_at = rhythm.first(now, chance)
    well = replace(
        proven, state=LocationState.VERIFIED, reason=None, matched_at=None, check_at=check_at, full_at=full_at
    )
    if standing.state is LocationState.VERIFIED:
        return Step(well)
    return Step(well, "location.verified" if standing.state is LocationState.UNVERIFIED else "location.recovered")


def _seen(standing: Standing, now: int, rhythm: Rhythm, chance: float) -> Step:
    seen = replace(standing, seen_at=now, failures=0)
    if standing.state is not LocationState.VERIFIED:
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
    )
    return Step(changed, None if standing.state is LocationState.CHANGED else "location.changed")


def _failed(standing: Standing, finding: Finding, now: int, rhythm: Rhythm, chance: float) -> Step:
    failures = standing.failures + 1
    wait = min(rhythm.retry_first << min(failures - 1, 32), rhythm.retry_most)
    wait = max(rhythm.spread(wait, chance), min(finding.retry_after or 0, rhythm.retry_most))
    failed = replace(standing, failures=failures, matched_at=None, check_at=now + wait)
    if standing.state in (LocationState.CHANGED, LocationState.UNVERIFIED):
        return Step(failed)  # What was found before weighs more than silence.
    failed = replace(failed, reason=finding.reason)
    if standing.state is LocationState.VERIFIED and failures >= rhythm.failures:
        return Step(replace(failed, state=LocationState.UNREACHABLE), "location.unreachable")
    return Step(failed)


def is_outage(failed: frozenset[str], reached: frozenset[str], *, hosts: int, share: float) -> bool:
    """Whether so many unrelated hosts failed lately that the fault is ours.

    The arguments are host names that failed and that answered last in the same window. Names below one domain are related.
    """
    bad = {_site(host) for host in failed}
    good = {_site(host) for host in reached} - bad
    return len(bad) >= hosts and len(bad) >= share * (len(bad) + len(good))


def _site(host: str) -> str:
    """The last two labels of a name, or the address."""
    if ":" in host or host.replace(".", "").isdigit():
        return host
    return ".".join(host.rsplit(".", 2)[-2:])
