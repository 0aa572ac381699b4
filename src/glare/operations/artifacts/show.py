"""Show one artifact."""

from __future__ import annotations

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.declared.artifact_type import TypeSpec
from glare.operations import access
from glare.operations.services import Services


def show_artifact(services: Services, actor: Actor, type_name: str, artifact_id: str) -> tuple[TypeSpec, Artifact]:
    """The artifact, where the caller may see it. Raises `TypeNotFound`, `ArtifactNotFound`, `PolicyException`."""
    spec = access.find_type(services, type_name)
    artifact = access.find_artifact(services, actor, spec, artifact_id)
    access.require(services, "artifact:get", actor, artifact)
    return spec, artifact
