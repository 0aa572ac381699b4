"""Locations that were recorded without being measured (`[locations] measure = off`): recording one, and measuring it
later.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import blobs as blob_rows
from glare.db import check_history, contents, jobs, location_hosts
from glare.db.jobs import Job, JobKind
from glare.db.location_hosts import Turn
from glare.db.rows import fetch_artifact
from glare.digest import Content
from glare.domain.artifact import Artifact, Status
from glare.domain.blob import Blob, BlobStatus, ClaimedDigests, External, LocationState
from glare.domain.claims import Claims
from glare.domain.events import artifact_event
from glare.domain.verification import CheckKind, Finding, Outcome
from glare.egress.cancellation import Cancellation
from glare.egress.confidential import is_confidential
from glare.egress.measure import Caller, Expected, Measured, measure
from glare.egress.url import Url
from glare.errors import BadRequest, Conflict, GlareError
from glare.operations import access, audit
from glare.operations.locations import claimed_jobs
from glare.operations.locations.events import location_event
from glare.operations.locations.proof import proven
from glare.operations.services import Services
from glare.operations.slots import attempts, replicas, room
from glare.operations.takedowns import lookup as takedowns
from glare.spans import Kind

MISMATCH: Final = "claim_mismatch"
TOO_LARGE: Final = "too_large"


@dataclass(frozen=True, slots=True)
class NewLocation:
    """What an owner says of a location. `confidential` is None where nothing was said."""

    url: Url
    claims: Claims
    confidential: bool | None


def record_unmeasured(
    services: Services, reservation: attempts.Reservation, new: NewLocation, values: Mapping[str, Any]
) -> Artifact:
    """Publish the location with what was claimed of it, and have a worker measure it later. Nobody takes the claims for
    true.
    """
    now = services.clock()
    url, claims = new.url, new.claims
    artifact, slot = reservation.place.artifact, reservation.place.slot
    location = External(
        url=url.text,
        confidential=is_confidential(url, new.confidential, services.rules.harmless_parameters),
        state=LocationState.UNVERIFIED,
        proven_at=None,
        seen_at=None,
        etag=None,
        last_modified=None,
        id=uuid.uuid4().hex,
    )
    claimed = ClaimedDigests(claims.md5, claims.sha1, claims.sha256)
    blob = Blob(slot, BlobStatus.ACTIVE, None, None, None, location, claimed=claimed)

    def publish(connection: Connection) -> Artifact:
        artifact_rows.lock(connection, artifact.id)
        takedowns.require_open(connection, sha256=claims.sha256, url=url.text)
        if not blob_rows.publish(connection, reservation.attempt_id, blob, url.host, artifact.owner):
            raise attempts.lost(reservation)
        after = attempts.changed(connection, reservation.place.spec, artifact.id, values, now)
        if services.rules.measure_later:
            jobs.add(connection, _job(after, blob, location, url.host, now, asdict(claims)))
        event = artifact_event("set_location", after, now)
        detail = {"size": None, "sha256": None, "host": url.host}
        audit.changed(connection, reservation.actor, [event], target=slot.path, detail=detail)
        return after

    after = services.db.transact(publish)
    services.metrics.attempt_ended("published")
    return after


def ask_for_measuring(services: Services, connection: Connection, artifact: Artifact, blob: Blob) -> None:
    """Have a location measured now that was not: by the job that waits for it, or by a new one."""
    location, claimed = blob.location, blob.claimed
    if not isinstance(location, External) or claimed is None:
        raise AssertionError("only a location that was not measured is asked for here")
    now = services.clock()
    job = jobs.newest(connection, location.id, JobKind.MEASURE)
    if job is not None and job.state.value in jobs.LIVING:
        jobs.hurry(connection, location.id, now)
        return
    claims = {**asdict(claimed), "size": None} if job is None else job.payload["claims"]
    host = services.egress.parse(location.url).host
    jobs.add(connection, _job(artifact, blob, location, host, now, claims))


def _job(artifact: Artifact, blob: Blob, location: External, host: str, now: int, claims: Mapping[str, Any]) -> Job:
    return Job(
        id=uuid.uuid4().hex,
        kind=JobKind.MEASURE,
        project=artifact.owner,
        type_name=artifact.type_name,
        artifact_id=artifact.id,
        slot=blob.slot,
        location_id=location.id,
        host=host,
        payload={"url": location.url, "confidential": location.confidential, "claims": claims, "actor": None},
        created_at=now,
        due_at=now,
    )


def perform(services: Services, job: Job, cancellation: Cancellation) -> None:
    """Measure the location, and put what was measured in the place of the claims where they are equal."""
    artifact = claimed_jobs.artifact_of(services, job)
    blob = artifact.blobs.get(job.slot)
    location = blob.location if blob is not None else None
    if (
        blob is None
        or not isinstance(location, External)
        or location.id != job.location_id
        or blob.claimed is None
        or artifact.status is Status.DELETED
    ):
        services.db.transact(lambda connection: claimed_jobs.done(services, connection, job))
        return
    place = access.find_place(services.types.get(job.type_name), artifact, job.slot.path)
    slot = place.slot
    limit, _ = room.size_limit(place)
    url = services.egress.parse(location.url)
    claims = Claims(**job.payload["claims"])
    too_large = Conflict(f"Blob '{slot.path}' may have at most {limit} bytes; its external location has more.")
    with claimed_jobs.charged_in_turn(services, job.project, job.host) as charge:
        caller = Caller(cancellation, claimed_jobs.watched(services, job, charge.spend))
        bound, expected = charge.within(limit, lambda: too_large), Expected(claims.size, claims.sha256)
        try:
            with services.tracer.span("measure", kind=Kind.CLIENT) as span:
                measured = measure(services.egress, url, services.hashing, bound, expected, caller)
                span.note({"glare.size": measured.content.size})
            claims.check(measured.content, f"the external location of blob '{slot.path}'")
        except (BadRequest, Conflict) as wrong:
            if (
                isinstance(wrong, claimed_jobs.ClaimLost)
                or claimed_jobs.may_pass(wrong)
                or not _refutes(wrong, too_large)
            ):
                raise
            reason = TOO_LARGE if wrong is too_large else MISMATCH
            services.db.transact(lambda connection: _refuted(services, connection, job, reason))
            return
    services.db.transact(lambda connection: _proven(services, connection, job, measured, location))


def _refutes(error: GlareError, too_large: Conflict) -> bool:
    """Whether the origin has answered, and with something else than was claimed. What could not be had refutes
    nothing.
    """
    return (error is too_large and error.__cause__ is None) or type(error) is BadRequest


def _proven(services: Services, connection: Connection, job: Job, measured: Measured, location: External) -> None:
    now = services.clock()
    artifact_rows.lock(connection, job.artifact_id)
    claimed_jobs.done(services, connection, job)
    artifact = access.reread(connection, job.artifact_id)
    place = access.find_place(services.types.get(job.type_name), artifact, job.slot.path)
    takedowns.require_open(connection, sha256=measured.content.digests.sha256, url=location.url)
    try:
        replicas.require_equal(connection, place, measured.content)
    except Conflict:
        _tell_refuted(services, connection, job, artifact, MISMATCH, now)
        return
    record = proven(services, measured, location.id, location.url, confidential=location.confidential)
    content: Content = measured.content
    blob = Blob(place.slot, BlobStatus.ACTIVE, measured.content_type, content.size, content.digests, record)
    if not blob_rows.measured(connection, job.location_id, blob):
        return
    if record.check_at is not None:
        location_hosts.schedule_host(connection, Turn(job.host, job.project), record.check_at, now)
    contents.keep(connection, content, now)
    finding = Finding(CheckKind.FULL, Outcome.EQUAL, None, content.size)
    check_history.record_check(connection, job.location_id, finding, LocationState.VERIFIED, now)
    artifact_rows.touch_any(connection, job.artifact_id, now)
    after = access.reread(connection, job.artifact_id)
    detail = {"location": job.location_id, "state": "verified", "size": content.size, "sha256": content.digests.sha256}
    event = location_event("location.verified", after, place.slot, now)
    audit.changed(connection, None, [event], target=place.slot.path, detail=detail)


def _refuted(services: Services, connection: Connection, job: Job, reason: str) -> None:
    artifact_rows.lock(connection, job.artifact_id)
    claimed_jobs.done(services, connection, job)
    artifact = fetch_artifact(connection, job.artifact_id)
    if artifact is not None:
        _tell_refuted(services, connection, job, artifact, reason, services.clock())


def _tell_refuted(
    services: Services, connection: Connection, job: Job, artifact: Artifact, reason: str, now: int
) -> None:
    before = artifact.blobs.get(job.slot)
    if not blob_rows.refuted(connection, job.location_id, reason, now):
        return
    finding = Finding(CheckKind.FULL, Outcome.CHANGED, reason, 0)
    check_history.record_check(connection, job.location_id, finding, LocationState.CHANGED, now)
    artifact_rows.touch_any(connection, artifact.id, now)
    if before is not None and isinstance(before.location, External) and before.location.state is LocationState.CHANGED:
        return
    after = access.reread(connection, artifact.id)
    detail = {"location": job.location_id, "state": "changed", "reason": reason}
    event = location_event("location.changed", after, job.slot, now)
    audit.changed(connection, None, [event], target=job.slot.path, detail=detail)
