"""Checks of external locations: which host is due, which location of it, and what came of it.

Workers lease hosts, so that one slow origin holds one worker and nobody asks a host faster than agreed, on all nodes
together. Every function runs in the caller's transaction. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, case, delete, exists, func, insert, or_, select, update

from glare.db import as_sent
from glare.db.dialects.later import later
from glare.db.dialects.upsert import insert_new
from glare.db.tables import artifacts, blobs, location_checks, location_hosts
from glare.domain.artifact import Status
from glare.domain.blob import AsSent, LocationState, Slot
from glare.domain.verification import AT_ONCE, CheckKind, Finding, Outcome, Rhythm, Standing, Word

_blobs = blobs.c
_hosts = location_hosts.c
_checks = location_checks.c


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


@dataclass(frozen=True, slots=True)
class RecordedCheck:
    """An entry of the history: `checks` equal outcomes in a row, from `first_at` to `last_at`, that read `bytes`
    together.
    """

    id: int
    kind: CheckKind
    outcome: Outcome
    reason: str | None
    state: LocationState
    first_at: int
    last_at: int
    checks: int
    bytes: int


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
    _blobs.size, _blobs.sha256, _blobs.etag, _blobs.last_modified, _blobs.as_sent, _blobs.generation, _blobs.asked_at, _blobs.state,
    _blobs.reason, _blobs.proven_at, _blobs.seen_at, _blobs.failures, _blobs.matched_at, _blobs.check_at, _blobs.full_at,
    _blobs.doubt, _blobs.refuted, _blobs.withheld_at,
)  # fmt: skip


def expect(connection: Connection, host: str, due_at: int) -> None:
    """See to it that `host` is looked at when `due_at` has come."""
    sooner = (
        update(location_hosts)
        .where(_hosts.host == host)
        .values(due_at=case((_hosts.due_at > due_at, due_at), else_=_hosts.due_at))
    )
    if connection.execute(sooner).rowcount:
        return
    if not insert_new(connection, location_hosts, {"host": host, "due_at": due_at, "failures": 0}):
        later(connection, sooner)  # Somebody made the row at this moment.


def any_due(connection: Connection, now: int) -> bool:
    """Whether a host is due that nobody holds."""
    return connection.execute(select(_hosts.host).where(_free(now)).limit(1)).first() is not None


def lease(
    connection: Connection,
    holder: str,
    now: int,
    until: int,
    full: Collection[str] = (),
    present: Collection[str] = (),
) -> str | None:
    """Lease the host that is due longest, until the time `until`; None where none is due.

    It has a location of another project than those in `full`, and of another than those in `present`, where there is
    such a host.
    """
    host = None
    for but in dict.fromkeys((frozenset(full) | frozenset(present), frozenset(full))):
        longest = select(_hosts.host).where(_free(now)).order_by(_hosts.due_at).limit(1)
        if but:
            longest = longest.where(exists().where(_blobs.host == _hosts.host, _blobs.check_at <= now, _not_of(but)))
        host = connection.execute(longest.with_for_update(skip_locked=True)).scalar_one_or_none()
        if host is not None:
            held = update(location_hosts).where(_hosts.host == host).values(claimed_by=holder, claimed_until=until)
            connection.execute(held)
            break
    return host


def beat(connection: Connection, holders: Sequence[str], until: int) -> None:
    """Keep the leases of these holders until the time `until`."""
    connection.execute(update(location_hosts).where(_hosts.claimed_by.in_(holders)).values(claimed_until=until))


def release(connection: Connection, holder: str, host: str, not_before: Callable[[int], int]) -> None:
    """End a lease. The host is due with its next location, or at the time `not_before` of its failures in a row, where
    that is later.

    Without locations it is forgotten.
    """
    # The row first: who records a location for this host meanwhile waits here, or is seen below.
    mine = and_(_hosts.host == host, _hosts.claimed_by == holder)
    if not connection.execute(update(location_hosts).where(mine).values(claimed_until=None)).rowcount:
        return
    following = connection.execute(
        select(_blobs.check_at)
        .where(_blobs.host == host, _blobs.check_at.is_not(None))
        .order_by(_blobs.check_at)
        .limit(1)
    ).scalar_one_or_none()
    if following is None:
        connection.execute(delete(location_hosts).where(mine))
        return
    failures = connection.execute(select(_hosts.failures).where(mine)).scalar_one_or_none() or 0
    due_at = max(following, not_before(failures))
    connection.execute(update(location_hosts).where(mine).values(claimed_by=None, due_at=due_at))


@dataclass(frozen=True, slots=True)
class Due:
    """A location that is due, and whose it is ("" for nobody's)."""

    location_id: str
    project: str


def due(connection: Connection, host: str, now: int, full: Collection[str] = ()) -> Due | None:
    """The location of a host that is due longest, of no project in `full`."""
    of_host = select(_blobs.location_id, _blobs.project).where(_blobs.host == host, _blobs.check_at <= now)
    if full:
        of_host = of_host.where(_not_of(full))
    # A plain limit: the holder of the lease is alone.
    row = connection.execute(of_host.order_by(_blobs.check_at).limit(1)).first()
    return None if row is None else Due(row.location_id, row.project or "")


def find(connection: Connection, location_id: str, *, lock: bool = False) -> Target | None:
    """The location of this id as it is now."""
    statement = _targets().where(_blobs.location_id == location_id)
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    return _target(row) if row is not None else None


def is_kept(connection: Connection, artifact_id: str) -> bool:
    """Whether the artifact is there and not deleted."""
    status = connection.execute(select(artifacts.c.status).where(artifacts.c.id == artifact_id)).scalar_one_or_none()
    return status is not None and status != Status.DELETED


def leave_out(connection: Connection, location_id: str) -> None:
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


def fault(connection: Connection, location_id: str, wait: Callable[[int], int]) -> None:
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


def apply(connection: Connection, target: Target, finding: Finding, standing: Standing) -> None:
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
        expect(connection, target.host, standing.check_at)  # Whoever asked: also who has no lease of the host.


def note(connection: Connection, location_id: str, finding: Finding, state: LocationState, now: int) -> None:
    """Add a check to the history of a location; one that ended as the last one did is counted there."""
    last = connection.execute(
        select(location_checks).where(_checks.location_id == location_id).order_by(_checks.id.desc()).limit(1)
    ).first()
    same = (finding.kind.value, finding.outcome.value, finding.reason, state.value)
    if last is not None and (last.kind, last.outcome, last.reason, last.state) == same:
        counted = {"last_at": now, "checks": _checks.checks + 1, "bytes": _checks.bytes + finding.bytes}
        connection.execute(update(location_checks).where(_checks.id == last.id).values(**counted))
        return
    connection.execute(
        insert(location_checks).values(
            location_id=location_id,
            kind=finding.kind.value,
            outcome=finding.outcome.value,
            reason=finding.reason,
            state=state.value,
            first_at=now,
            last_at=now,
            checks=1,
            bytes=finding.bytes,
        )
    )


def history(connection: Connection, location_id: str, limit: int, before: int | None = None) -> list[RecordedCheck]:
    """The newest entries of a location's history, at most `limit`, with ids below `before`."""
    statement = select(location_checks).where(_checks.location_id == location_id)
    if before is not None:
        statement = statement.where(_checks.id < before)
    return [
        RecordedCheck(
            row.id,
            CheckKind(row.kind),
            Outcome(row.outcome),
            row.reason,
            LocationState(row.state),
            row.first_at,
            row.last_at,
            row.checks,
            row.bytes,
        )
        for row in connection.execute(statement.order_by(_checks.id.desc()).limit(limit))
    ]


def retire(connection: Connection, before: int, limit: int) -> int:
    """Drop up to `limit` entries of histories whose last check is before `before`."""
    old = select(_checks.id).where(_checks.last_at < before).order_by(_checks.last_at).limit(limit)
    ids = connection.execute(old).scalars().all()
    return connection.execute(delete(location_checks).where(_checks.id.in_(ids))).rowcount if ids else 0


def ask(connection: Connection, location_id: str, now: int) -> bool:
    """Make a full check of a location due at once, at somebody's wish; False where one is due by a wish already."""
    wish = (
        update(blobs)
        .where(_blobs.location_id == location_id, _blobs.asked_at.is_(None))
        .values(asked_at=now, check_at=AT_ONCE, full_at=AT_ONCE)
    )
    return bool(connection.execute(wish).rowcount)


def suspect(
    connection: Connection, location_id: str, why: str, now: int, rhythm: Rhythm, *, even_young: bool = False
) -> tuple[str, int] | None:
    """Make a full check due where somebody was not served; returns the host to expect, and when, None where nothing
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
    if standing.state is not LocationState.VERIFIED or pending:
        return None
    if not even_young and (standing.proven_at or 0) + rhythm.hint_interval >= now:
        return None
    check_at, full_at = rhythm.follow_up(standing, now)
    if full_at > now:
        return None
    values = {"check_at": check_at, "full_at": full_at, "doubt": why}
    connection.execute(update(blobs).where(_blobs.location_id == location_id).values(**values))
    return target.host, check_at


def place_host(connection: Connection, host: str, network: str | None, due_at: int) -> None:
    """See to it that a host is looked at, and remember the network that it is in."""
    expect(connection, host, due_at)
    if network is not None:
        connection.execute(update(location_hosts).where(_hosts.host == host).values(network=network))


def host_said(connection: Connection, host: str, values: Mapping[str, Any], *, failed: bool | None) -> None:
    """Note the last word of a host. `failed`: whether it was out of reach, None where that is not known."""
    streak = {} if failed is None else {"failures": _hosts.failures + 1 if failed else 0}
    connection.execute(update(location_hosts).where(_hosts.host == host).values(**values, **streak))


def lately(connection: Connection, since: int, limit: int) -> tuple[list[Word], list[Word], list[Word]]:
    """The hosts whose last word since a time was a failure, a change, and that they are well; up to `limit` of each."""

    def words(at: Any, *others: Any) -> list[Word]:
        newest = [or_(other.is_(None), other < at) for other in others]
        columns = (_hosts.host, _hosts.network, _hosts.project)
        found = select(*columns).where(at >= since, *newest).order_by(at.desc()).limit(limit)
        return [Word(row.host, row.network, row.project) for row in connection.execute(found)]

    failed, changed, reached = _hosts.failed_at, _hosts.changed_at, _hosts.reached_at
    return words(failed, changed, reached), words(changed, reached), words(reached, failed, changed)


def stale(connection: Connection, proven_before: int, limit: int, after: tuple[int, str] = (0, "")) -> list[Aged]:
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


def told_stale(connection: Connection, location_id: str, generation: int, now: int) -> bool:
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


def page(connection: Connection, query: LocationQuery) -> list[tuple[str, str]]:
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


def count_due(connection: Connection, now: int, limit: int) -> int:
    """How many hosts are due, up to `limit`."""
    some = select(_hosts.host).where(_hosts.due_at <= now).limit(limit).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _not_of(projects: Collection[str]) -> ColumnElement[bool]:
    return or_(_blobs.project.is_(None), _blobs.project.not_in(sorted(projects)))


def _free(now: int) -> ColumnElement[bool]:
    return and_(_hosts.due_at <= now, or_(_hosts.claimed_until.is_(None), _hosts.claimed_until < now))


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
