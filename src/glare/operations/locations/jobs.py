"""Jobs: doing the next one that is due, cancelling, and telling what became of a recording."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Connection

from glare.context import part_of
from glare.db import artifacts as artifact_rows
from glare.db import jobs
from glare.db.jobs import Job, JobKind, JobState
from glare.db.rows import fetch_artifact
from glare.documents import locations as documents
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.moment import SECOND
from glare.domain.wording import visible_url
from glare.egress.cancellation import Cancellation
from glare.errors import GlareError, OutboundBusy
from glare.operations import access, putting_off
from glare.operations.locations import claimed_jobs, promote, record_later, unmeasured
from glare.operations.locations.claimed_jobs import Busy, ClaimLost
from glare.operations.services import Services
from glare.operations.slots.objects import remove_due
from glare.trace import kept

_log = logging.getLogger(__name__)

_STAGED: Final = 100
_CANCELLED: Final[Mapping[str, Any]] = {
    "error": {"type": "Cancelled", "message": "It was cancelled: its blob or its artifact was deleted."}
}


class Perform(Protocol):
    """Does a job, and ends it in the transaction that makes its effect visible. What it raises leaves the job as it
    is.
    """

    def __call__(self, services: Services, job: Job, cancellation: Cancellation) -> None: ...


_PERFORM: Final[Mapping[JobKind, Perform]] = {
    JobKind.RECORD: record_later.perform,
    JobKind.MEASURE: unmeasured.perform,
    JobKind.PROMOTE: promote.perform,
}


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that is claimed: its id, whose it is, and by whom."""

    id: str
    project: str
    holder: str


def claim_job(
    services: Services, after: str = "", full: frozenset[str] = frozenset(), present: frozenset[str] = frozenset()
) -> ClaimedJob | None:
    """Claim the job that is due longest, of the next project after `after` that has one; None where none is due.

    It is of no project in `full`, nor of one in `present` where there is another.
    """
    now = services.clock()
    with services.db.look() as connection:
        if not jobs.any_due(connection, now):
            return None
    holder = uuid.uuid4().hex
    until = now + int(services.rules.attempt_timeout * SECOND)

    def claim(connection: Connection) -> jobs.Claimed | None:
        for but in dict.fromkeys((full | present, full)):
            found = jobs.claim(connection, holder, now, until, after, but)
            if found is not None:
                return found
        return None

    found = services.db.transact(claim)
    return None if found is None else ClaimedJob(found.id, found.project, holder)


def do_job(services: Services, claimed: ClaimedJob, cancellation: Cancellation) -> None:
    """Do a claimed job.

    Whatever becomes of it, it is no error of the caller's but where the database does not answer: one that raises waits
    for longer each time, so that it is never in the way of others. A job that is cancelled is given back at once.
    """
    with services.heartbeats.keep(claimed.holder):
        try:
            with services.db.look() as connection:
                job = jobs.find(connection, claimed.id)
            if job is not None and job.claimed_by == claimed.holder:
                with part_of(kept(job.trace, job.project)), services.tracer.span(f"job {job.kind.value}"):
                    _do(services, job, cancellation)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the others have their turn
            _put_off(services, claimed.id, claimed.holder, error)


def do_next(services: Services, cancellation: Cancellation, after: str = "") -> str | None:
    """Claim and do one job in this thread. Returns its project, None without a job."""
    claimed = claim_job(services, after)
    if claimed is None:
        return None
    do_job(services, claimed, cancellation)
    return claimed.project


def _put_off(services: Services, job_id: str, holder: str, error: Exception) -> None:
    """Let a job wait that cannot be read, done or ended."""
    rules = services.rules.jobs

    def later(times: int) -> int:
        first, most = int(rules.retry_first * SECOND), int(rules.retry_most * SECOND)
        return services.clock() + putting_off.wait(first, most, times)

    putting_off.put_off(
        services,
        putting_off.JOB,
        error,
        lambda connection: jobs.put_off(connection, job_id, holder, later),
        job=job_id,
    )


def _do(services: Services, job: Job, cancellation: Cancellation) -> None:
    rules = services.rules.jobs
    try:
        if job.tries > rules.tries and job.kind is not JobKind.MEASURE:
            raise GlareError(f"It was begun {rules.tries} times, and its worker ended each time.")
        _PERFORM[job.kind](services, job, cancellation)
    except ClaimLost:
        _log.warning("a job was taken over or cancelled", extra={"job": job.id})
    except (Busy, OutboundBusy):
        _postpone(services, job, rules.busy_wait, None, counted=False)
    except GlareError as error:
        if cancellation.cancelled:
            _postpone(services, job, 0, None, counted=False)
        else:
            _failed(services, job, error, passing=claimed_jobs.may_pass(error))
    except Exception as error:  # noqa: BLE001 - the other jobs are done all the same
        putting_off.report(services, putting_off.JOB, error, job=job.id)
        _failed(services, job, GlareError(), passing=True)


def _failed(services: Services, job: Job, error: GlareError, *, passing: bool) -> None:
    """Try again later what may pass, or has to be done some day; else it has failed."""
    rules = services.rules.jobs
    reason = getattr(error, "reason", error.message)
    _log.warning("a job did not succeed", extra={"job": job.id, "kind": job.kind.value, "reason": reason})
    outcome = claimed_jobs.outcome_of(error)
    if job.kind is JobKind.MEASURE or (passing and job.tries < rules.tries):
        wait = max(rules.retry_first * 2 ** min(job.tries - 1, 32), error.retry_after or 0)
        wait = min(wait, rules.retry_most)
        _postpone(services, job, wait, outcome, counted=True)
        return
    if services.db.transact(lambda connection: _end(services, connection, job, outcome, None)):
        services.metrics.attempt_ended("undone")
    if job.kind is JobKind.PROMOTE:
        remove_due(services, _STAGED)


def _postpone(
    services: Services, job: Job, seconds: float, outcome: Mapping[str, Any] | None, *, counted: bool
) -> None:
    due_at = services.clock() + int(seconds * SECOND)
    services.db.transact(lambda connection: jobs.postpone(connection, job, due_at, outcome, counted=counted))


def _end(services: Services, connection: Connection, job: Job, outcome: Mapping[str, Any], actor: Actor | None) -> bool:
    """End a job that did not succeed, and undo what was reserved for it; False where somebody else has ended or taken
    it.
    """
    artifact_rows.lock(connection, job.artifact_id)
    if not jobs.finish(connection, job, JobState.FAILED, services.clock(), outcome):
        return False
    artifact = fetch_artifact(connection, job.artifact_id)
    if artifact is None:
        return True
    if job.kind is JobKind.RECORD:
        record_later.undo(services, connection, artifact, job, outcome, actor)
    elif job.kind is JobKind.PROMOTE:
        promote.undo(services, connection, artifact, job, outcome, actor)
    return True


def without_jobs(services: Services, actor: Actor, artifact: Artifact, *, of_slot: str | None = None) -> Artifact:
    """The artifact after its jobs were cancelled: all of them, or those that hold the slot of this path.

    A worker that is at one of them learns of it when it looks, and shows nothing.
    """

    def cancel(connection: Connection) -> Artifact | None:
        artifact_rows.lock(connection, artifact.id)
        found = [job for job in jobs.of_artifact(connection, artifact.id) if of_slot in (None, job.slot.path)]
        for job in found:
            current = jobs.find(connection, job.id, lock=True)
            if current is not None and current.state.value in jobs.LIVING:
                _end(services, connection, current, _CANCELLED, actor)
        return access.reread(connection, artifact.id) if found else None

    with services.db.look() as connection:
        if not jobs.of_artifact(connection, artifact.id):
            return artifact
    after = services.db.transact(cancel)
    remove_due(services, _STAGED)
    return after or artifact


def find_recording(services: Services, actor: Actor, location_id: str) -> documents.Recording | None:
    """A location that is still to be recorded, or could not be, for its owner's project and admins; None for everybody
    else.

    One that was recorded is not reported here, but by its record.
    """
    with services.db.look() as connection:
        job = jobs.find(connection, location_id)
    if job is None or job.kind is not JobKind.RECORD or job.state is JobState.DONE:
        return None
    if actor.anonymous or not (actor.project == job.project or services.policy.is_admin(actor)):
        return None
    if not actor.limits.allows_type(job.type_name):
        return None
    failed = job.state is JobState.FAILED
    confidential = claimed_jobs.is_confidential(services, job)
    return documents.Recording(
        id=job.location_id,
        status="failed" if failed else "saving",
        artifact=job.artifact_id,
        artifact_type=job.type_name,
        project=job.project,
        blob=job.slot.path,
        url=visible_url(job.payload["url"], confidential=confidential, full=True),
        confidential=confidential,
        error=msgspec.convert(job.outcome["error"], documents.JobError) if job.outcome is not None else None,
        tries=job.tries,
        asked_at=moment.text(job.created_at),
        finished_at=None if job.finished_at is None else moment.text(job.finished_at),
    )
