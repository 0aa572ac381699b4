"""Delete a single external blob from an artifact. The record goes; no request is made to its URL, ever."""

from __future__ import annotations

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import blobs as blob_rows
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.artifact_type import TypeSpec
from glare.domain.blob import External
from glare.domain.events import artifact_event
from glare.domain.microversion import NEWEST, Microversion
from glare.errors import Forbidden
from glare.operations import access, attempts, audit
from glare.operations.services import Services


def delete_blob(
    services: Services,
    actor: Actor,
    type_name: str,
    artifact_id: str,
    path: str,
    expected: access.Expected = access.ANYTHING,
    microversion: Microversion = NEWEST,
) -> tuple[TypeSpec, Artifact]:
    """Remove the external blob that `path` names; returns the artifact as it is then.

    Raises `NotFound` where there is no such blob, `Forbidden` for managed blobs and where the field may not change.
    """
    spec = access.find_type(services, type_name)
    artifact = access.find_artifact(services, actor, spec, artifact_id)
    access.require_writer(services, actor, artifact)
    access.require(services, "artifact:delete_blob", actor, artifact)
    field, slot = access.find_slot(spec, path, microversion)
    expected.check(artifact, slot)
    blob = artifact.blobs.get(slot)
    if blob is None:
        raise access.no_data(artifact, slot)
    if not isinstance(blob.location, External):
        raise Forbidden(
            f"Blob '{slot.path}' holds data that Glare stores; only external blobs can be deleted by themselves."
        )
    attempts.require_idle_slot(services, artifact, slot)
    access.require_changeable(field, artifact)
    now = services.clock()

    def remove(connection: Connection) -> Artifact:
        artifact_rows.touch(connection, artifact, now)
        if not blob_rows.remove_blob(connection, artifact.id, slot):
            raise artifact_rows.lost_race(artifact.id)
        after = access.reread(connection, artifact.id)
        audit.changed(connection, actor, [artifact_event("delete_blob", after, now)], target=slot.path)
        return after

    return spec, services.db.transact(remove)
