"""Members of an artifact: its owner adds and removes them, each of them decides whether its lists show the artifact.

A member learns of no other one. Whoever sees the artifact by other means finds no members at all.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from glare.db import artifacts as artifact_rows
from glare.db import outbox
from glare.db.counters import UNLIMITED
from glare.db.lists import members as rows
from glare.documents import members as documents
from glare.documents.members import MemberStatus
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.events import Event, member_event
from glare.domain.member import Member
from glare.errors import BadRequest, Conflict, NotFound
from glare.operations import access, audit
from glare.operations.page import Page, page_of
from glare.operations.services import Services
from glare.policy.engine import target_of


def list_members(services: Services, actor: Actor, artifact_id: str, query: documents.MemberQuery) -> Page[Member]:
    """One page of the members: all for the owner and admins, itself for a member.

    Raises `ArtifactNotFound`, `PolicyException`, and `NotFound` for everybody else.
    """
    limit = min(query.limit, services.rules.query.max_page)
    with services.db.read() as connection:
        artifact = _artifact(services, connection, actor, artifact_id)
        access.require(services, "member:list", actor, artifact)
        if not _manages(services, actor, artifact):
            if artifact.member is None:
                raise _no_members(artifact)
            own = rows.find(connection, artifact.id, artifact.member)
            return Page([own] if own is not None and query.marker is None else [], None)
        return _page(connection, artifact, query, limit)


def read_members(services: Services, artifact_id: str, query: documents.MemberQuery) -> Page[Member]:
    """One page of all members, for a caller that may see them. Raises `ArtifactNotFound`."""
    limit = min(query.limit, services.rules.query.max_page)
    with services.db.read() as connection:
        return _page(connection, access.reread(connection, artifact_id), query, limit)


def show_member(services: Services, actor: Actor, artifact_id: str, project: str) -> Member:
    """One member. Raises as `list_members`, and `NotFound` for one that the caller may not see or that is none."""
    with services.db.read() as connection:
        artifact, member = _find(services, connection, actor, artifact_id, project)
    _require(services, "member:get", actor, artifact, project)
    return member


def add_member(services: Services, actor: Actor, artifact_id: str, project: str) -> Member:
    """Share the artifact with a further project, which has not decided yet.

    Raises `ArtifactNotFound`, `Forbidden`, `PolicyException`; `BadRequest` for the owner itself; `Conflict` where it
    is a member already, where the artifact is not `shared`, and beyond `[DEFAULT] max_members`.
    """
    with services.db.read() as connection:
        seen = _artifact(services, connection, actor, artifact_id)
    access.require_writer(services, actor, seen)
    _require(services, "member:create", actor, seen, project)
    if project == seen.owner:
        raise BadRequest(f"Member 'project' is '{project[:64]}', which owns the artifact; name another project.")
    now = services.clock()
    member = Member(seen.id, project, MemberStatus.PENDING, now, now)

    def store(connection: Connection) -> Member:
        artifact_rows.lock(connection, seen.id)
        artifact = access.reread(connection, seen.id)
        if artifact.visibility is not Visibility.SHARED or artifact.status is Status.DELETED:
            raise Conflict(
                f"Artifact '{artifact.id}' is {artifact.visibility}, and only one that is shared has members; set its "
                "visibility to shared first."
            )
        if rows.find(connection, artifact.id, project) is not None:
            raise Conflict(f"Project '{project[:64]}' is a member of artifact '{artifact.id}' already.")
        most = services.rules.max_members
        if rows.number(connection, artifact.id) >= most != UNLIMITED:
            raise Conflict(
                f"Artifact '{artifact.id}' has its {most} members ([DEFAULT] max_members); remove one, or ask the "
                "operator for more."
            )
        rows.add(connection, artifact, member)
        _changed(connection, actor, member_event("added", artifact, member, now), member)
        return member

    return services.db.transact(store, done=lambda connection: rows.find(connection, seen.id, project))


def decide(services: Services, actor: Actor, artifact_id: str, project: str, status: MemberStatus) -> Member:
    """Store whether the member's default lists show the artifact.

    Raises `ArtifactNotFound`, `NotFound`, `PolicyException` for who is not the member itself, `Conflict` for a lost
    race.
    """

    def store(connection: Connection) -> Member:
        artifact, member = _find(services, connection, actor, artifact_id, project)
        _require(services, "member:update", actor, artifact, project)
        if member.status is status:
            return member
        artifact_rows.lock(connection, artifact.id)
        after = replace(member, status=status, updated_at=services.clock())
        if not rows.decide(connection, artifact, member, after):
            raise artifact_rows.lost_race(artifact.id)
        _changed(connection, actor, member_event("changed", artifact, after, after.updated_at), after)
        return after

    return services.db.transact(store)


def remove_member(services: Services, actor: Actor, artifact_id: str, project: str) -> None:
    """Share the artifact with this project no more; it does not see it from then on.

    Raises `ArtifactNotFound`, `NotFound`, `Forbidden`, `PolicyException`, `Conflict` for a lost race.
    """

    def store(connection: Connection) -> None:
        artifact, member = _find(services, connection, actor, artifact_id, project)
        access.require_writer(services, actor, artifact)
        _require(services, "member:delete", actor, artifact, project)
        _remove(services, connection, actor, artifact, member)

    services.db.transact(store)


def take_away(services: Services, actor: Actor, artifact_id: str, project: str) -> None:
    """As `remove_member`, for a caller that may."""

    def store(connection: Connection) -> None:
        artifact = access.reread(connection, artifact_id)
        _remove(services, connection, actor, artifact, _member(connection, artifact, project))

    services.db.transact(store)


def end(connection: Connection, artifact: Artifact, now: int) -> None:
    """Tell all members that an artifact is shared with them no more; the caller takes their rows away in the same
    transaction.
    """
    if artifact.visibility is Visibility.SHARED:
        artifact_rows.lock(connection, artifact.id)
        there = rows.of_artifacts(connection, (artifact.id,)).values()
        outbox.record(connection, [member_event("removed", artifact, member, now) for member in there])


def represent_member(member: Member) -> documents.Member:
    """A member as the API shows it."""
    return documents.Member(
        artifact=member.artifact_id,
        project=member.project,
        status=member.status,
        created_at=moment.text(member.created_at),
        updated_at=moment.text(member.updated_at),
    )


def _artifact(services: Services, connection: Connection, actor: Actor, artifact_id: str) -> Artifact:
    return access.read_artifact(services, connection, actor, services.types.all, artifact_id)


def _manages(services: Services, actor: Actor, artifact: Artifact) -> bool:
    """Whether the caller sees all members: who sees its whole URLs does."""
    return access.sees_full_urls(services, actor, artifact)


def _find(
    services: Services, connection: Connection, actor: Actor, artifact_id: str, project: str
) -> tuple[Artifact, Member]:
    artifact = _artifact(services, connection, actor, artifact_id)
    if not _manages(services, actor, artifact) and artifact.member != project:
        raise _no_members(artifact)
    return artifact, _member(connection, artifact, project)


def _member(connection: Connection, artifact: Artifact, project: str) -> Member:
    member = rows.find(connection, artifact.id, project) if artifact.visibility is Visibility.SHARED else None
    if member is None:
        raise _no_members(artifact)
    return member


def _page(connection: Connection, artifact: Artifact, query: documents.MemberQuery, limit: int) -> Page[Member]:
    shared = artifact.visibility is Visibility.SHARED
    found = rows.page(connection, artifact.id, limit=limit, after=query.marker) if shared else []
    return page_of(found, limit, lambda member: member.project)


def _remove(services: Services, connection: Connection, actor: Actor, artifact: Artifact, member: Member) -> None:
    artifact_rows.lock(connection, artifact.id)
    if not rows.remove(connection, artifact, member):
        raise artifact_rows.lost_race(artifact.id)
    _changed(connection, actor, member_event("removed", artifact, member, services.clock()), member)


def _require(services: Services, rule: str, actor: Actor, artifact: Artifact, project: str) -> None:
    services.policy.require(rule, actor, target_of(artifact) | {"member_id": project})


def _changed(connection: Connection, actor: Actor, event: Event, member: Member) -> None:
    detail = {"status": member.status.value}
    audit.changed(connection, actor, [event], target=member.project, detail=detail)


def _no_members(artifact: Artifact) -> NotFound:
    return NotFound(f"Artifact '{artifact.id}' has no such member that you may see; its owner sees all of them.")
