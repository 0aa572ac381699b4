"""Record an external location in a job: the request reserves the slot, a worker measures and publishes, or undoes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import jobs
from glare.db.jobs import Job, JobKind
from glare.domain.actor import ANONYMOUS, Actor
from glare.domain.artifact import Artifact
from glare.domain.claims import Claims
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.hooks import ChangeKind
from glare.domain.events import Event, artifact_event
from glare.domain.origins.origin_text import OCTETS
from glare.domain.wording import visible_url
from glare.egress.cancellation import Cancellation
from glare.egress.confidential import is_confidential
from glare.operations import access, audit, hooks
from glare.operations.locations import claimed_jobs
from glare.operations.locations.add import LocationRequest, Measuring, authorise, fill, require_takeable
from glare.operations.services import Services
from glare.operations.slots import attempts, holders, replicas, room
from glare.operations.takedowns import lookup as takedowns


def record_later(services: Services, actor: Actor, request: LocationRequest) -> tuple[TypeSpec, Artifact, str]:
    """Take the slot for a job that will record the location; returns the artifact, in which the blob is `saving`, and
    the job's id.

    The id is that of the location once it is recorded. Raises as `add_location` does but for what the measuring finds,
    and `TooManyRequests` where the project has too many jobs.
    """
    url = services.egress.parse(request.url)
    place = authorise(services, actor, request)
    artifact = place.artifact

    def record(connection: Connection, reservation: attempts.Reservation) -> None:
        takedowns.require_open(connection, sha256=request.claims.sha256, url=url.text)
        claimed_jobs.require_room(services, connection, artifact.owner)
        now = services.clock()
        payload = {
            "url": request.url,
            # For workers of the release before, which know no wish.
            "confidential": is_confidential(url, request.confidential, services.rules.harmless_parameters),
            "wish": request.confidential,
            "claims": asdict(request.claims),
            "cdn_loop": request.cdn_loop,
            "actor": claimed_jobs.requested_by(actor),
        }
        jobs.add(
            connection,
            Job(
                id=reservation.attempt_id,
                kind=JobKind.RECORD,
                project=artifact.owner,
                type_name=artifact.type_name,
                artifact_id=artifact.id,
                slot=place.slot,
                location_id=reservation.attempt_id,
                host=url.host,
                payload=payload,
                created_at=now,
                due_at=now,
            ),
        )

    check = partial(require_takeable, services, request)
    reservation = attempts.reserve(services, actor, place, attempts.Coming(None, OCTETS, None, record), check)
    with services.db.look() as connection:
        return place.spec, access.reread(connection, artifact.id), reservation.attempt_id


def perform(services: Services, job: Job, cancellation: Cancellation) -> None:
    """Measure the location and publish it, with the end of the job."""
    artifact = claimed_jobs.artifact_of(services, job)
    spec = services.types.get(job.type_name)
    place = access.find_place(spec, artifact, job.slot.path)
    limit, limited_by = room.size_limit(place)
    reservation = attempts.Reservation(
        actor=claimed_jobs.actor_of(job) or ANONYMOUS,
        place=place,
        attempt_id=job.id,
        limit=limit,
        limited_by=limited_by,
        reserved=0,
        replaced=0,
        staged=None,
        fixed=replicas.fixed_by_others(place),
    )
    request = _request(job)
    change = hooks.of_blob(ChangeKind.ADD_LOCATION, reservation.actor, place.slot, request.url)
    values = hooks.before(spec, change, artifact)
    with claimed_jobs.charged_in_turn(services, job.project, job.host) as charge:
        measuring = Measuring(charge, cancellation, claimed_jobs.watched(services, job, charge.spend))
        after = fill(services, reservation, request, measuring, values, partial(_done, services, job))
    hooks.after(spec, change, after)


def _done(services: Services, job: Job, connection: Connection) -> None:
    claimed_jobs.done(services, connection, job)


def undo(
    services: Services,
    connection: Connection,
    artifact: Artifact,
    job: Job,
    outcome: Mapping[str, Any],
    actor: Actor | None,
) -> None:
    """Free the slot of a job that has failed or was cancelled, and tell of it, in the caller's transaction."""
    holders.end_attempt(services, connection, artifact, job.id)
    now = services.clock()
    payload: dict[str, Any] = dict(artifact_event("location.failed", artifact, now).payload)
    confidential = claimed_jobs.is_confidential(services, job)
    payload["location"] = {
        "id": job.location_id,
        "status": "failed",
        "artifact": job.artifact_id,
        "artifact_type": job.type_name,
        "project": job.project,
        "blob": job.slot.path,
        "url": visible_url(job.payload["url"], confidential=confidential, full=False),
        "confidential": confidential,
    }
    payload["error"] = outcome["error"]
    event = Event("location.failed", artifact.owner, artifact.type_name, artifact.id, payload, now)
    detail = {"location": job.location_id, "error": outcome["error"]["type"]}
    audit.changed(connection, actor, [event], target=job.slot.path, detail=detail)
    artifact_rows.touch_any(connection, artifact.id, now)


def _request(job: Job) -> LocationRequest:
    payload = job.payload
    return LocationRequest(
        access.Named(job.type_name, job.artifact_id, job.slot.path),
        payload["url"],
        Claims(**payload["claims"]),
        claimed_jobs.wish_of(job),
        cdn_loop=payload["cdn_loop"],
    )
