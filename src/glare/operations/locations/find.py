"""One external location by its id, for those who may see it."""

from __future__ import annotations

from typing import Final

from glare.db import checks
from glare.db.rows import fetch_artifact
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.blob import Blob, External
from glare.errors import NotFound
from glare.operations import access
from glare.operations.services import Services
from glare.policy.engine import target_of
from glare.policy.scope import may_see

_ID_LENGTH: Final = 32


def find_location(services: Services, actor: Actor, location_id: str) -> tuple[Artifact, Blob]:
    """The artifact that has the location, and the blob at it. Raises `NotFound`, also where the caller may not see the
    artifact, and `PolicyException`.
    """
    if not may_be_id(location_id):
        raise missing(location_id)
    with services.db.look() as connection:
        target = checks.find(connection, location_id)
        artifact = fetch_artifact(connection, target.artifact_id) if target is not None else None
        artifact = artifact and access.for_reader(connection, actor, artifact)
    blob = blob_at(artifact, location_id) if artifact is not None else None
    if artifact is None or blob is None or not may_see(services.policy, actor, artifact):
        raise missing(location_id)
    services.policy.require("location:get", actor, target_of(artifact))
    return artifact, blob


def may_be_id(text: str) -> bool:
    """Whether a location can have this id: what cannot be one is not asked for in the database."""
    return len(text) == _ID_LENGTH and text.isalnum() and text.isascii()


def blob_at(artifact: Artifact, location_id: str) -> Blob | None:
    """The blob of the artifact that is at this location."""
    for blob in artifact.blobs.values():
        if isinstance(blob.location, External) and blob.location.id == location_id:
            return blob
    return None


def missing(location_id: str) -> NotFound:
    """The error for an id that no location has, as far as the caller may know."""
    return NotFound(f"There is no location '{location_id[:40]}'; list them at /locations.")
