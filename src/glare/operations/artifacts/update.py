"""Update an artifact by a JSON Patch: apply its operations one by one on a copy, then store all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status
from glare.domain.declared.artifact_type import COLUMNS, FieldSpec, TypeSpec
from glare.domain.declared.hooks import Change, ChangeKind
from glare.domain.declared.index import index_values
from glare.domain.events import artifact_event
from glare.domain.lifecycle import Transition, status_transition, visibility_transition
from glare.domain.microversion import NEWEST, Microversion
from glare.domain.patch import Operation, apply, parse
from glare.domain.representation import represent
from glare.domain.visibility import shown_visibility
from glare.domain.wording import quoted
from glare.errors import BadRequest, Forbidden
from glare.operations import access, audit, hooks
from glare.operations.artifacts import members
from glare.operations.artifacts.links import require_links
from glare.operations.services import Services
from glare.operations.slots import holders
from glare.policy.engine import target_of


@dataclass(slots=True)
class _Draft:
    """The working copy: `document` is what operations see, `artifact` what will be stored, `steps` what to announce."""

    spec: TypeSpec
    document: dict[str, Any]
    artifact: Artifact
    steps: list[ChangeKind] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PatchRequest:
    """A patch: `body` should be a JSON array of RFC 6902 operations. `revisions` are those that If-Match names."""

    body: Any
    revisions: frozenset[str] | None = None
    microversion: Microversion = NEWEST


def update_artifact(
    services: Services, actor: Actor, type_name: str, artifact_id: str, request: PatchRequest
) -> tuple[TypeSpec, Artifact]:
    """Apply the patch; returns the artifact as it is then.

    Raises `BadRequest` and `InvalidParameterValue` naming the operation or field, `ArtifactNotFound`, `Forbidden`,
    `PolicyException`, `PreconditionFailed`, and `Conflict` for a taken name, a blob being stored or a lost race.
    """
    operations = parse(request.body)
    if len(operations) > services.rules.max_patch_operations:
        most = services.rules.max_patch_operations
        raise BadRequest(
            f"The patch has {len(operations)} operations, and may have {most} ([api] max_patch_operations)."
        )
    spec = access.find_type(services, type_name)
    artifact = access.find_artifact(services, actor, spec, artifact_id)
    if spec is services.types.all:
        if operations:
            raise Forbidden(f"Type '{spec.name}' is read-only; change the artifact under its own type.")
        return spec, artifact
    access.require_writer(services, actor, artifact)
    access.require(services, "artifact:update", actor, artifact)
    access.require_revision(artifact, request.revisions)
    artifact = holders.without_dead(services, artifact)
    change = hooks.of_update(actor, tuple(request.body))
    before = represent(spec, artifact, microversion=NEWEST, full_urls=True)
    draft = _Draft(spec, dict(before), artifact)
    _set(draft, hooks.before(spec, change, artifact))
    for operation in operations:
        _apply(services, actor, request.microversion, draft, operation)
    # What reads the same is the same: a default that is given explicitly changes nothing. A deactivation and
    # reactivation in one patch ends as it began, but for the time.
    if draft.document == before and draft.artifact.activated_at == artifact.activated_at:
        return spec, artifact
    after = _store(services, actor, artifact, draft, audit.differences(before, draft.document))
    hooks.after(spec, change, after)
    for kind in draft.steps:
        hooks.after(spec, Change(kind, actor), after)
    return spec, after


def _apply(services: Services, actor: Actor, microversion: Microversion, draft: _Draft, operation: Operation) -> None:
    face = draft.spec.face(microversion)
    # A field that the caller's microversion does not know can be neither tested, nor copied from.
    hidden = draft.spec.fields.keys() - face.fields.keys()
    seen = {key: value for key, value in draft.document.items() if key not in hidden}
    seen["visibility"] = shown_visibility(draft.artifact.visibility, microversion).value
    name, document = apply(operation, seen)
    if operation.is_test:
        return
    found = face.fields.get(name)
    if found is not None and found.is_blob:
        raise BadRequest(f"Field '{name}' holds data; upload it, or add a location, at its own path.")
    if name == "visibility":
        _move(services, actor, draft, _visibility(draft.artifact, document[name], microversion))
    elif name == "status":
        _move(services, actor, draft, _status(draft.artifact, document[name]))
    else:
        if found is None:
            raise BadRequest(f"Type '{face.name}' has no field {quoted(name)}{face.why_unknown(name)}.")
        _change(services, actor, draft, found, document.get(name))


def _status(artifact: Artifact, wanted: Any) -> Transition:
    return status_transition(artifact.status, wanted)


def _visibility(artifact: Artifact, wanted: Any, microversion: Microversion) -> Transition:
    return visibility_transition(artifact.visibility, artifact.status, wanted, microversion)


def _move(services: Services, actor: Actor, draft: _Draft, transition: Transition) -> None:
    """A life-cycle change, or a repetition of one: policy and hook are asked in either case."""
    spec, artifact = draft.spec, draft.artifact
    if transition.kind is None:
        return  # Drafted to drafted, private to private: nothing is asked, nothing happens.
    if transition.rule is not None:
        access.require(services, transition.rule, actor, artifact)
    _set(draft, hooks.before(spec, Change(transition.kind, actor), artifact))
    if transition.kind is ChangeKind.ACTIVATE:
        _require_complete(spec, draft.artifact)
        hooks.validate(spec, draft.artifact)
    if transition.status is not None:
        draft.artifact = replace(draft.artifact, status=transition.status)
        if transition.status is Status.ACTIVE and artifact.status is not Status.ACTIVE:
            draft.artifact = replace(draft.artifact, activated_at=services.clock())
    if transition.visibility is not None:
        draft.artifact = replace(draft.artifact, visibility=transition.visibility)
    draft.document["status"] = draft.artifact.status.value
    draft.document["visibility"] = draft.artifact.visibility.value
    draft.steps.append(transition.kind)


def _require_complete(spec: TypeSpec, artifact: Artifact) -> None:
    missing = spec.missing(artifact)
    if missing:
        raise Forbidden(
            f"The artifact cannot be activated: field '{missing[0]}' is required and has no value; set it first."
        )


def _change(services: Services, actor: Actor, draft: _Draft, found: FieldSpec, value: Any) -> None:
    name = found.name
    artifact = draft.artifact
    if artifact.status not in (Status.DRAFTED, Status.ACTIVE):
        raise Forbidden(f"Artifact '{artifact.id}' is {artifact.status}; its fields cannot be changed.")
    if found.system:
        raise Forbidden(f"Field '{name}' is set by the service; it cannot be changed.")
    if artifact.status is Status.ACTIVE and not found.mutable:
        raise Forbidden(f"Artifact '{artifact.id}' is active and field '{name}' is immutable; it cannot be changed.")
    stored = found.coerce(value)
    require_links(services, actor, name, set(found.links(stored)) - set(found.links(artifact.values.get(name))))
    _set(draft, {name: stored})


def _set(draft: _Draft, values: dict[str, Any]) -> None:
    """Put stored forms into the working copy; None takes the value away, so that the field has its default."""
    for name, stored in values.items():
        found = draft.spec.fields[name]
        draft.document[name] = found.effective(stored)
        if name in COLUMNS:
            draft.artifact = replace(draft.artifact, **{name: found.effective(stored)})
            continue
        kept = {key: value for key, value in draft.artifact.values.items() if key != name}
        if stored is not None or found.keeps_null:
            kept[name] = stored
        draft.artifact = replace(draft.artifact, values=kept)


def _store(services: Services, actor: Actor, before: Artifact, draft: _Draft, detail: Mapping[str, Any]) -> Artifact:
    if draft.artifact.status is not before.status:
        holders.require_no_attempt(before)
    # A credential for some names gives no artifact another one.
    services.policy.require_within("artifact:update", actor, target_of(draft.artifact))
    now = services.clock()
    after = replace(draft.artifact, updated_at=now, revision=before.revision + 1)
    changed = dict(before.values) != dict(after.values)
    events = [artifact_event("update", after, now)]
    events += [artifact_event(kind, after, now) for kind in draft.steps]

    def keep(connection: Connection) -> None:
        if after.visibility is not before.visibility:
            members.end(connection, before, now)
        artifact_rows.update_artifact(
            connection, before, after, index_values(draft.spec, after.values) if changed else None
        )
        audit.changed(connection, actor, events, detail=detail)

    services.db.transact(keep)
    return after
