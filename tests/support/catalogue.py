"""Filling a database with artifacts quickly: straight into the tables, with the rows that the service would write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, text

from glare.db.artifacts import stored_visibility
from glare.db.engine import Database
from glare.db.keys import scope_of, slot_id, uniqueness
from glare.db.lists.members import row_of
from glare.db.tables import artifact_values, artifacts, blobs
from glare.documents.members import MemberStatus
from glare.domain import version
from glare.domain.artifact import Artifact, Status
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.index import index_values
from glare.domain.member import Member

_encode = msgspec.json.Encoder().encode


class _Undo(Exception):
    """Ends a transaction for writing without a commit."""


@contextmanager
def rolled_back(database: Database) -> Iterator[Connection]:
    """A transaction for writing that leaves nothing."""
    with suppress(_Undo), database.write() as connection:
        yield connection
        raise _Undo


def store(connection: Connection, spec: TypeSpec, stored: Iterable[Artifact]) -> None:
    """Insert artifacts of one type, their values and blob slots; the totals are left to `count_all`."""
    rows: dict[Any, list[dict[str, Any]]] = {artifacts: [], artifact_values: [], blobs: []}
    for artifact in stored:
        rows[artifacts].append(artifact_row(artifact))
        rows[artifact_values] += value_rows(spec, artifact)
        rows[blobs] += blob_rows(artifact)
    for table, found in rows.items():
        if found:
            connection.execute(insert(table), found)


def count_all(connection: Connection) -> None:
    """Set the totals of plain lists to what is there."""
    connection.execute(text("DELETE FROM artifact_counts"))
    connection.execute(
        text(
            "INSERT INTO artifact_counts (type_name, scope, total) SELECT type_name, scope, count(*) FROM artifacts "
            "WHERE listed = 1 GROUP BY type_name, scope"
        )
    )
    connection.execute(text("DELETE FROM member_counts"))
    connection.execute(
        text(
            "INSERT INTO member_counts (type_name, scope, total) SELECT type_name, scope, count(*) "
            "FROM artifact_members GROUP BY type_name, scope"
        )
    )


def artifact_row(artifact: Artifact) -> dict[str, Any]:
    """The row of `artifacts`."""
    deleted = artifact.status is Status.DELETED
    scope = scope_of(artifact.visibility, artifact.owner)
    return {
        "id": artifact.id,
        "type_name": artifact.type_name,
        "name": artifact.name,
        "version": artifact.version,
        "version_key": version.parse(artifact.version).key,
        "owner": artifact.owner,
        "status": artifact.status.value,
        **stored_visibility(artifact.visibility),
        "created_at": artifact.created_at,
        "updated_at": artifact.updated_at,
        "activated_at": artifact.activated_at,
        "deleted_at": artifact.deleted_at,
        "revision": artifact.revision,
        "uniqueness": None if deleted else uniqueness(artifact.type_name, artifact.name, artifact.version, scope),
        "scope": None if deleted else scope,
        "listed": int(not deleted),
        "document": _encode(artifact.values),
    }


def member_row(artifact: Artifact, project: str, status: MemberStatus) -> dict[str, object]:
    """The row of `artifact_members`."""
    return row_of(artifact, Member(artifact.id, project, status, artifact.created_at, artifact.created_at))


def value_rows(spec: TypeSpec, artifact: Artifact) -> Iterator[dict[str, Any]]:
    """The rows of `artifact_values`: none once deleted."""
    if artifact.status is Status.DELETED:
        return
    for position, value in enumerate(index_values(spec, artifact.values)):
        yield {
            "artifact_id": artifact.id,
            "position": position,
            "type_name": artifact.type_name,
            "scope": scope_of(artifact.visibility, artifact.owner),
            "created_at": artifact.created_at,
            "match": value.match,
            "field": value.field,
            "item_key": value.item_key,
            "string_value": value.string_value,
            "integer_value": value.integer_value,
            "number_value": value.number_value,
        }


def blob_rows(artifact: Artifact) -> Sequence[dict[str, Any]]:
    """The slots of the artifact's blobs, as if they were all being saved."""
    return [
        {
            "slot_id": slot_id(artifact.id, slot.field, slot.key),
            "artifact_id": artifact.id,
            "field": slot.field,
            "item_key": slot.key,
            "created_at": artifact.created_at,
            "status": blob.status.value,
            "external": 0,
        }
        for slot, blob in artifact.blobs.items()
    ]
