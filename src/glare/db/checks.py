"""Checks of external locations: what a check needs of one, when the next is due, and what came of the last.

Which host has its turn is in `location_hosts`, what was found in `check_history`. Every function runs in the caller's
transaction. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select, update

from glare.db import as_sent
from glare.db.location_hosts import Turn, schedule_host
from glare.db.tables import artifacts, blobs
from glare.domain.artifact import Status
from glare.domain.blob import AsSent, LocationState, Slot
from glare.domain.verification import AT_ONCE, CheckKind, Difference, Finding, Outcome, Rhythm, Standing

_blobs = blobs.c


@dataclass(frozen=True, slots=True)
class Target:
    """A location as a check needs it. `generation` is what the result will apply to; `size` in bytes."""

    id: str
    artifact_id: str
    slot: Slot
    project: str
    url: str = field(repr=False)  # It may hold a signature.
    host: str
    size: int
    sha256: str
    etag: str | None
    last_modified: str | None
    generation: int
    asked: bool
    standing: Standing
    as_sent: AsSent | None = None

    @property
    def turn(self) -> Turn:
        """Whose turn at which host it is."""
        return Turn(self.host, self.project)


@dataclass(frozen=True, slots=True)
class Aged:
    """A location whose proof is old."""

    id: str
    artifact_id: str
    slot: Slot
    proven_at: int
    generation: int


_TARGET: Final = (
    _blobs.location_id, _blobs.artifact_id, _blobs.field, _blobs.item_key, _blobs.project, _blobs.url, _blobs.host,
    _blobs.size, _blobs.sha256, _blobs.etag, _blobs.last_modified, _blobs.as_sent, _blobs.generation,
    _blobs.asked_at, _blobs.state,
    _blobs.reason, _blobs.proven_at, _blobs.seen_at, _blobs.failures, _blobs.matched_at, _blobs.check_at,
    _blobs.full_at,
    _blobs.doubt, _blobs.refuted, _blobs.withheld_at, _blobs.withheld,
)  # fmt: skip


def find(connection: Connection, location_id: str, *, lock: bool = False) -> Target | None:
    """The location of this id as it is now."""
    statement = _targets().where(_blobs.location_id == location_id)
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    return _target(row) if row is not None else None


def is_kept(connection: Connection, artifact_id: str) -> bool:
    """Whether the artifact is there and not deleted."""
    status = connection.execute(select(artifacts.c.status).where(artifacts.c.id == artifact_id)).scalar_one_or_none()
    return status is not None and status != Status.DELETED


def stop_checking(connection: Connection, location_id: str) -> None:
    """Check this location no more."""
    connection.execute(
        update(blobs).where(_blobs.location_id == location_id).values(check_at=None, full_at=None, asked_at=None)
    )


def postpone(connection: Connection, location_id: str, check_at: int) -> None:
    """Check this location no sooner than `check_at`. What is known of it stays."""
    connection.execute(
        update(blobs)
        .where(_blobs.location_id == location_id, _blobs.check_at.is_not(None))
        .values(check_at=check_at, asked_at=None)
    )


def postpone_after_fault(connection: Connection, location_id: str, wait: Callable[[int], int]) -> None:
    """Check this location later, as its check ended by a defect of ours: by the number of times in a row. What is known
    of it stays.
    """
    mine = (_blobs.location_id == location_id, _blobs.check_at.is_not(None))
    faults = connection.execute(select(_blobs.faults).where(*mine).with_for_update()).scalar_one_or_none()
    if faults is not None:
        later = {"check_at": wait(faults + 1), "faults": faults + 1, "asked_at": None}
        connection.execute(update(blobs).where(*mine).values(**later))


def put_off(connection: Connection, location_id: str, check_at: int) -> None:
    """The check that is due has not begun, and is due again at `check_at`: as it was, also where somebody has asked for
    it.
    """
    connection.execute(
        update(blobs).where(_blobs.location_id == location_id, _blobs.check_at.is_not(None)).values(check_at=check_at)
    )


def come_back(connection: Connection, location_id: str, away_until: int, now: int) -> int | None:
    """A check that was under way until `away_until` has ended: where nothing came of it, the location is due again now.
    Returns when it is due, None where it is checked no more.
    """
    mine = _blobs.location_id == location_id
    connection.execute(update(blobs).where(mine, _blobs.check_at == away_until).values(check_at=now))
    check_at: int | None = connection.execute(select(_blobs.check_at).where(mine)).scalar_one_or_none()
    return check_at


def store_standing(connection: Connection, target: Target, finding: Finding, standing: Standing, now: int) -> None:
    """Store what a finding made of a location. A transition begins a new generation, to which older results do not
    apply.
    """
    values: dict[str, Any] = {
        "state": standing.state.value,
        "reason": standing.reason,
        "proven_at": standing.proven_at,
        "seen_at": standing.seen_at,
        "failures": standing.failures,
        "matched_at": standing.matched_at,
        "check_at": standing.check_at,
        "full_at": standing.full_at,
        "doubt": standing.doubt,
        "refuted": standing.refuted,
        "withheld_at": standing.withheld_at,
        "withheld": None if standing.withheld is None else standing.withheld.value,
        "asked_at": None,
        "faults": 0,
    }
    if standing.state is not target.standing.state:
        values["generation"] = _blobs.generation + 1
    if standing.proven_at != target.standing.proven_at:
        values["stale_told_at"] = None
    if finding.kind is CheckKind.FULL and finding.outcome is Outcome.EQUAL:
        values |= {"etag": finding.etag, "last_modified": finding.last_modified}
    connection.execute(update(blobs).where(_blobs.location_id == target.id).values(**values))
    if standing.check_at is not None:
        schedule_host(
            connection, target.turn, standing.check_at, now
        )  # Whoever asked: also who has no lease of the host.


def request_full_check(connection: Connection, location_id: str, now: int) -> bool:
    """Make a full check of a location due at once, at somebody's wish; False where one is due by a wish already."""
    wish = (
        update(blobs)
        .where(_blobs.location_id == location_id, _blobs.asked_at.is_(None))
        .values(asked_at=now, check_at=AT_ONCE, full_at=AT_ONCE)
    )
    return bool(connection.execute(wish).rowcount)


def follow_hint(
    connection: Connection, location_id: str, why: str, now: int, rhythm: Rhythm, *, even_young: bool = False
) -> tuple[Turn, int] | None:
    """Make a full check due where somebody was not served; returns what to schedule, and when, None where nothing
    follows.

    Not where the last proof is young (`even_young` is for hints that cost their project something), or where a failure
    or another hint is being followed up: whoever controls an origin must not make this service download it again and
    again. The more hints were wrong before, the older the proof has to be.
    """
    target = find(connection, location_id, lock=True)
    if target is None:
        return None
    standing = target.standing
    pending = standing.failures or standing.doubt is not None or standing.full_at in (None, AT_ONCE)
    pending = pending or standing.withheld_at is not None
    if standing.state is not LocationState.VERIFIED or pending:
        return None
    if not even_young and (standing.proven_at or 0) + rhythm.hint_interval >= now:
        return None
    check_at, full_at = rhythm.follow_up(standing, now)
    if full_at > now:
        return None
    values = {"check_at": check_at, "full_at": full_at, "doubt": why}
    connection.execute(update(blobs).where(_blobs.location_id == location_id).values(**values))
    return target.turn, check_at


def find_stale(connection: Connection, proven_before: int, limit: int, after: tuple[int, str] = (0, "")) -> list[Aged]:
    """Verified locations whose proof is older than `proven_before`, and whose age nobody was told of: the oldest first,
    behind `after`.
    """
    proof, last = after
    old = and_(
        _blobs.state == LocationState.VERIFIED.value,
        _blobs.proven_at < proven_before,
        _blobs.stale_told_at.is_(None),
        _blobs.host.is_not(None),
        _blobs.check_at.is_not(None),  # Else its artifact is deleted.
        _blobs.proven_at >= proof,
        or_(_blobs.proven_at > proof, _blobs.location_id > last),
    )
    columns = (
        _blobs.location_id,
        _blobs.artifact_id,
        _blobs.field,
        _blobs.item_key,
        _blobs.proven_at,
        _blobs.generation,
    )
    rows = connection.execute(select(*columns).where(old).order_by(_blobs.proven_at, _blobs.location_id).limit(limit))
    return [Aged(row[0], row[1], Slot(row[2], row[3]), row[4], row[5]) for row in rows]


def mark_stale_announced(connection: Connection, location_id: str, generation: int, now: int) -> bool:
    """Subscribers are told of this location's age; False where somebody has done so, or it was proven meanwhile."""
    mine = and_(_blobs.location_id == location_id, _blobs.generation == generation, _blobs.stale_told_at.is_(None))
    return bool(connection.execute(update(blobs).where(mine).values(stale_told_at=now)).rowcount)


@dataclass(frozen=True, slots=True)
class LocationQuery:
    """Which locations to list: of `project` (None: all), in order of their ids, after the id `after`."""

    limit: int
    project: str | None = None
    state: LocationState | None = None
    host: str | None = None
    artifact_id: str | None = None
    after: str | None = None


def list_locations(connection: Connection, query: LocationQuery) -> list[tuple[str, str]]:
    """Ids of locations, and of their artifacts."""
    equal = (
        (_blobs.project, query.project),
        (_blobs.state, query.state.value if query.state else None),
        (_blobs.host, query.host),
        (_blobs.artifact_id, query.artifact_id),
    )
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal if value is not None]
    conditions.append(_blobs.host.is_not(None))
    conditions.append(_blobs.location_id > (query.after or ""))
    rows = connection.execute(
        select(_blobs.location_id, _blobs.artifact_id)
        .where(*conditions)
        .order_by(_blobs.location_id)
        .limit(query.limit)
    )
    return [(row[0], row[1]) for row in rows]


def _targets() -> Any:
    return select(*_TARGET)


def _target(row: Row[Any]) -> Target:
    standing = Standing(
        LocationState(row.state),
        row.reason,
        row.proven_at,
        row.seen_at,
        row.failures,
        row.matched_at,
        row.check_at,
        row.full_at,
        row.doubt,
        row.refuted,
        row.withheld_at,
        _withheld(row),
    )
    return Target(
        row.location_id,
        row.artifact_id,
        Slot(row.field, row.item_key),
        row.project or "",
        row.url,
        row.host,
        row.size,
        row.sha256,
        row.etag,
        row.last_modified,
        row.generation,
        row.asked_at is not None,
        standing,
        as_sent.read(row.as_sent),
    )


def _withheld(row: Row[Any]) -> Outcome | None:
    """Which finding waits. The release before has noted only since when: a mismatch is known by its reason."""
    if row.withheld_at is None:
        return None
    if row.withheld is not None:
        return Outcome(row.withheld)
    return Outcome.CHANGED if row.reason in (Difference.SIZE, Difference.DIGEST) else Outcome.FAILED
