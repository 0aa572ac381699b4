"""Calling the hooks of a type, where it has overridden them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.blob import Slot
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.hooks import Change, ChangeKind, Ingest, Ingested, Reader, UnpackLimits
from glare.operations.place import Place


def before(spec: TypeSpec, change: Change, artifact: Artifact) -> dict[str, Any]:
    """Values that the type sets with the change, in stored form; it refuses by raising."""
    if not spec.hooks.before:
        return {}
    return spec.hook_values(spec.artifact_type.before(change, spec.view(artifact)))


def after(spec: TypeSpec, change: Change, artifact: Artifact) -> None:
    """Tell the type that the change is stored."""
    if spec.hooks.after:
        spec.artifact_type.after(change, spec.view(artifact))


def of_blob(kind: ChangeKind, actor: Actor, slot: Slot, url: str | None = None) -> Change:
    """A change that concerns one blob."""
    return Change(kind, actor, field=slot.field, key=slot.key, url=url)


def of_update(actor: Actor, operations: tuple[Mapping[str, Any], ...]) -> Change:
    """An update by these patch operations."""
    return Change(ChangeKind.UPDATE, actor, patch=operations)


def validate(spec: TypeSpec, artifact: Artifact) -> None:
    """Let the type refuse an activation."""
    if spec.hooks.validate:
        spec.artifact_type.validate(spec.view(artifact))


def ingest(
    place: Place, actor: Actor, stream: Reader, content_type: str, limit: int, unpacking: UnpackLimits
) -> Ingested:
    """What to store for what a client uploads; the very same stream where the type does not rewrite it."""
    spec, slot = place.spec, place.slot
    if not spec.hooks.ingest:
        return Ingested(stream)
    size: int | None = getattr(stream, "declared", None)
    upload = Ingest(spec.view(place.artifact), actor, slot.field, slot.key, content_type, size, limit, unpacking)
    return spec.ingest(upload, stream)


def rewritten(spec: TypeSpec, artifact: Artifact, slot: Slot, stream: Reader) -> Reader:
    """The stream to send for a stored blob of a type that rewrites downloads."""
    return spec.artifact_type.download(spec.view(artifact), slot.field, slot.key, stream)
