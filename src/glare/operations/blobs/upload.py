"""Upload a blob: authorise, reserve, stream, commit, publish; or undo."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.blob import Slot
from glare.domain.claims import Claims
from glare.domain.declared.artifact_type import FieldSpec, TypeSpec
from glare.domain.declared.hooks import ChangeKind, Ingested
from glare.domain.microversion import NEWEST, Microversion
from glare.errors import BadRequest
from glare.operations import access, hooks
from glare.operations.blobs.unpack import unpack
from glare.operations.services import Services
from glare.operations.slots import attempts, holders, replicas
from glare.operations.slots.staging import Stored, stage, staged_of


class Body(Protocol):
    """The bytes of a request, read in a worker thread. `declared` is the length that the client announced, or None."""

    declared: int | None

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What an upload says beside its bytes. `content_type` is without parameters."""

    type_name: str
    artifact_id: str
    path: str
    content_type: str
    claims: Claims
    expected: access.Expected = access.ANYTHING
    microversion: Microversion = NEWEST


def upload_blob(services: Services, actor: Actor, request: UploadRequest, body: Body) -> tuple[TypeSpec, Artifact]:
    """Store the body as the blob that `request.path` names; returns the artifact as it is then.

    Raises `ArtifactNotFound`, `Forbidden`, `PolicyException`, `BadRequest`, `Conflict`, `RequestEntityTooLarge`,
    `StoreFull`, `ClientDisconnected`, `RequestTimeout`; in every case nothing has changed.
    """
    with closing(body):
        spec, artifact, field, slot = _authorise(services, actor, request, body.declared)
        store_name = services.rules.store_of(spec.name)

        def check(current: Artifact) -> None:
            holders.require_idle_slot(services, current, slot)
            access.require_changeable(field, current, slot)
            replicas.require_possible(current, field, slot, request.claims, body.declared)

        reservation = attempts.reserve(
            services,
            actor,
            artifact,
            spec,
            field,
            slot,
            check,
            declared=body.declared,
            content_type=request.content_type,
            store=store_name,
        )
        with services.heartbeats.keep(reservation.attempt_id), attempts.undone_on_error(services, reservation):
            change = hooks.of_blob(ChangeKind.UPLOAD, actor, slot)
            values = hooks.before(spec, change, artifact)
            ingested = _ingest(services, actor, reservation, request, body)
            content = stage(
                services,
                reservation,
                ingested.stream,
                expected=body.declared,
                check=partial(request.claims.check, source=f"the data of blob '{slot.path}'"),
            )
            if ingested.members is None:
                after = attempts.publish(
                    services,
                    reservation,
                    content,
                    staged_of(reservation),
                    request.content_type,
                    "upload",
                    values=values,
                )
            else:
                stored = Stored(reservation, content, request.content_type)
                after = unpack(services, stored, ingested, ingested.members, values)
        hooks.after(spec, change, after)
        return spec, after


def _authorise(
    services: Services, actor: Actor, request: UploadRequest, declared: int | None
) -> tuple[TypeSpec, Artifact, FieldSpec, Slot]:
    spec = access.find_type(services, request.type_name)
    artifact = access.find_artifact(services, actor, spec, request.artifact_id)
    access.require_writer(services, actor, artifact)
    access.require(services, "artifact:upload", actor, artifact)
    field, slot = access.find_slot(spec, request.path, request.microversion)
    request.expected.check(artifact, slot)
    holders.require_idle_slot(services, artifact, slot)
    access.require_changeable(field, artifact, slot)
    replicas.require_possible(artifact, field, slot, request.claims, declared)
    return spec, artifact, field, slot


def _ingest(
    services: Services, actor: Actor, reservation: attempts.Reservation, request: UploadRequest, body: Body
) -> Ingested:
    ingested = hooks.ingest(
        reservation.spec,
        reservation.artifact,
        actor,
        reservation.slot,
        body,
        request.content_type,
        reservation.limit,
        services.rules.unpacking,
    )
    if ingested.stream is not body and request.claims != Claims():
        # The client's digests describe what it sent; what is stored, and measured, is what the hook made of it.
        raise BadRequest(f"Type '{reservation.spec.name}' rewrites its data; send no digests with this upload.")
    return ingested
