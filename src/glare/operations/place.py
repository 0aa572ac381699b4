"""The place of a blob: what a request names once it was found, and what travels through an operation together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from glare.domain.artifact import Artifact
from glare.domain.blob import Blob, Slot
from glare.domain.declared.artifact_type import FieldSpec, TypeSpec


@dataclass(frozen=True, slots=True)
class Place:
    """A slot of a blob field of an artifact, as the artifact was read; whether or not a blob is there."""

    spec: TypeSpec
    artifact: Artifact
    field: FieldSpec
    slot: Slot

    @property
    def blob(self) -> Blob | None:
        """What is in the slot: a blob, an attempt to store one, or nothing."""
        return self.artifact.blobs.get(self.slot)

    def reread(self, artifact: Artifact) -> Place:
        """The same place in the artifact as it was read again."""
        return replace(self, artifact=artifact)
