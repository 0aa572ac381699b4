"""What the jobs have in common: who asked, whether the claim is still ours, and how their waits and failures are
reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from sqlalchemy import Connection

from glare.db import jobs
from glare.db.jobs import Job, JobState
from glare.db.rows import fetch_artifact
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.moment import SECOND
from glare.egress.confidential import is_query_confidential
from glare.errors import Blocked, Category, Cause, Conflict, GlareError, LocationRefused, OriginFailed, TooManyRequests
from glare.operations import access
from glare.operations.outbound import Charge, charged
from glare.operations.services import Services

_PASSING: Final = frozenset(
    {
        *(Cause.DNS, Cause.POLICY, Cause.CONNECT, Cause.BUSY),  # Told apart they would tell about networks.
        *(Cause.TIMEOUT, Cause.THROTTLED, Cause.INCOMPLETE, Cause.STATUS),
    }
)


_OURS: Final = frozenset({Category.INTERNAL, Category.UNAVAILABLE, Category.FULL, Category.THROTTLED})
"""What is wrong here, and not with what was asked for: a store, a database, a limit."""


class Busy(Exception):
    """A limit of measurements is reached; the job waits for its turn."""


class ClaimLost(Conflict):
    """Somebody else has taken the job over, or it was cancelled: what this worker has done of it must not show."""

    code = "ClaimLost"
    wire_type = "Conflict"
    sentence = "The job was taken over by another worker, or cancelled."


def requested_by(actor: Actor) -> Mapping[str, Any]:
    """The actor for a job's payload."""
    return {
        "user": actor.user,
        "project": actor.project,
        "roles": sorted(actor.roles),
        "source": actor.source,
        "credential": actor.credential,
    }


def actor_of(job: Job) -> Actor | None:
    """Who asked for the job; None where the service did by itself."""
    requester = job.payload.get("actor")
    if requester is None:
        return None
    return Actor(
        requester["user"],
        requester["project"],
        frozenset(requester["roles"]),
        source=requester.get("source", ""),  # the release before has recorded neither
        credential=requester.get("credential"),
    )


def wish_of(job: Job) -> bool | None:
    """What the owner of the job's URL has said of its confidentiality; None for nothing.

    The release before kept no wish, but what it made of it: its False is of a query that it did not know as a secret,
    and counts as nothing said.
    """
    payload = job.payload
    wish: bool | None = payload["wish"] if "wish" in payload else (payload["confidential"] or None)
    return wish


def is_confidential(services: Services, job: Job) -> bool:
    """Whether the job's URL is shown to its owner and to administrators only."""
    query = job.payload["url"].partition("?")[2]
    return is_query_confidential(query, wish_of(job), services.rules.harmless_parameters)


def artifact_of(services: Services, job: Job) -> Artifact:
    """The job's artifact as it is now. Raises `ArtifactNotFound`."""
    with services.db.look() as connection:
        artifact = fetch_artifact(connection, job.artifact_id)
    if artifact is None:
        raise access.not_found(job.artifact_id)
    return artifact


def done(services: Services, connection: Connection, job: Job) -> None:
    """End the job in the transaction that makes its effect visible. Raises `ClaimLost`, which undoes that."""
    if not jobs.finish(connection, job, JobState.DONE, services.clock(), None):
        raise ClaimLost


def may_pass(error: GlareError) -> bool:
    """Whether to try again what failed with `error`."""
    if isinstance(error, Blocked):
        return False
    if isinstance(error, (LocationRefused, OriginFailed)):
        return error.cause in _PASSING
    return error.category in _OURS


def outcome_of(error: GlareError) -> dict[str, Any]:
    """The error as whoever asked for the job may read it."""
    return {"error": {"type": error.wire_type or error.code, "message": error.message}}


@contextmanager
def charged_in_turn(services: Services, project: str, host: str) -> Iterator[Charge]:
    """As `charged`, but raises `Busy` where a limit is reached before anything was asked."""
    with ExitStack() as stack:
        try:
            charge = stack.enter_context(charged(services, project, host))
        except TooManyRequests as busy:
            raise Busy from busy
        yield charge


def watched(services: Services, job: Job, progress: Callable[[int], None]) -> Callable[[int], None]:
    """`progress`, which now and then looks whether the claim is still there, so that nobody downloads for a job that
    was cancelled.
    """
    pause = int(services.rules.attempt_timeout * SECOND)
    looked = services.clock()

    def count(size: int) -> None:
        nonlocal looked
        progress(size)
        now = services.clock()
        if now - looked < pause:
            return
        looked = now
        with services.db.look() as connection:
            if not jobs.is_held(connection, job):
                raise ClaimLost

    return count


def require_room(services: Services, connection: Connection, project: str) -> None:
    """Raises `TooManyRequests` where the project has as many jobs as it may."""
    most = services.rules.jobs.per_project
    if jobs.count_of(connection, project) >= most:
        raise TooManyRequests(f"Project '{project}' has {most} jobs that wait or run; wait for some to end.")
