"""Create an artifact: authorise, check the values, insert within the quota."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import counters
from glare.db.rows import fetch_artifact
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.artifact_type import Face, TypeSpec
from glare.domain.declared.hooks import Change, ChangeKind
from glare.domain.declared.index import index_values
from glare.domain.events import artifact_event
from glare.domain.hints import did_you_mean
from glare.domain.microversion import NEWEST, Microversion
from glare.domain.wording import quoted
from glare.errors import BadRequest, Forbidden
from glare.operations import access, audit, hooks
from glare.operations.artifacts.links import require_links
from glare.operations.quotas import effective_limits
from glare.operations.services import Services

_DECIDED_LATER: Final = ("visibility", "status", "display_type_name")


def create_artifact(
    services: Services, actor: Actor, type_name: str, body: Any, microversion: Microversion = NEWEST
) -> tuple[TypeSpec, Artifact]:
    """Create a drafted, private artifact of the caller's project from a JSON object.

    Raises `Forbidden` (no project, quota, a system field), `BadRequest` and `InvalidParameterValue` naming the field,
    `PolicyException`, `TypeNotFound`, `Conflict` (name and version taken).
    """
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object of field names and values.")
    project = require_owner(actor)
    if not body.get("name"):
        similar = "".join(f"; '{given}' looks like it" for given in body if did_you_mean(given, ("name",)))
        raise BadRequest(f"Field 'name' is required and cannot be empty{similar}.")
    for name in _DECIDED_LATER:
        if name in body:
            raise BadRequest(f"Field '{name}' cannot be set at creation; leave it out.")
    services.policy.require("artifact:create", actor, {**_texts(body), "owner": project, "type_name": type_name})
    spec = access.find_type(services, type_name)
    if spec is services.types.all:
        raise Forbidden(f"Type '{spec.name}' is read-only; create the artifact under its own type.")
    face = spec.face(microversion)
    artifact = _drafted(services, project, spec, _coerced(services, actor, face, body))
    _require_settable(services, face, artifact, body)
    change = Change(ChangeKind.CREATE, actor)
    if spec.hooks.before:
        artifact = replace(artifact, values={**artifact.values, **hooks.before(spec, change, artifact)})

    def insert(connection: Connection) -> Artifact:
        artifact_rows.insert_artifact(connection, artifact, index_values(spec, artifact.values))
        _take_quota(services, connection, artifact)
        event = artifact_event("create", artifact, artifact.created_at)
        detail = {"name": artifact.name, "version": artifact.version, "fields": sorted(body)}
        audit.changed(connection, actor, [event], detail=detail)
        return artifact

    services.db.transact(insert, done=lambda connection: fetch_artifact(connection, artifact.id))
    hooks.after(spec, change, artifact)
    return spec, artifact


def require_owner(actor: Actor) -> str:
    """The project that owns what the caller creates. Raises `Forbidden` for a caller without one."""
    if actor.anonymous or not actor.project:
        raise Forbidden("Your token belongs to no project, so it cannot own an artifact; use one of a project.")
    return actor.project


def _coerced(services: Services, actor: Actor, face: Face, body: dict[str, Any]) -> dict[str, Any]:
    values = {}
    for name, value in body.items():
        field = face.fields.get(name)
        if field is None or field.is_blob:
            continue  # Refused below: names and quotas are looked at first.
        values[name] = field.coerce(value)
        require_links(services, actor, name, field.links(values[name]))
    return values


def _drafted(services: Services, owner: str, spec: TypeSpec, values: dict[str, Any]) -> Artifact:
    now = services.clock()
    version = values.get("version")
    return Artifact(
        id=services.new_id(),
        type_name=spec.name,
        name=values["name"],
        version=version if version is not None else spec.fields["version"].default,
        owner=owner,
        status=Status.DRAFTED,
        visibility=Visibility.PRIVATE,
        created_at=now,
        updated_at=now,
        activated_at=None,
        values=spec.complete(values),
        blobs={},
        revision=1,
    )


def _require_settable(services: Services, face: Face, artifact: Artifact, body: dict[str, Any]) -> None:
    """Refuse the first key that a client may not set. Where there is one, a taken name or a full quota is reported
    first.
    """
    refusal = next((error for error in (_refusal(face, name) for name in body) if error is not None), None)
    if refusal is None:
        return
    with services.db.read() as connection:
        if artifact_rows.name_is_taken(connection, artifact):
            raise artifact_rows.name_taken(artifact)
        limits = effective_limits(
            services.rules.quota_defaults(face.name), counters.quota_records(connection, artifact.owner)
        )
        used = counters.usage(connection, artifact.owner, face.name)
    for name, limit in limits.items():
        if limit.artifacts != counters.UNLIMITED and used[name].artifacts >= limit.artifacts:
            raise _over_quota(artifact, name, limit.artifacts)
    raise refusal


def _refusal(face: Face, name: str) -> Exception | None:
    field = face.fields.get(name)
    if field is None:
        return BadRequest(f"Type '{face.name}' has no field {quoted(name)}{face.why_unknown(name)}.")
    if field.is_blob:
        return BadRequest(f"Field '{name}' holds data; upload it, or add a location, after the artifact is created.")
    if field.system:
        return Forbidden(f"Field '{name}' is set by the service; leave it out.")
    return None


def _take_quota(services: Services, connection: Connection, artifact: Artifact) -> None:
    limits = effective_limits(
        services.rules.quota_defaults(artifact.type_name), counters.quota_records(connection, artifact.owner)
    )
    over = counters.use_within(connection, artifact.owner, artifact.type_name, limits, artifacts=1)
    if over is not None:
        raise _over_quota(artifact, over, limits[over].artifacts)


def _over_quota(artifact: Artifact, type_name: str, limit: int) -> Forbidden:
    of_type = f" of type '{type_name}'" if type_name else ""
    return Forbidden(
        f"Project '{artifact.owner}' has as many artifacts{of_type} as its quota allows ({limit}); delete one or ask "
        "for more."
    )


def _texts(body: dict[str, Any]) -> dict[str, Any]:
    """What rules of the policy may compare: scalar members of the body."""
    return {name: value for name, value in body.items() if isinstance(value, str | int | float | bool)}
