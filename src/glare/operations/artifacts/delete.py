"""Delete an artifact: authorise, then remove it, or mark it for the sweep where deletion is delayed."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import counters
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status
from glare.domain.blob import Managed
from glare.domain.declared.hooks import Change, ChangeKind
from glare.domain.events import artifact_event
from glare.errors import Forbidden
from glare.operations import access, audit, hooks
from glare.operations.artifacts import members
from glare.operations.locations.jobs import without_jobs
from glare.operations.services import Services
from glare.operations.slots import holders
from glare.operations.slots.objects import remove_doomed


def delete_artifact(
    services: Services, actor: Actor, type_name: str, artifact_id: str, revisions: frozenset[str] | None = None
) -> None:
    """Delete the artifact; external data is never touched.

    Raises `ArtifactNotFound`, `Forbidden`, `PolicyException`, `PreconditionFailed`, and `Conflict` while a blob is
    being stored.
    """
    spec = access.find_type(services, type_name)
    artifact = access.find_artifact(services, actor, spec, artifact_id)
    access.require_writer(services, actor, artifact)
    access.require(services, "artifact:delete", actor, artifact)
    if spec is services.types.all:
        raise Forbidden(
            f"Type '{spec.name}' is read-only; delete the artifact under its own type '{artifact.type_name}'."
        )
    access.require_revision(artifact, revisions)
    change = Change(ChangeKind.DELETE, actor)
    hooks.before(spec, change, artifact)
    artifact = holders.without_dead(services, artifact)
    holders.require_no_attempt(artifact, but_of_jobs=True)
    artifact = without_jobs(services, actor, artifact)
    if services.rules.deletes_later(spec.name):
        if artifact.status is not Status.DELETED:
            _mark_deleted(services, actor, artifact)
    else:
        remove(services, actor, artifact)
    hooks.after(spec, change, artifact)


def remove(services: Services, actor: Actor | None, artifact: Artifact) -> None:
    """Remove the artifact's rows in one transaction, and its managed objects after it. Raises `Conflict` on a lost
    race.

    `actor` is None where the service does it by itself.
    """
    managed = [blob for blob in artifact.blobs.values() if isinstance(blob.location, Managed)]
    objects = [blob.location for blob in managed if isinstance(blob.location, Managed)]
    used = sum(blob.size or 0 for blob in managed)

    def forget(connection: Connection) -> None:
        members.end(connection, artifact, services.clock())
        artifact_rows.remove_artifact(connection, artifact, services.clock() + services.rules.removal_delay)
        counters.use(connection, artifact.owner, artifact.type_name, artifacts=-1, size=-used)
        kept = {"name": artifact.name, "version": artifact.version}
        if artifact.status is not Status.DELETED:
            audit.changed(connection, actor, [artifact_event("delete", artifact, services.clock())], detail=kept)
        else:  # Subscribers have heard of it when it was marked.
            audit.noted(connection, actor, [artifact_event("scrub", artifact, services.clock())], detail=kept)

    services.db.transact(forget)
    if objects:
        remove_doomed(services, objects)


def _mark_deleted(services: Services, actor: Actor, artifact: Artifact) -> None:
    now = services.clock()
    after = replace(artifact, status=Status.DELETED, updated_at=now, deleted_at=now, revision=artifact.revision + 1)

    def mark(connection: Connection) -> None:
        members.end(connection, artifact, now)
        artifact_rows.update_artifact(connection, artifact, after, None)
        detail = {"name": artifact.name, "version": artifact.version, "delayed": True}
        audit.changed(connection, actor, [artifact_event("delete", artifact, now)], detail=detail)

    services.db.transact(mark)
