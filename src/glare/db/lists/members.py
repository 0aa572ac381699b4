"""Members of artifacts as rows, with the totals of what is shared with each project.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select, update

from glare.db.dialects.later import later
from glare.db.dialects.upsert import add_up, insert_new
from glare.db.keys import member_scope
from glare.db.tables import artifact_members, member_counts
from glare.documents.members import MemberStatus
from glare.domain.artifact import Artifact
from glare.domain.member import Member
from glare.domain.version import parse as parse_version

_columns: Final = artifact_members.c
_MEMBER: Final = (
    _columns.artifact_id,
    _columns.project,
    _columns.status,
    _columns.created_at,
    _columns.updated_at,
)
_ONE = select(*_MEMBER).where(_columns.artifact_id == bindparam("artifact"), _columns.project == bindparam("project"))
_NUMBER = select(func.count()).where(_columns.artifact_id == bindparam("artifact"))
_AT_ONCE: Final = 500


def find(connection: Connection, artifact_id: str, project: str) -> Member | None:
    """The membership of `project`, None where it is no member, or could not be: PostgreSQL refuses to compare NUL."""
    if "\0" in project:
        return None
    row = connection.execute(_ONE, {"artifact": artifact_id, "project": project}).first()
    return None if row is None else _member(row)


def shared_with(connection: Connection, ids: Collection[str], project: str) -> dict[str, MemberStatus]:
    """Those artifacts of `ids` that `project` is a member of, with what it has decided."""
    wanted = list(ids)
    found: dict[str, MemberStatus] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        rows = connection.execute(
            select(_columns.artifact_id, _columns.status).where(
                _columns.artifact_id.in_(wanted[first : first + _AT_ONCE]), _columns.project == project
            )
        )
        found.update({row.artifact_id: MemberStatus(row.status) for row in rows})
    return found


def of_artifacts(connection: Connection, ids: Collection[str]) -> dict[tuple[str, str], Member]:
    """All members of the artifacts of `ids`, by artifact and project."""
    rows = connection.execute(select(*_MEMBER).where(_columns.artifact_id.in_(ids))) if ids else ()
    return {(row.artifact_id, row.project): _member(row) for row in rows}


def page(connection: Connection, artifact_id: str, *, limit: int, after: str | None = None) -> list[Member]:
    """Up to `limit` members of an artifact by project, those after the project `after`."""
    statement = select(*_MEMBER).where(_columns.artifact_id == artifact_id).order_by(_columns.project).limit(limit)
    if after is not None:
        statement = statement.where(_columns.project > after)
    return [_member(row) for row in connection.execute(statement)]


def number(connection: Connection, artifact_id: str) -> int:
    """How many members the artifact has."""
    return int(connection.execute(_NUMBER, {"artifact": artifact_id}).scalar_one())


def add(connection: Connection, artifact: Artifact, member: Member) -> bool:
    """Store a new member of `artifact`; False, and nothing has happened, where the project is one already.

    The caller holds the artifact's row, and has read it since: the database refuses copies of what it was before.
    """
    if not insert_new(connection, artifact_members, row_of(artifact, member)):
        return False
    _count(connection, artifact.type_name, member, 1)
    return True


def row_of(artifact: Artifact, member: Member) -> dict[str, object]:
    """The row of a member of `artifact`."""
    return {
        "artifact_id": artifact.id,
        "project": member.project,
        "status": member.status.value,
        "created_at": member.created_at,
        "updated_at": member.updated_at,
        "scope": member_scope(member.status, member.project),
        "type_name": artifact.type_name,
        "name": artifact.name,
        "version_key": parse_version(artifact.version).key,
        "owner": artifact.owner,
        "artifact_created_at": artifact.created_at,
        "artifact_status": artifact.status.value,
        "artifact_updated_at": artifact.updated_at,
        "artifact_activated_at": artifact.activated_at,
    }


def decide(connection: Connection, artifact: Artifact, before: Member, after: Member) -> bool:
    """Store what a member has decided; False where it was changed or removed since it was read as `before`."""
    done = connection.execute(
        update(artifact_members)
        .where(*_is(before), _columns.status == before.status.value)
        .values(
            status=after.status.value,
            updated_at=after.updated_at,
            scope=member_scope(after.status, after.project),
        )
    )
    if not done.rowcount:
        return False
    if after.status is not before.status:
        _count(connection, artifact.type_name, before, -1)
        _count(connection, artifact.type_name, after, 1)
    return True


def remove(connection: Connection, artifact: Artifact, member: Member) -> bool:
    """Take a member away; False where it was changed or removed since it was read."""
    gone = connection.execute(delete(artifact_members).where(*_is(member), _columns.status == member.status.value))
    if not gone.rowcount:
        return False
    _count(connection, artifact.type_name, member, -1)
    return True


def remove_all(connection: Connection, artifact: Artifact) -> None:
    """Take all members away. The caller holds the artifact's row, so that none comes meanwhile."""
    there = of_artifacts(connection, (artifact.id,)).values()
    # In one order, so that two of these do not wait for each other.
    for member in sorted(there, key=lambda one: member_scope(one.status, one.project)):
        _count(connection, artifact.type_name, member, -1)
    later(connection, delete(artifact_members).where(_columns.artifact_id == artifact.id))


def _count(connection: Connection, type_name: str, member: Member, delta: int) -> None:
    key = {"type_name": type_name, "scope": member_scope(member.status, member.project)}
    add_up(connection, member_counts, key, {"total": delta})


def _is(member: Member) -> tuple[Any, ...]:
    return _columns.artifact_id == member.artifact_id, _columns.project == member.project


def _member(row: Any) -> Member:
    return Member(row.artifact_id, row.project, MemberStatus(row.status), row.created_at, row.updated_at)
