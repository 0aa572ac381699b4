"""Finding what a request names, and deciding whether its caller may see or change it. Every operation starts here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from glare.db.lists import members
from glare.db.rows import fetch_artifact
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.blob import External, Managed, Slot
from glare.domain.declared.artifact_type import FieldSpec, TypeSpec
from glare.domain.microversion import NEWEST, Microversion
from glare.domain.wording import quoted
from glare.errors import ArtifactNotFound, BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed
from glare.operations.place import Place
from glare.operations.services import Services
from glare.policy.engine import target_of
from glare.policy.scope import may_see


def find_type(services: Services, name: str) -> TypeSpec:
    """The enabled type of this name, or the read-only `all`. Raises `TypeNotFound`."""
    return services.types.all if name == services.types.all.name else services.types.get(name)


def read_artifact(
    services: Services, connection: Connection, actor: Actor, spec: TypeSpec, artifact_id: str
) -> Artifact:
    """An artifact that the caller may see. Raises `ArtifactNotFound`, whether it is missing, of another type or
    invisible.
    """
    artifact = fetch_artifact(connection, artifact_id)
    known = artifact is not None and artifact.type_name in services.types.names
    if artifact is None or not known or (spec is not services.types.all and artifact.type_name != spec.name):
        raise not_found(artifact_id)
    artifact = for_reader(connection, actor, artifact)
    if not may_see(services.policy, actor, artifact):
        raise not_found(artifact_id, hidden=True)
    return artifact


def for_reader(connection: Connection, actor: Actor, artifact: Artifact) -> Artifact:
    """The artifact as it is read for the caller: `may_see` and the rules then know whether their project is a
    member.
    """
    shared = artifact.visibility is Visibility.SHARED
    if not shared or actor.project is None or not is_member(connection, actor.project, artifact):
        return artifact
    return replace(artifact, member=actor.project)


def is_member(connection: Connection, project: str, artifact: Artifact) -> bool:
    """Whether the artifact is shared with the project, which is not its owner's."""
    if artifact.visibility is not Visibility.SHARED or project == artifact.owner:
        return False
    return members.find(connection, artifact.id, project) is not None


def find_artifact(services: Services, actor: Actor, spec: TypeSpec, artifact_id: str) -> Artifact:
    """As `read_artifact`, in a transaction of its own."""
    with services.db.look() as connection:
        return read_artifact(services, connection, actor, spec, artifact_id)


def require_writer(services: Services, actor: Actor, artifact: Artifact) -> None:
    """Only the owner's project and admins change an artifact, whatever a policy file says."""
    if actor.anonymous or not (actor.project == artifact.owner or services.policy.is_admin(actor)):
        raise Forbidden(
            f"Artifact '{artifact.id}' belongs to another project; only its owner or an admin may change it."
        )


def refuse_anonymous(services: Services, actor: Actor, type_name: str, artifact_id: str) -> None:
    """Raises, for an anonymous caller, what any change of the artifact ends with: `TypeNotFound`, `ArtifactNotFound` or
    `Forbidden`.
    """
    require_writer(services, actor, find_artifact(services, actor, find_type(services, type_name), artifact_id))


def require(services: Services, rule: str, actor: Actor, artifact: Artifact) -> None:
    """Ask the policy. Raises `PolicyException`."""
    services.policy.require(rule, actor, target_of(artifact))


@dataclass(frozen=True, slots=True)
class Named:
    """What a request names: an artifact, by type and id, and ``field`` or ``field/key`` of it, at a microversion."""

    type_name: str
    artifact_id: str
    path: str
    microversion: Microversion = NEWEST


def place_to_change(services: Services, actor: Actor, rule: str, named: Named) -> Place:
    """The place that `named` is, for a caller whom the policy's `rule` lets change it.

    Raises `TypeNotFound`, `ArtifactNotFound`, `Forbidden`, `PolicyException`, `BadRequest`.
    """
    spec = find_type(services, named.type_name)
    artifact = find_artifact(services, actor, spec, named.artifact_id)
    require_writer(services, actor, artifact)
    require(services, rule, actor, artifact)
    return find_place(spec, artifact, named.path, named.microversion)


def find_place(spec: TypeSpec, artifact: Artifact, path: str, microversion: Microversion = NEWEST) -> Place:
    """The place in `artifact` that ``field`` or ``field/key`` names to this microversion. Raises `BadRequest`."""
    name, slash, key = path.partition("/")
    face = spec.face(microversion)
    field = face.fields.get(name)
    if field is None:
        raise BadRequest(
            f"Type '{spec.name}' has no field {quoted(name)}{face.why_unknown(name)}; the path must name a blob field."
        )
    if field.is_folder:
        if not key:
            raise BadRequest(f"Field '{name}' is a folder; name one of its blobs as '{name}/<key>'.")
        return Place(spec, artifact, field, Slot(name, key))
    if not field.is_blob:
        raise BadRequest(f"Field '{name}' is not a blob; the path must name a blob field.")
    if slash:
        raise BadRequest(f"Field '{name}' is a single blob and has no keys; leave out {quoted(f'/{key}')}.")
    return Place(spec, artifact, field, Slot(name))


def find_folder(spec: TypeSpec, name: str, microversion: Microversion) -> FieldSpec:
    """The folder of this name that this microversion knows. Raises `BadRequest`."""
    face = spec.face(microversion)
    field = face.fields.get(name)
    if field is None:
        raise BadRequest(
            f"Type '{spec.name}' has no field {quoted(name)}{face.why_unknown(name)}; the path must name a folder."
        )
    if not field.is_folder:
        raise BadRequest(f"Type '{spec.name}' has no folder {quoted(name)}; the path must name one of its blob fields.")
    return field


def require_changeable(place: Place) -> None:
    """Raises `Forbidden` where the artifact's status, or the field's declaration, does not let the blob change.

    A folder of replicas takes further ones while the artifact is active: raises `Conflict` where there is one already.
    """
    artifact, blob = place.artifact, place.blob
    if not (artifact.status is Status.ACTIVE and place.field.replicas):
        require_field_changeable(place.field, artifact)
        return
    _require_open(place.field, artifact)
    if blob is not None and blob.location is not None:
        raise Conflict(
            f"Blob '{place.slot.path}' is there and artifact '{artifact.id}' is active; delete it first, or use "
            "another key."
        )


def require_field_changeable(field: FieldSpec, artifact: Artifact, *, by_hook: bool = False) -> None:
    """As `require_changeable`, for any blob of the field. Hooks of the type may fill its system fields too."""
    _require_open(field, artifact, by_hook=by_hook)
    if artifact.status is Status.ACTIVE and not field.mutable:
        raise Forbidden(
            f"Artifact '{artifact.id}' is active and field '{field.name}' is immutable; its blobs cannot be changed."
        )


def _require_open(field: FieldSpec, artifact: Artifact, *, by_hook: bool = False) -> None:
    if artifact.status not in (Status.DRAFTED, Status.ACTIVE):
        raise Forbidden(f"Artifact '{artifact.id}' is {artifact.status}; its blobs cannot be changed.")
    if field.system and not by_hook:
        raise Forbidden(f"Field '{field.name}' is filled by the service; it cannot be uploaded to.")


def revision_tag(artifact: Artifact) -> str:
    """What If-Match compares: names this revision of this artifact."""
    return f"{artifact.revision:x}"


def require_revision(artifact: Artifact, wanted: frozenset[str] | None) -> None:
    """Raises `PreconditionFailed` unless the artifact's revision tag is among `wanted` (None: no condition; ``*``:
    any).
    """
    if wanted is not None and "*" not in wanted and revision_tag(artifact) not in wanted:
        raise PreconditionFailed(
            f"Artifact '{artifact.id}' is at another revision than If-Match names; read it again and retry."
        )


@dataclass(frozen=True, slots=True)
class Expected:
    """What a client expects of a blob that it changes (None: no matter what).

    `tags` are revisions of the artifact or sha256 digests of the blob, ``*`` for any blob; `absent`: that there is none
    yet.
    """

    tags: frozenset[str] | None = None
    absent: bool = False

    def check(self, place: Place) -> None:
        """Raises `PreconditionFailed`."""
        artifact, slot, blob = place.artifact, place.slot, place.blob
        digests = blob.digests if blob is not None else None
        if self.absent and digests is not None:
            raise PreconditionFailed(f"Blob '{slot.path}' exists, and If-None-Match wants that it does not.")
        if self.tags is None:
            return
        present = {"*", digests.sha256, revision_tag(artifact)} if digests is not None else {revision_tag(artifact)}
        if not present & self.tags:
            raise PreconditionFailed(
                f"Neither blob '{slot.path}' nor its artifact is as If-Match names it; read the artifact again and "
                "retry."
            )


ANYTHING: Final = Expected()
"""No condition."""


def not_found(artifact_id: str, *, hidden: bool = False) -> ArtifactNotFound:
    """The same answer for missing and for invisible (`hidden`) artifacts."""
    return ArtifactNotFound(f"There is no artifact '{artifact_id[:64]}' that you may see.", hidden=hidden)


def no_data(artifact: Artifact, slot: Slot) -> NotFound:
    """The error for a blob that is not there."""
    return NotFound(
        f"Artifact '{artifact.id}' has no data in blob {quoted(slot.path)}; read it to see which blobs it has."
    )


def reread(connection: Connection, artifact_id: str) -> Artifact:
    """The artifact as it is now, for a caller that was let in before. Raises `ArtifactNotFound`."""
    artifact = fetch_artifact(connection, artifact_id)
    if artifact is None:
        raise not_found(artifact_id)
    return artifact


def sees_full_urls(services: Services, actor: Actor, artifact: Artifact) -> bool:
    """Whether the caller sees confidential URLs whole: the owner's project and admins do."""
    return (actor.project is not None and actor.project == artifact.owner) or services.policy.is_admin(actor)


def is_published(services: Services, artifact_id: str, slot: Slot, location: Managed | None) -> bool:
    """Whether these bytes were published after all: a commit whose answer got lost may have happened."""
    with services.db.look() as connection:
        return published_after_all(connection, artifact_id, slot, location) is not None


def published_after_all(
    connection: Connection, artifact_id: str, slot: Slot, location: Managed | External | None
) -> Artifact | None:
    """The artifact as it is now where these bytes are published in `slot`."""
    found = fetch_artifact(connection, artifact_id)
    blob = found.blobs.get(slot) if found is not None else None
    return found if blob is not None and blob.location == location else None
