"""External locations for those who may see them: list, show, read the history, ask for a check."""

from __future__ import annotations

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import check_history, checks, counters, location_hosts
from glare.db.check_history import RecordedCheck
from glare.db.checks import LocationQuery, Target
from glare.db.counters import UNLIMITED
from glare.db.rows import fetch_artifacts
from glare.documents import locations as documents
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status
from glare.domain.blob import Blob
from glare.domain.events import artifact_event
from glare.domain.moment import SECOND
from glare.domain.representation import represent_location
from glare.domain.verification import AT_ONCE, visible_reason
from glare.errors import Forbidden, TooManyRequests
from glare.operations import access, audit
from glare.operations.locations.find import blob_at, find_location, may_be_id, missing
from glare.operations.locations.jobs import find_recording
from glare.operations.locations.unmeasured import ask_for_measuring
from glare.operations.page import Page, page_of
from glare.operations.services import Services
from glare.operations.takedowns import lookup as takedowns


def list_locations(
    services: Services, actor: Actor, asked: documents.LocationQuery
) -> Page[documents.RecordedLocation]:
    """One page of the locations of the caller's project, or of all, by id.

    Raises `PolicyException`, `Forbidden` for a parameter that is for admins.
    """
    services.policy.require("location:list", actor, {})
    return read_locations(services, actor, _query(services, actor, asked))


def read_locations(services: Services, actor: Actor, query: LocationQuery) -> Page[documents.RecordedLocation]:
    """One page, for a caller that may see it."""
    with services.db.read() as connection:
        found = checks.list_locations(connection, query)
        artifacts = {one.id: one for one in fetch_artifacts(connection, list({one for _, one in found}))}
    listed = []
    for location_id, artifact_id in found:
        artifact = artifacts.get(artifact_id)
        blob = blob_at(artifact, location_id) if artifact is not None else None
        if artifact is not None and blob is not None:
            listed.append(_document(services, actor, artifact, blob))
    return Page(listed, page_of(found, query.limit, lambda one: one[0]).marker)


def show_location(
    services: Services, actor: Actor, location_id: str
) -> documents.RecordedLocation | documents.Recording:
    """One location, also one that is still being recorded, or could not be. Raises `NotFound`, also where the caller
    may not see its artifact.
    """
    recording = find_recording(services, actor, location_id) if may_be_id(location_id) else None
    if recording is not None:
        return recording
    artifact, blob = find_location(services, actor, location_id)
    return _document(services, actor, artifact, blob)


def list_checks(
    services: Services, actor: Actor, location_id: str, query: documents.CheckQuery
) -> Page[documents.RecordedCheck]:
    """One page of the history of a location, newest first. Raises as `show_location` does."""
    limit = min(query.limit, services.rules.query.max_page)
    before = int(query.marker) if query.marker else None
    find_location(services, actor, location_id)
    with services.db.look() as connection:
        entries = check_history.list_checks(connection, location_id, limit, before)
    to_operator = services.policy.is_admin(actor)
    page = page_of(entries, limit, lambda entry: str(entry.id))
    return Page([represent_check(entry, to_operator=to_operator) for entry in page.entries], page.marker)


def ask_for_check(
    services: Services, actor: Actor, location_id: str
) -> documents.RecordedLocation | documents.Recording:
    """Have the location checked whole as soon as a worker is free; whoever asks while such a check waits shares it.

    Returns the location as it is now. Raises as `show_location` does, `PolicyException`, `Forbidden`, `Blocked`, and
    `TooManyRequests` where the project has used up its measurements.
    """
    artifact, blob = find_location(services, actor, location_id)
    access.require_writer(services, actor, artifact)
    access.require(services, "location:check", actor, artifact)
    if artifact.status is Status.DELETED:
        raise Forbidden(f"Artifact '{artifact.id}' is deleted; its locations are not checked.")

    def ask(connection: Connection) -> None:
        now = services.clock()
        artifact_rows.lock(connection, artifact.id)
        target = checks.find(connection, location_id, lock=True)
        if target is None:
            raise missing(location_id)
        takedowns.require_open(connection, sha256=target.sha256, url=target.url)
        if blob.digests is None:
            ask_for_measuring(services, connection, artifact, blob)
            event = artifact_event("check_location", artifact, now)
            audit.noted(connection, actor, [event], target=blob.slot.path, detail={"location": location_id})
            return
        if checks.request_full_check(connection, location_id, now):
            _charge(services, connection, target, now)
            location_hosts.schedule_host(connection, target.turn, AT_ONCE, now, ahead=True)
            event = artifact_event("check_location", artifact, now)
            audit.noted(connection, actor, [event], target=blob.slot.path, detail={"location": location_id})

    services.db.transact(ask)
    return show_location(services, actor, location_id)


def _charge(services: Services, connection: Connection, target: Target, now: int) -> None:
    limits = services.rules.outbound
    period = now - now % (limits.window * SECOND)
    counters.add_outbound(connection, target.project, period, requests=1)
    requests, size = counters.outbound_used(connection, target.project, period)
    if limits.requests != UNLIMITED and requests > limits.requests:
        raise TooManyRequests(
            f"The project may have at most {limits.requests} measurements in {limits.window} seconds; retry later."
        )
    if limits.bytes != UNLIMITED and size >= limits.bytes:
        raise TooManyRequests(
            f"The project may have at most {limits.bytes} bytes measured in {limits.window} seconds; retry later."
        )


def _document(services: Services, actor: Actor, artifact: Artifact, blob: Blob) -> documents.RecordedLocation:
    admin = services.policy.is_admin(actor)
    return represent_location(
        artifact,
        blob,
        full_url=admin or actor.project == artifact.owner,
        to_operator=admin,
        stale_before=services.clock() - int(services.rules.verification.stale_after * SECOND),
    )


def represent_check(entry: RecordedCheck, *, to_operator: bool) -> documents.RecordedCheck:
    """An entry of a history. What would tell about networks is for operators."""
    return documents.RecordedCheck(
        kind=entry.kind,
        outcome=entry.outcome,
        reason=visible_reason(entry.reason, to_operator=to_operator),
        state=entry.state,
        first_at=moment.text(entry.first_at),
        last_at=moment.text(entry.last_at),
        checks=entry.checks,
        bytes=entry.bytes,
    )


def _query(services: Services, actor: Actor, asked: documents.LocationQuery) -> LocationQuery:
    most = services.rules.query.max_page
    if services.policy.allows("location:list_all", actor, {}):
        return query_of(asked, most, project=asked.project)
    if actor.project is None:
        raise Forbidden("Locations belong to projects, and your request names none; use a token of a project.")
    for name, value in (("host", asked.host), ("project", asked.project)):
        if value is not None:
            raise Forbidden(
                f"Parameter '{name}' is for those who may list the locations of all projects; leave it out."
            )
    return query_of(asked, most, project=actor.project)


def query_of(asked: documents.LocationQuery, most: int, *, project: str | None) -> LocationQuery:
    """The query that parameters mean, for `project` (None: all). `most` bounds a page."""
    return LocationQuery(
        limit=min(asked.limit, most),
        project=project,
        state=asked.state,
        host=(asked.host or "").lower() or None,
        artifact_id=asked.artifact,
        after=asked.marker,
    )
