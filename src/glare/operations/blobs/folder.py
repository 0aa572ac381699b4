"""Show what a folder of blobs holds: each with what is known of its location."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import asdict

from glare.documents import blobs as documents
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.blob import Blob, External
from glare.domain.declared.artifact_type import FieldSpec, TypeSpec
from glare.domain.moment import SECOND
from glare.domain.origins.replica_origin import origins_of
from glare.domain.representation import represent_blob, represent_location
from glare.domain.wording import visible_url
from glare.operations import access
from glare.operations.blobs.download import require_readable
from glare.operations.services import Services
from glare.operations.slots.replicas import good_ones
from glare.operations.takedowns import lookup as takedowns


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that the caller may read. `full_urls`: whether they may see confidential URLs."""

    spec: TypeSpec
    artifact: Artifact
    field: FieldSpec
    blobs: dict[str, Blob]
    full_urls: bool
    to_operator: bool


def find_folder(services: Services, actor: Actor, named: access.Named) -> Folder:
    """The folder that is `named`. Raises as a download of one of its blobs does, but for what is about that blob alone.

    Members that are taken down are left out.
    """
    spec = access.find_type(services, named.type_name)
    artifact = access.find_artifact(services, actor, spec, named.artifact_id)
    require_readable(services, actor, artifact)
    field = access.find_folder(spec, named.path, named.microversion)
    admin = services.policy.is_admin(actor)
    blobs = {slot.key or "": blob for slot, blob in artifact.blobs.items() if slot.field == field.name}
    with services.db.look() as connection:
        blobs = takedowns.open_members(connection, blobs)
    return Folder(spec, artifact, field, blobs, admin or actor.project == artifact.owner, admin)


def represent_folder(services: Services, folder: Folder) -> documents.Folder:
    """The folder as the API shows it. Size and digests of the whole are there where its members are one content."""
    members = {key: _member(services, folder, blob) for key, blob in folder.blobs.items()}
    if not folder.field.replicas:
        return documents.Folder(folder.field.name, replicas=False, members=members)
    known = next((blob for blob in folder.blobs.values() if blob.digests is not None), None)
    digests = known.digests if known is not None else None
    return documents.Folder(
        folder.field.name,
        replicas=True,
        size=known.size if known is not None else None,
        md5=digests.md5 if digests else None,
        sha1=digests.sha1 if digests else None,
        sha256=digests.sha256 if digests else None,
        good=len(origins_of(good_ones(folder.blobs.values()))),  # One URL in several spellings is one replica.
        members=members,
    )


def _member(services: Services, folder: Folder, blob: Blob) -> documents.Member:
    member = asdict(represent_blob(folder.artifact, blob, full_urls=folder.full_urls))
    member |= {"good": blob.good, "copied_from": _source(folder, blob)}
    if not isinstance(blob.location, External):
        return documents.Member(**member, reason=blob.damage.value if blob.damage else None)
    stale_before = services.clock() - int(services.rules.verification.stale_after * SECOND)
    location = represent_location(
        folder.artifact, blob, full_url=folder.full_urls, to_operator=folder.to_operator, stale_before=stale_before
    )
    return documents.Member(
        **member,
        location=location.id,
        state=location.state,
        reason=location.reason,
        proven_at=location.proven_at,
        seen_at=location.seen_at,
        stale=location.stale,
    )


def _source(folder: Folder, blob: Blob) -> str | None:
    """Where stored bytes were copied from, None where they were uploaded."""
    source = blob.source
    return visible_url(source.url, confidential=source.confidential, full=folder.full_urls) if source else None
