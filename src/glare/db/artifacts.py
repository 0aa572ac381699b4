"""Writing artifacts: insert, compare-and-set, removal; with their index values, totals and uniqueness.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import nullcontext

import msgspec
from sqlalchemy import Connection, bindparam, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from glare.db import counters
from glare.db.blobs import doom_objects_of
from glare.db.dialects.later import later
from glare.db.dialects.upsert import insert_new
from glare.db.keys import scope_of, uniqueness
from glare.db.lists import members
from glare.db.tables import artifact_values, artifacts, blobs
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.index import IndexValue
from glare.domain.version import parse as parse_version
from glare.errors import Conflict

_encode = msgspec.json.Encoder().encode


def insert_artifact(connection: Connection, artifact: Artifact, index: Iterable[IndexValue]) -> None:
    """Insert a new artifact. Raises `Conflict` when its name and version are taken in its scope."""
    if not insert_new(connection, artifacts, _row(artifact)):
        raise name_taken(artifact)
    _write_values(connection, artifact, index)
    counters.count_artifacts(connection, artifact.type_name, _scope(artifact), 1)


def update_artifact(
    connection: Connection, before: Artifact, after: Artifact, index: Iterable[IndexValue] | None
) -> None:
    """Store `after` where the stored revision is still that of `before`, else raise `Conflict`.

    `index` is None when no indexed value changed. `after.revision` is expected to be `before.revision + 1`.
    """
    # Only a change of the name can break the constraint, and on PostgreSQL that would end the transaction.
    renamed = _unique(before) != _unique(after)
    # What waits is said with the savepoint, and its errors are not of this row.
    savepoint = connection.begin_nested() if renamed else nullcontext()
    try:
        with savepoint:
            done = connection.execute(_UPDATE, _row(after) | {"old_id": before.id, "old_revision": before.revision})
    except IntegrityError as taken:
        if not renamed:
            raise
        raise name_taken(after) from taken
    if not done.rowcount:
        raise lost_race(before.id)
    old_scope, new_scope = _listed_scope(before), _listed_scope(after)
    if old_scope != new_scope:
        if old_scope is not None:
            counters.count_artifacts(connection, before.type_name, old_scope, -1)
        if new_scope is not None:
            counters.count_artifacts(connection, after.type_name, new_scope, 1)
    if _ends_sharing(before, after):
        members.remove_all(connection, before)
    if after.status is Status.DELETED:
        later(connection, _DELETE_VALUES, {"artifact": after.id})
    elif index is not None:
        later(connection, _DELETE_VALUES, {"artifact": after.id})
        _write_values(connection, after, index)
    elif old_scope != new_scope:
        later(
            connection,
            update(artifact_values).where(artifact_values.c.artifact_id == after.id).values(scope=new_scope),
        )


def lock(connection: Connection, artifact_id: str) -> None:
    """Let no other transaction change the artifact or its blobs until this one ends; the first thing that it does.

    What is said next is done once the lock is had. SQLite has one writer at a time anyway.
    """
    if connection.dialect.name != "sqlite":
        later(connection, _LOCK, {"old_id": artifact_id})


def lock_all(connection: Connection, artifact_ids: Collection[str]) -> None:
    """The same for several artifacts."""
    wanted = select(artifacts.c.id).where(artifacts.c.id.in_(sorted(set(artifact_ids)))).order_by(artifacts.c.id)
    connection.execute(wanted.with_for_update())


def touch(connection: Connection, artifact: Artifact, now: int) -> None:
    """Count a change of the artifact's blobs: revision and `updated_at`, where the revision is still the one that was
    read.

    Raises `Conflict` otherwise; the caller reads again and decides again.
    """
    if not connection.execute(_TOUCH, {"old_id": artifact.id, "old_revision": artifact.revision, "now": now}).rowcount:
        raise lost_race(artifact.id)


def touch_any(connection: Connection, artifact_id: str, now: int) -> None:
    """Count a change of the artifact's blobs whatever its revision: for publishing, which checks its attempt
    instead.
    """
    later(connection, _TOUCH_ANY, {"old_id": artifact_id, "now": now})


def remove_artifact(connection: Connection, artifact: Artifact, keep_until: int) -> None:
    """Remove the rows of an artifact and its blobs where nothing has changed since it was read, else raise `Conflict`.
    The objects that its blobs have by now are doomed, from `keep_until` (microseconds) on: some may have been moved.
    """
    lock(connection, artifact.id)
    doom_objects_of(connection, artifact.id, keep_until)
    later(connection, _DELETE_VALUES, {"artifact": artifact.id})
    later(connection, delete(blobs).where(blobs.c.artifact_id == artifact.id))
    if artifact.visibility is not Visibility.PRIVATE:
        members.remove_all(connection, artifact)
    gone = connection.execute(
        delete(artifacts).where(artifacts.c.id == artifact.id, artifacts.c.revision == artifact.revision)
    )
    if not gone.rowcount:
        raise lost_race(artifact.id)
    if artifact.status is not Status.DELETED:
        counters.count_artifacts(connection, artifact.type_name, _scope(artifact), -1)


def require_schema(connection: Connection) -> None:
    """Raise where the database has no artifacts, not even a place for them."""
    connection.execute(select(artifacts.c.id).limit(1))


def name_is_taken(connection: Connection, artifact: Artifact) -> bool:
    """Whether another artifact holds the name and version in the artifact's scope. Only the constraint decides."""
    return bool(
        connection.execute(
            select(exists().where(artifacts.c.uniqueness == _uniqueness(artifact), artifacts.c.id != artifact.id))
        ).scalar()
    )


def deleted_until(
    connection: Connection, until: int, limit: int, after: tuple[int, str] = (0, "")
) -> list[tuple[int, str]]:
    """Times (microseconds) and ids of artifacts whose delayed deletion happened at `until` or before, oldest first.

    `after` is the last one of an earlier call.
    """
    time, last = artifacts.c.deleted_at, artifacts.c.id
    statement = (
        select(time, last)
        .where(time <= until, time >= after[0], or_(time > after[0], last > after[1]))
        .order_by(time, last)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in connection.execute(statement)]


def name_taken(artifact: Artifact) -> Conflict:
    """The error for a name that another artifact holds."""
    return Conflict(
        f"An artifact of type '{artifact.type_name}' with name '{artifact.name}' and version '{artifact.version}' "
        f"already exists among the {artifact.visibility} ones; choose another name or version."
    )


def lost_race(artifact_id: str) -> Conflict:
    """The error for a compare-and-set that another request won."""
    return Conflict(f"Artifact '{artifact_id}' was changed by another request at this moment; read it again and retry.")


def _scope(artifact: Artifact) -> str:
    return scope_of(artifact.visibility, artifact.owner)


def _listed_scope(artifact: Artifact) -> str | None:
    """The scope whose lists show the artifact; none once it is deleted."""
    return None if artifact.status is Status.DELETED else _scope(artifact)


def _ends_sharing(before: Artifact, after: Artifact) -> bool:
    """Whether there may be members that there are to be no more. Also of a public one: an older release may have left
    them.
    """
    changes = before.visibility is not after.visibility or after.status is Status.DELETED
    return changes and before.visibility is not Visibility.PRIVATE


def _unique(artifact: Artifact) -> str | None:
    return None if artifact.status is Status.DELETED else _uniqueness(artifact)


def _uniqueness(artifact: Artifact) -> str:
    return uniqueness(artifact.type_name, artifact.name, artifact.version, _scope(artifact))


def _row(artifact: Artifact) -> dict[str, object]:
    deleted = artifact.status is Status.DELETED
    return {
        "id": artifact.id,
        "type_name": artifact.type_name,
        "name": artifact.name,
        "version": artifact.version,
        "version_key": parse_version(artifact.version).key,
        "owner": artifact.owner,
        "status": artifact.status.value,
        **stored_visibility(artifact.visibility),
        "created_at": artifact.created_at,
        "updated_at": artifact.updated_at,
        "activated_at": artifact.activated_at,
        "deleted_at": artifact.deleted_at,
        "revision": artifact.revision,
        "uniqueness": _unique(artifact),
        "scope": _listed_scope(artifact),
        "listed": 0 if deleted else 1,
        "document": _encode(artifact.values),
    }


def stored_visibility(visibility: Visibility) -> dict[str, str | None]:
    """The columns that say it. Releases that know of no sharing see what is shared as private."""
    if visibility in (Visibility.PRIVATE, Visibility.PUBLIC):
        return {"visibility": visibility.value, "sharing": None}
    return {"visibility": Visibility.PRIVATE.value, "sharing": visibility.value}


def _write_values(connection: Connection, artifact: Artifact, index: Iterable[IndexValue]) -> None:
    shared = {
        "artifact_id": artifact.id,
        "type_name": artifact.type_name,
        "scope": _scope(artifact),
        "created_at": artifact.created_at,
    }
    rows = [
        shared
        | {
            "position": position,
            "match": value.match,
            "field": value.field,
            "item_key": value.item_key,
            "string_value": value.string_value,
            "integer_value": value.integer_value,
            "number_value": value.number_value,
        }
        for position, value in enumerate(index)
    ]
    if rows:
        later(connection, _INSERT_VALUES, rows)


_columns = artifacts.c
_LOCK = select(_columns.id).where(_columns.id == bindparam("old_id")).with_for_update()
_INSERT_VALUES = insert(artifact_values)
_UPDATE = (
    update(artifacts)
    .where(_columns.id == bindparam("old_id"), _columns.revision == bindparam("old_revision"))
    .values({column: bindparam(column.name) for column in _columns if column.name not in ("id", "type_name")})
)
_TOUCH_ANY = (
    update(artifacts)
    .where(_columns.id == bindparam("old_id"))
    .values(revision=_columns.revision + 1, updated_at=bindparam("now"))
)
_TOUCH = _TOUCH_ANY.where(_columns.revision == bindparam("old_revision"))
_DELETE_VALUES = delete(artifact_values).where(artifact_values.c.artifact_id == bindparam("artifact"))
