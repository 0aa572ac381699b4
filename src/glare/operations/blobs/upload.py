"""Upload a blob: authorise, reserve, stream, commit, publish; or undo."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.claims import Claims
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.hooks import ChangeKind, Ingested
from glare.errors import BadRequest
from glare.operations import access, hooks
from glare.operations.blobs.unpack import unpack
from glare.operations.place import Place
from glare.operations.services import Services
from glare.operations.slots import attempts, holders, replicas


class Body(Protocol):
    """The bytes of a request, read in a worker thread. `declared` is the length that the client announced, or None."""

    declared: int | None

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What an upload says beside its bytes. `content_type` is without parameters. `store` has a place for it, where
    the artifact's data may go there.
    """

    named: access.Named
    content_type: str
    claims: Claims
    expected: access.Expected = access.ANYTHING
    store: str | None = None


def upload_blob(services: Services, actor: Actor, request: UploadRequest, body: Body) -> tuple[TypeSpec, Artifact]:
    """Store the body as the blob that `request` names; returns the artifact as it is then.

    Raises `ArtifactNotFound`, `Forbidden`, `PolicyException`, `BadRequest`, `Conflict`, `RequestEntityTooLarge`,
    `StoreFull`, `ClientDisconnected`, `RequestTimeout`; in every case nothing has changed.
    """
    with closing(body):
        place = access.place_to_change(services, actor, "artifact:upload", request.named)
        spec, slot = place.spec, place.slot
        request.expected.check(place)

        def check(current: Place) -> None:
            holders.require_idle_slot(services, current)
            access.require_changeable(current)
            replicas.require_possible(current, request.claims, body.declared)

        check(place)
        store = services.store_for(spec.name, place.artifact.owner, request.store)
        coming = attempts.Coming(body.declared, request.content_type, store)
        reservation = attempts.reserve(services, actor, place, coming, check)
        with services.heartbeats.keep(reservation.attempt_id), attempts.undone_on_error(services, reservation):
            change = hooks.of_blob(ChangeKind.UPLOAD, actor, slot)
            values = hooks.before(spec, change, place.artifact)
            ingested = _ingest(services, reservation, request, body)
            content = attempts.stage(
                services,
                reservation,
                ingested.stream,
                expected=body.declared,
                check=partial(request.claims.check, source=f"the data of blob '{slot.path}'"),
            )
            stored = attempts.Stored(reservation, content, request.content_type)
            if ingested.members is None:
                after = attempts.publish(services, reservation, stored.filling, "upload", values)
            else:
                after = unpack(services, stored, ingested, ingested.members, values)
        hooks.after(spec, change, after)
        return spec, after


def _ingest(services: Services, reservation: attempts.Reservation, request: UploadRequest, body: Body) -> Ingested:
    place = reservation.place
    ingested = hooks.ingest(
        place, reservation.actor, body, request.content_type, reservation.limit, services.rules.unpacking
    )
    if ingested.stream is not body and request.claims != Claims():
        # The client's digests describe what it sent; what is stored, and measured, is what the hook made of it.
        raise BadRequest(f"Type '{place.spec.name}' rewrites its data; send no digests with this upload.")
    return ingested
