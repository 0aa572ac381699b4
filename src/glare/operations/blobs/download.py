"""Find a blob for a reader: authorise, and say where its bytes are. Sending them is the caller's work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from glare.db import blobs as blob_rows
from glare.db.rows import fetch_artifact
from glare.digest import Digests
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status
from glare.domain.blob import Blob, Damage, External, LocationState, Managed, Slot
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.hooks import ChangeKind
from glare.domain.file_names import file_name
from glare.errors import Conflict, Forbidden, GlareError, LocationChanged, NotFound
from glare.operations import access, damage, hooks
from glare.operations.reading.candidates import candidates_of
from glare.operations.services import Services
from glare.operations.takedowns import lookup as takedowns
from glare.policy.engine import target_of
from glare.policy.scope import may_see

_MOST_COPIES: Final = 32


@dataclass(frozen=True, slots=True)
class Download:
    """A blob that the caller may read: where its bytes are, and what was measured of them.

    `blob` is the first of the `candidates` that may deliver them; it need not be the one in `slot`, but for its
    content. `copies` are blobs of other artifacts that have it too and that `reader` may read; they are looked for
    where no candidate is good.
    """

    spec: TypeSpec
    artifact: Artifact
    slot: Slot
    blob: Blob
    size: int
    digests: Digests
    reader: Actor
    candidates: tuple[Blob, ...] = ()
    copies: tuple[Blob, ...] = ()

    @property
    def file_name(self) -> str:
        """What a file of it is called."""
        return file_name(self.artifact, self.spec.fields[self.slot.field], self.slot, self.blob.content_type)


class Unmeasured(Conflict):
    """Nobody has measured the location. `url` is where a reader may be sent all the same, where the operator allows
    that; `file_name` is what a file of it is called.
    """

    def __init__(self, slot: Slot, url: str | None, file_name: str) -> None:
        super().__init__(
            f"Nobody has measured the external location of blob '{slot.path}' yet, or it is not what was claimed; it "
            "is served once it is verified."
        )
        self.url = url
        self.file_name = file_name


def find_blob(services: Services, actor: Actor, named: access.Named) -> Download:
    """The blob that is `named`. No request leaves Glare, and no byte is read.

    Raises `ArtifactNotFound`, `PolicyException`, `Forbidden`, `BadRequest`, `NotFound` (no data), `Conflict` (still
    being stored), `Unmeasured`, `LocationChanged`, `BlobDamaged` and `Blocked`.
    """
    spec = access.find_type(services, named.type_name)
    # Takedowns are looked up after the artifact, and may be newer: what was taken down meanwhile is not served.
    with services.db.look() as connection:
        artifact = access.read_artifact(services, connection, actor, spec, named.artifact_id)
        require_readable(services, actor, artifact)
        place = access.find_place(spec, artifact, named.path, named.microversion)
        slot, blob = place.slot, place.blob
        if blob is None:
            raise access.no_data(artifact, slot)
        if blob.claimed is not None:
            filename = file_name(artifact, place.field, slot, blob.content_type)
            raise Unmeasured(slot, _unmeasured_url(services, connection, spec, blob), filename)
        if blob.location is None or blob.size is None or blob.digests is None:
            raise Conflict(f"Blob '{slot.path}' is still being stored; wait until it is active, then retry.")
        candidates = takedowns.open_ones(connection, candidates_of(place, blob))
        copies: tuple[Blob, ...] = ()
        if not candidates and isinstance(blob.location, Managed):
            takedowns.require_open(connection, sha256=blob.digests.sha256)
            copies = tuple(_copies(services, connection, actor, blob.digests.sha256, blob.size))
            candidates = (blob,) if copies else ()
    if not candidates:
        raise _not_served(blob)
    change = hooks.of_blob(ChangeKind.DOWNLOAD, actor, slot)
    hooks.before(spec, change, artifact)
    hooks.after(spec, change, artifact)
    chosen = replace(candidates[0], content_type=blob.content_type)
    return Download(spec, artifact, slot, chosen, blob.size, blob.digests, actor, candidates, copies)


def was_replaced(services: Services, found: Download) -> bool:
    """Whether the blob that `found` names has other bytes, or none, by now."""
    with services.db.look() as connection:
        artifact = fetch_artifact(connection, found.artifact.id)
    blob = artifact.blobs.get(found.slot) if artifact is not None else None
    return blob is None or blob.location != found.artifact.blobs[found.slot].location


def copies_of(services: Services, found: Download) -> list[Blob]:
    """Stored blobs with the content of `found` that its reader may read as well, some of them; wherever they are.

    Who may not read such an artifact is not served from it, although the bytes are the same: whether a download works
    must tell nobody what others have. Types that decide on each download in a hook are left alone.
    """
    with services.db.read() as connection:
        takedowns.require_open(connection, sha256=found.digests.sha256)
        return list(_copies(services, connection, found.reader, found.digests.sha256, found.size))


def _copies(services: Services, connection: Connection, actor: Actor, sha256: str, size: int) -> Iterator[Blob]:
    for artifact_id, slot in blob_rows.copies(connection, sha256, size, _MOST_COPIES):
        artifact = fetch_artifact(connection, artifact_id)
        if artifact is None or artifact.type_name not in services.types.names:
            continue
        blob = artifact.blobs.get(slot)
        if blob is None or not blob.good or blob.external or services.types.get(artifact.type_name).hooks.before:
            continue
        artifact = access.for_reader(connection, actor, artifact)
        if may_see(services.policy, actor, artifact) and _may_read(services, actor, artifact):
            yield blob


def _may_read(services: Services, actor: Actor, artifact: Artifact) -> bool:
    try:
        require_readable(services, actor, artifact)
    except Forbidden:
        return False
    return True


def require_readable(services: Services, actor: Actor, artifact: Artifact) -> None:
    """Raises `PolicyException`, or `Forbidden` for a deleted artifact, where the caller may not have the artifact's
    bytes.
    """
    target = target_of(artifact)
    if not services.policy.allows("artifact:download_from_any_artifact", actor, target):
        services.policy.require("artifact:download", actor, target)
    if artifact.status is Status.DELETED:
        raise Forbidden(f"Artifact '{artifact.id}' is deleted; its blobs cannot be downloaded.")


def redirect_target(services: Services, found: Download, *, wanted: bool) -> str | None:
    """The origin's URL that a reader may be sent to, None where Glare sends the bytes itself.

    `wanted` is whether the request asks for it, or carries no credentials that a client might send along.
    """
    location = found.blob.location
    if not wanted or not isinstance(location, External) or location.confidential or found.spec.rewrites_downloads:
        return None
    return location.url if found.blob.good and services.rules.may_redirect(found.spec.name) else None


def _unmeasured_url(services: Services, connection: Connection, spec: TypeSpec, blob: Blob) -> str | None:
    """Where a reader of an unmeasured location may be sent; nowhere, where it has proven wrong, is confidential, or is
    taken down.
    """
    location = blob.location
    if not isinstance(location, External) or location.confidential or location.state is LocationState.CHANGED:
        return None
    claimed = blob.claimed.sha256 if blob.claimed is not None else None
    takedowns.require_open(connection, sha256=claimed, url=location.url)
    return location.url if services.rules.may_redirect(spec.name) else None


def _not_served(blob: Blob) -> GlareError:
    """Why the blob is not sent. Stored bytes may be right again once an operator has restored them."""
    remedy = "tell its operator, who may have a copy of them"
    if blob.damage is Damage.MISSING:
        return NotFound(f"The bytes of blob '{blob.slot.path}' are lost; {remedy}.")
    if blob.damage is Damage.UNREADABLE:
        return damage.not_readable(blob.slot.path)
    if blob.damage is not None:
        return damage.not_as_recorded(blob.slot.path)
    return LocationChanged(f"The external location of blob '{blob.slot.path}' no longer serves what was recorded.")
