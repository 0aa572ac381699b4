"""Jobs: work that outlives the request that asked for it. Claimed with a lease, and taken over when it ends.

Whoever ends a job does so in the transaction that makes its effect visible, and only while the claim is theirs: so none
is done twice. Every function runs in the caller's transaction. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from glare.context import trace_of
from glare.db.tables import jobs
from glare.documents.locations import JobState as JobState
from glare.domain.blob import Slot

_columns = jobs.c
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class JobKind(StrEnum):
    """What is to be done: record a location, measure one that was recorded as claimed, or copy one into a store."""

    RECORD = "record"
    MEASURE = "measure"
    PROMOTE = "promote"


LIVING: Final = (JobState.WAITING.value, JobState.RUNNING.value)
_TAKEN_OVER_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `trace` is what caused it, as it is kept (`glare.trace`). `location_id` is the external location that it
    is about; `tries` counts how often it was claimed.

    `outcome` says why it failed, or failed last. The id of a job that fills a slot is that of the slot's attempt, too.
    """

    id: str
    kind: JobKind
    project: str
    type_name: str
    artifact_id: str
    slot: Slot
    location_id: str
    host: str
    payload: Mapping[str, Any] = field(repr=False)  # It holds a URL, which may be secret.
    created_at: int
    due_at: int
    state: JobState = JobState.WAITING
    tries: int = 0
    claimed_by: str | None = None
    finished_at: int | None = None
    outcome: Mapping[str, Any] | None = None
    trace: str | None = None


def add(connection: Connection, job: Job) -> None:
    """Record a job that waits."""
    connection.execute(
        insert(jobs).values(
            id=job.id,
            kind=job.kind.value,
            state=job.state.value,
            project=job.project,
            type_name=job.type_name,
            artifact_id=job.artifact_id,
            field=job.slot.field,
            item_key=job.slot.key,
            location_id=job.location_id,
            host=job.host,
            payload=_encode(job.payload),
            due_at=job.due_at,
            tries=0,
            created_at=job.created_at,
            trace=trace_of(job.project),
        )
    )


def find(connection: Connection, job_id: str, *, lock: bool = False) -> Job | None:
    """The job of this id as it is now."""
    statement = select(jobs).where(_columns.id == job_id)
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    return _job(row) if row is not None else None


def newest(connection: Connection, location_id: str, kind: JobKind) -> Job | None:
    """The last job of this kind about a location."""
    of_location = select(jobs).where(_columns.location_id == location_id, _columns.kind == kind.value)
    row = connection.execute(of_location.order_by(_columns.created_at.desc(), _columns.id).limit(1)).first()
    return _job(row) if row is not None else None


def of_artifact(connection: Connection, artifact_id: str) -> list[Job]:
    """The jobs of an artifact that are not ended."""
    mine = select(jobs).where(_columns.artifact_id == artifact_id, _columns.state.in_(LIVING))
    return [_job(row) for row in connection.execute(mine.order_by(_columns.created_at, _columns.id))]


def count_of(connection: Connection, project: str) -> int:
    """How many jobs of a project are not ended."""
    mine = and_(_columns.state.in_(LIVING), _columns.project == project)
    return connection.execute(select(func.count()).where(mine)).scalar_one()


def any_due(connection: Connection, now: int) -> bool:
    """Whether a job is due, or one was left by whoever had claimed it."""
    waiting = and_(_columns.state == JobState.WAITING.value, _columns.due_at <= now)
    return connection.execute(select(_columns.id).where(or_(waiting, _left(now))).limit(1)).first() is not None


def take_over(connection: Connection, now: int) -> int:
    """Let jobs wait again whose claim has run out; returns how many."""
    left = select(_columns.id).where(_left(now)).order_by(_columns.id).limit(_TAKEN_OVER_AT_ONCE)
    ids = connection.execute(left.with_for_update(skip_locked=True)).scalars().all()
    if ids:
        connection.execute(update(jobs).where(_columns.id.in_(ids)).values(**_UNCLAIMED, due_at=now))
    return len(ids)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that was claimed, and whose it is."""

    id: str
    project: str


def claim(
    connection: Connection, holder: str, now: int, until: int, after: str, but: Collection[str] = ()
) -> Claimed | None:
    """Claim the job that is due longest, of the next project after `after` that has one; None where none is due.

    Jobs of the projects in `but` are left alone.
    """
    take_over(connection, now)
    columns = (_columns.id, _columns.tries, _columns.project)  # Not the rest, which this release may be unable to read.
    due = select(*columns).where(_columns.state == JobState.WAITING.value, _columns.due_at <= now)
    if but:
        due = due.where(_columns.project.not_in(sorted(but)))
    order = (_columns.project, _columns.due_at, _columns.id)
    row = None
    for following in (due.where(_columns.project > after), due):
        row = connection.execute(following.order_by(*order).limit(1).with_for_update(skip_locked=True)).first()
        if row is not None:
            break
    if row is None:
        return None
    claimed = {"state": JobState.RUNNING.value, "claimed_by": holder, "claimed_until": until, "tries": row.tries + 1}
    connection.execute(update(jobs).where(_columns.id == row.id).values(**claimed))
    return Claimed(row.id, row.project)


def beat(connection: Connection, holders: Sequence[str], until: int) -> None:
    """Keep the claims of these holders until the time `until`."""
    connection.execute(update(jobs).where(_columns.claimed_by.in_(holders)).values(claimed_until=until))


def is_held(connection: Connection, job: Job) -> bool:
    """Whether the claim is still the one that `job` was read with."""
    mine = select(_columns.id).where(_columns.id == job.id, _columns.claimed_by == job.claimed_by)
    return connection.execute(mine).first() is not None


def finish(connection: Connection, job: Job, state: JobState, now: int, outcome: Mapping[str, Any] | None) -> bool:
    """End a job; False, and nothing is changed, where the claim that `job` was read with is no longer there."""
    ended = {"state": state.value, "finished_at": now, "claimed_by": None, "claimed_until": None}
    result = {"outcome": None if outcome is None else _encode(outcome)}
    return bool(connection.execute(update(jobs).where(_same_claim(job)).values(**ended, **result)).rowcount)


def postpone(
    connection: Connection, job: Job, due_at: int, outcome: Mapping[str, Any] | None, *, counted: bool
) -> bool:
    """Let a job wait until `due_at`; unless `counted` it was not tried. False as for `finish`."""
    values: dict[str, Any] = {**_UNCLAIMED, "due_at": due_at, "tries": job.tries if counted else job.tries - 1}
    if outcome is not None:
        values["outcome"] = _encode(outcome)
    return bool(connection.execute(update(jobs).where(_same_claim(job)).values(**values)).rowcount)


def put_off(connection: Connection, job_id: str, holder: str, wait: Callable[[int], int]) -> None:
    """Let a claimed job wait that this release cannot read or end, by the number of its tries."""
    mine = and_(_columns.id == job_id, _columns.claimed_by == holder)
    tries = connection.execute(select(_columns.tries).where(mine).with_for_update()).scalar_one_or_none()
    if tries is not None:
        connection.execute(update(jobs).where(mine).values(**_UNCLAIMED, due_at=wait(tries)))


def hurry(connection: Connection, location_id: str, now: int) -> bool:
    """Make the jobs that wait about a location due now; False where there is none."""
    mine = and_(_columns.location_id == location_id, _columns.state == JobState.WAITING.value)
    return bool(connection.execute(update(jobs).where(mine).values(due_at=now)).rowcount)


def retire(connection: Connection, before: int, limit: int) -> int:
    """Drop up to `limit` jobs that ended before `before`."""
    old = select(_columns.id).where(_columns.finished_at < before).order_by(_columns.finished_at).limit(limit)
    ids = connection.execute(old).scalars().all()
    return connection.execute(delete(jobs).where(_columns.id.in_(ids))).rowcount if ids else 0


def _left(now: int) -> Any:
    return and_(_columns.state == JobState.RUNNING.value, _columns.claimed_until < now)


def _same_claim(job: Job) -> Any:
    """The row as it was read: a claim that was lost meanwhile, or a job that was cancelled, is another."""
    mine = _columns.claimed_by == job.claimed_by if job.claimed_by is not None else _columns.claimed_by.is_(None)
    return and_(_columns.id == job.id, _columns.state == job.state.value, mine)


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        kind=JobKind(row.kind),
        project=row.project,
        type_name=row.type_name,
        artifact_id=row.artifact_id,
        slot=Slot(row.field, row.item_key),
        location_id=row.location_id,
        host=row.host,
        payload=_decode(row.payload),
        created_at=row.created_at,
        due_at=row.due_at,
        state=JobState(row.state),
        tries=row.tries,
        claimed_by=row.claimed_by,
        finished_at=row.finished_at,
        outcome=None if row.outcome is None else _decode(row.outcome),
        trace=row.trace,
    )


_UNCLAIMED: Final[Mapping[str, Any]] = {
    "state": JobState.WAITING.value,
    "claimed_by": None,
    "claimed_until": None,
}
