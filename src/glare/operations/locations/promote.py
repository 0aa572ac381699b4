"""Promotion: copy an external blob into a managed store, block by block, in its place. Its URL stays as where it came
from.

Quota and slot are taken when it is asked for. Each try writes an object of its own: what an earlier one has staged is
doomed.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import blobs as blob_rows
from glare.db import checks, counters, jobs, location_hosts
from glare.db.jobs import Job, JobKind, JobState
from glare.db.rows import fetch_artifact
from glare.digest import block_count
from glare.documents import locations as documents
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status
from glare.domain.blob import Blob, BlobStatus, External, Managed, Slot, Source
from glare.domain.events import Event, artifact_event
from glare.domain.wording import visible_url
from glare.egress.cancellation import Cancellation
from glare.errors import Conflict, Forbidden, GlareError, LocationChanged, NotFound
from glare.operations import access, audit
from glare.operations.locations import claimed_jobs
from glare.operations.locations.claimed_jobs import ClaimLost
from glare.operations.locations.find import find_location, may_be_id, missing
from glare.operations.place import Place
from glare.operations.reading.candidates import candidates_of
from glare.operations.reading.checked_blocks import CheckedBlocks
from glare.operations.services import Services
from glare.operations.slots import attempts, holders
from glare.operations.slots.objects import remove_doomed
from glare.operations.takedowns import lookup as takedowns
from glare.policy.engine import target_of
from glare.policy.scope import may_see

_log = logging.getLogger(__name__)

RULE: Final = "artifact:promote_location"


def ask_for_promotion(services: Services, actor: Actor, location_id: str) -> documents.Promotion:
    """Have the location copied into a store by a worker; whoever asks while that is under way joins it. Returns the
    promotion.

    Raises `NotFound`, `PolicyException`, `Forbidden`, `RequestEntityTooLarge` beyond the quota, `LocationChanged` where
    no good copy is there, `Blocked` where it is taken down, `Conflict` where it was not measured or the slot is busy,
    `TooManyRequests` beyond the project's jobs.
    """
    artifact, blob = find_location(services, actor, location_id)
    access.require_writer(services, actor, artifact)
    access.require(services, RULE, actor, artifact)
    running = _newest(services, location_id)
    if running is None or running.state.value not in jobs.LIVING:
        running = _begin(services, actor, artifact, blob, location_id)
    return _document(services, actor, artifact, running)


def find_promotion(services: Services, actor: Actor, location_id: str) -> documents.Promotion:
    """How far the last promotion of the location is, also when it is done. Raises `NotFound`, `PolicyException`."""
    job = _newest(services, location_id)
    if job is None:
        raise NotFound(f"Location '{location_id[:40]}' was not promoted; POST to this address asks for it.")
    with services.db.look() as connection:
        artifact = fetch_artifact(connection, job.artifact_id)
        artifact = artifact and access.for_reader(connection, actor, artifact)
    if artifact is None or not may_see(services.policy, actor, artifact):
        raise NotFound(f"Location '{location_id[:40]}' was not promoted; POST to this address asks for it.")
    services.policy.require("location:get", actor, target_of(artifact))
    return _document(services, actor, artifact, job)


def begin_by_policy(services: Services, artifact: Artifact, slot: Slot) -> None:
    """Have a location promoted that nobody has asked for. Raises as `ask_for_promotion` does."""
    blob = artifact.blobs[slot]
    if isinstance(blob.location, External):
        _begin(services, None, artifact, blob, blob.location.id)


def _begin(services: Services, actor: Actor | None, artifact: Artifact, blob: Blob, location_id: str) -> Job:
    spec = services.types.get(artifact.type_name)
    place = access.find_place(spec, artifact, blob.slot.path)
    slot = place.slot
    check = partial(_require_promotable, services, location_id)
    check(place)
    location = blob.location
    if not isinstance(location, External):
        raise AssertionError("a promotable blob is external")  # noqa: TRY004 - a defect of ours, and no argument's type
    now = services.clock()
    host = services.egress.parse(location.url).host
    added: list[Job] = []

    def record(connection: Connection, reservation: attempts.Reservation) -> None:
        takedowns.open_ones(connection, candidates_of(place, blob))
        claimed_jobs.require_room(services, connection, artifact.owner)
        payload = {
            "url": location.url,
            "confidential": location.confidential,
            "wish": location.confidential,
            "actor": None if actor is None else claimed_jobs.requested_by(actor),
        }
        job = Job(
            id=reservation.attempt_id,
            kind=JobKind.PROMOTE,
            project=artifact.owner,
            type_name=artifact.type_name,
            artifact_id=artifact.id,
            slot=slot,
            location_id=location_id,
            host=host,
            payload=payload,
            created_at=now,
            due_at=now,
        )
        jobs.add(connection, job)
        detail = {"location": location_id, "size": blob.size}
        audit.changed(connection, actor, [artifact_event("promote", artifact, now)], target=slot.path, detail=detail)
        added[:] = [job]

    coming = attempts.Coming(blob.size, blob.content_type, services.store_for(spec.name, artifact.owner), record)
    attempts.reserve(services, actor or Actor(None, None, frozenset()), place, coming, check)
    return added[0]


def _require_promotable(services: Services, location_id: str, place: Place) -> None:
    artifact, slot, blob = place.artifact, place.slot, place.blob
    if blob is None or not isinstance(blob.location, External) or blob.location.id != location_id:
        raise missing(location_id)
    if artifact.status is Status.DELETED:
        raise Forbidden(f"Artifact '{artifact.id}' is deleted; its locations are not promoted.")
    if blob.digests is None:
        raise Conflict(f"The location of blob '{slot.path}' was not measured yet; ask for a check first.")
    holders.require_idle_slot(services, place)
    if not candidates_of(place, blob):
        raise LocationChanged(
            f"The external location of blob '{slot.path}' no longer serves what was recorded, and no other good copy "
            "is there."
        )


def perform(services: Services, job: Job, cancellation: Cancellation) -> None:
    """Copy the content and show the copy in the place of the external blob, with the end of the job."""
    artifact = claimed_jobs.artifact_of(services, job)
    spec = services.types.get(job.type_name)
    place = access.find_place(spec, artifact, job.slot.path)
    slot, blob = place.slot, place.blob
    if blob is None or blob.digests is None or blob.size is None or not isinstance(blob.location, External):
        raise missing(job.location_id)
    with services.db.look() as connection:
        candidates = takedowns.open_ones(connection, candidates_of(place, blob))
    if not candidates:
        raise LocationChanged(f"The external location of blob '{slot.path}' no longer serves what was recorded.")
    staged = Managed(services.store_for(spec.name, artifact.owner), uuid.uuid4().hex)
    earlier = services.db.transact(partial(_restage, job, staged))
    remove_doomed(services, [earlier])
    with _removed_on_error(services, artifact, slot, staged):
        with claimed_jobs.charged_in_turn(services, job.project, job.host) as charge:
            blocks = _blocks(services, blob.size, candidates, cancellation)
            _copy(services, blob.size, blocks, staged, claimed_jobs.watched(services, job, charge.add))
        services.db.transact(
            partial(_publish, services, job, staged),
            done=lambda connection: access.published_after_all(connection, artifact.id, slot, staged),
        )
    services.metrics.attempt_ended("published")


def _restage(job: Job, staged: Managed, connection: Connection) -> Managed:
    """Write to another object from now on; returns the one that an earlier try may have written."""
    artifact_rows.lock(connection, job.artifact_id)
    earlier = blob_rows.restage(connection, job.id, staged) if jobs.is_held(connection, job) else None
    if earlier is None:
        raise ClaimLost
    return earlier


def _blocks(
    services: Services, size: int, candidates: tuple[Blob, ...], cancellation: Cancellation
) -> Generator[bytes]:
    """Every block, once its sha256 was checked; a candidate that fails is followed by the next one, at the same
    block.
    """
    if not size:
        return
    last = block_count(size) - 1
    blocks = CheckedBlocks(services, candidates, 0, last)
    blocks.cancellation = cancellation
    blocks.charged = False
    try:
        for number in range(last + 1):
            yield blocks.read(number)
    finally:
        blocks.close()


def _copy(
    services: Services, size: int, blocks: Generator[bytes], staged: Managed, count: Callable[[int], None]
) -> None:
    """Write the blocks into the staged object, and count their bytes."""
    with services.stores[staged.store].create(staged.object, expected_size=size) as writer, closing(blocks):
        for data in blocks:
            count(len(data))
            writer.write(data)
        writer.commit()


@contextmanager
def _removed_on_error(services: Services, artifact: Artifact, slot: Slot, staged: Managed) -> Iterator[None]:
    """Remove what was staged where it is not published, once that is certain. What is doomed besides, or cannot be
    removed now, the sweep finds.
    """
    try:
        yield
    except Exception:
        try:
            if not services.db.transact(partial(_is_published, artifact, slot, staged)):
                services.stores[staged.store].delete(staged.object)
        except GlareError:
            _log.exception("a staged object is left to the sweep", extra={"artifact": artifact.id})
        raise


def _is_published(artifact: Artifact, slot: Slot, staged: Managed, connection: Connection) -> bool:
    """Whether the blob has these bytes. A commit that was not answered may still be under way: it has the artifact's
    lock, so that this waits for it.
    """
    artifact_rows.lock(connection, artifact.id)
    return access.published_after_all(connection, artifact.id, slot, staged) is not None


def _publish(services: Services, job: Job, staged: Managed, connection: Connection) -> Artifact:
    now = services.clock()
    artifact_rows.lock(connection, job.artifact_id)
    claimed_jobs.done(services, connection, job)
    before = access.reread(connection, job.artifact_id)
    blob = before.blobs.get(job.slot)
    location = blob.location if blob is not None else None
    if blob is None or blob.attempt is None or not isinstance(location, External) or location.id != job.location_id:
        raise ClaimLost
    source = Source(location.url, location.confidential)
    copied = Blob(job.slot, BlobStatus.ACTIVE, blob.content_type, blob.size, blob.digests, staged, source=source)
    reserved = blob.attempt.reserved
    takedowns.require_open(connection, sha256=blob.digests.sha256 if blob.digests else None)
    if not blob_rows.publish(connection, job.id, copied):
        raise ClaimLost
    counters.use(connection, before.owner, before.type_name, size=(blob.size or 0) - reserved)
    artifact_rows.touch_any(connection, before.id, now)
    after = access.reread(connection, before.id)
    detail = {"location": job.location_id, "size": blob.size, "sha256": blob.digests.sha256 if blob.digests else None}
    event = _event(services, "location.promoted", after, job, now)
    audit.changed(connection, claimed_jobs.actor_of(job), [event], target=job.slot.path, detail=detail)
    return after


def undo(
    services: Services,
    connection: Connection,
    artifact: Artifact,
    job: Job,
    outcome: Mapping[str, Any],
    actor: Actor | None,
) -> None:
    """Give slot and quota back and tell of it, in the caller's transaction. The blob is as it was, and its location is
    looked at.
    """
    holders.end_attempt(services, connection, artifact, job.id)
    now = services.clock()
    event = _event(services, "location.promotion_failed", artifact, job, now, outcome["error"])
    detail = {"location": job.location_id, "error": outcome["error"]["type"]}
    audit.changed(connection, actor, [event], target=job.slot.path, detail=detail)
    rhythm = services.rules.verification.rhythm
    found = checks.follow_hint(connection, job.location_id, "promotion", now, rhythm, even_young=True)
    if found is not None:
        location_hosts.schedule_host(connection, *found, now)


def _event(
    services: Services, name: str, artifact: Artifact, job: Job, now: int, error: Mapping[str, Any] | None = None
) -> Event:
    confidential = claimed_jobs.is_confidential(services, job)
    payload: dict[str, Any] = dict(artifact_event(name, artifact, now).payload)
    payload["location"] = {
        "id": job.location_id,
        "artifact": artifact.id,
        "artifact_type": artifact.type_name,
        "project": artifact.owner,
        "blob": job.slot.path,
        "url": visible_url(job.payload["url"], confidential=confidential, full=False),
        "confidential": confidential,
    }
    if error is not None:
        payload["error"] = error
    return Event(name, artifact.owner, artifact.type_name, artifact.id, payload, now)


def _document(services: Services, actor: Actor, artifact: Artifact, job: Job) -> documents.Promotion:
    full = access.sees_full_urls(services, actor, artifact)
    confidential = claimed_jobs.is_confidential(services, job)
    error = job.outcome["error"] if job.outcome is not None and job.state is not JobState.DONE else None
    return documents.Promotion(
        id=job.location_id,
        artifact=artifact.id,
        artifact_type=artifact.type_name,
        project=artifact.owner,
        blob=job.slot.path,
        url=visible_url(job.payload["url"], confidential=confidential, full=full),
        confidential=confidential,
        promotion=documents.PromotionState(
            status=job.state,
            error=error and msgspec.convert(error, documents.JobError),
            tries=job.tries,
            asked_at=moment.text(job.created_at),
            finished_at=None if job.finished_at is None else moment.text(job.finished_at),
        ),
    )


def _newest(services: Services, location_id: str) -> Job | None:
    if not may_be_id(location_id):
        raise missing(location_id)
    with services.db.look() as connection:
        return jobs.newest(connection, location_id, JobKind.PROMOTE)
