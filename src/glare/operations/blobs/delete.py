"""Delete a single blob from an artifact. Of an external one the record goes; no request is made to its URL, ever."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import blobs as blob_rows
from glare.db import counters
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status
from glare.domain.blob import External, Managed
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.events import artifact_event
from glare.errors import Forbidden
from glare.operations import access, audit
from glare.operations.locations.jobs import without_jobs
from glare.operations.services import Services
from glare.operations.slots import holders, replicas
from glare.operations.slots.objects import remove_doomed
from glare.operations.takedowns import lookup as takedowns


def delete_blob(
    services: Services, actor: Actor, named: access.Named, expected: access.Expected = access.ANYTHING
) -> tuple[TypeSpec, Artifact]:
    """Remove the external blob that is `named`, or any member of a folder of replicas; returns the artifact as it is
    then.

    A job that records or promotes it is cancelled.

    Raises `NotFound` where there is no such blob, `Forbidden` for other managed blobs and where the field may not
    change, `Conflict` for the last good replica of an active artifact.
    """
    place = access.place_to_change(services, actor, "artifact:delete_blob", named)
    spec, artifact, field, slot, blob = place.spec, place.artifact, place.field, place.slot, place.blob
    expected.check(place)
    if blob is None:
        raise access.no_data(artifact, slot)
    if blob.attempt is not None and blob.attempt.of_job:
        if blob.location is None:
            access.require_changeable(place)
            return spec, without_jobs(services, actor, artifact, of_slot=slot.path)
        artifact = without_jobs(services, actor, artifact, of_slot=slot.path)
        place = place.reread(artifact)
        blob = artifact.blobs.get(slot, blob)
    if not isinstance(blob.location, External) and not (field.replicas and blob.location is not None):
        raise Forbidden(
            f"Blob '{slot.path}' holds data that Glare stores; only external blobs can be deleted by themselves."
        )
    holders.require_idle_slot(services, place)
    if not (field.replicas and artifact.status is Status.ACTIVE):
        access.require_field_changeable(field, artifact)
    now = services.clock()

    def remove(connection: Connection) -> Artifact:
        artifact_rows.touch(connection, artifact, now)
        current = blob
        if field.replicas:
            is_open = partial(takedowns.is_open, connection)
            before = access.reread(connection, artifact.id)
            replicas.require_leaving(before, slot, is_open)
            current = before.blobs.get(slot, blob)  # Its bytes may have been moved.
        if not blob_rows.drop_blob(connection, artifact.id, current, now + services.rules.removal_delay):
            raise artifact_rows.lost_race(artifact.id)
        if isinstance(blob.location, Managed):
            counters.use(connection, artifact.owner, artifact.type_name, size=-(blob.size or 0))
        after = access.reread(connection, artifact.id)
        audit.changed(connection, actor, [artifact_event("delete_blob", after, now)], target=slot.path)
        return after

    after = services.db.transact(remove)
    if isinstance(blob.location, Managed):
        remove_doomed(services, [blob.location])
    return spec, after
