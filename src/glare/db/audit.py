"""The audit log: written in the transaction of the change, read page by page, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, or_, select

from glare.db.dialects.later import later
from glare.db.tables import audit
from glare.domain.audit import AuditEntry, AuditQuery, RecordedAudit

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_columns = audit.c

_TEXT: Final = 255
_ROLES: Final = 1024
_SOURCE: Final = 32


def record(connection: Connection, entries: Iterable[AuditEntry]) -> None:
    """Add entries, in order, in the caller's transaction. What is longer than its column is cut."""
    rows = [_row(entry) for entry in entries]
    if rows:
        for row in rows:
            later(connection, insert(audit).inline(), row)


def _row(entry: AuditEntry) -> dict[str, Any]:
    actor = entry.actor
    return {
        "occurred_at": entry.occurred_at,
        "request_id": entry.request_id,
        "user_id": _cut(actor.user) if actor is not None else None,
        "project": _cut(actor.project) if actor is not None else None,
        "roles": ",".join(sorted(actor.roles))[:_ROLES] if actor is not None else "",
        "source": (actor.source[:_SOURCE] or None) if actor is not None else None,
        "credential": _cut(actor.credential) if actor is not None else None,
        "action": entry.action,
        "outcome": entry.outcome,
        "type_name": entry.type_name,
        "artifact_id": entry.artifact_id,
        "target": _cut(entry.target),
        "detail": _encode(entry.detail),
    }


def _cut(text: str | None) -> str | None:
    # PostgreSQL keeps no NUL in a text.
    return None if text is None else text[:_TEXT].replace("\0", "\ufffd")


def page(connection: Connection, query: AuditQuery) -> list[RecordedAudit]:
    """The newest entries that pass, `query.limit` at most. Each of user, project, artifact, action and outcome has
    an index in this order; what else is asked for is looked for along one of these, or along the time.
    """
    rows = connection.execute(
        select(audit)
        .where(*_conditions(query))
        .order_by(_columns.occurred_at.desc(), _columns.id.desc())
        .limit(query.limit)
    )
    return [_recorded(row) for row in rows]


def _conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    equal = (
        (_columns.user_id, query.user),
        (_columns.project, query.project),
        (_columns.artifact_id, query.artifact),
        (_columns.type_name, query.type_name),
        (_columns.action, query.action),
        (_columns.outcome, query.outcome),
        (_columns.request_id, query.request_id),
        (_columns.source, query.source),
        (_columns.credential, query.credential),
    )
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal if value is not None]
    if query.since is not None:
        conditions.append(_columns.occurred_at >= query.since)
    if query.until is not None:
        conditions.append(_columns.occurred_at < query.until)
    if query.after is not None:
        time, number = query.after
        # The first half is implied by the second, and is what databases use to start inside of an index.
        before = or_(_columns.occurred_at < time, _columns.id < number)
        conditions.append(and_(_columns.occurred_at <= time, before))
    return conditions


def _recorded(row: Row[Any]) -> RecordedAudit:
    return RecordedAudit(
        id=row.id,
        occurred_at=row.occurred_at,
        request_id=row.request_id,
        user=row.user_id,
        project=row.project,
        roles=tuple(row.roles.split(",")) if row.roles else (),
        action=row.action,
        outcome=row.outcome,
        type_name=row.type_name,
        artifact_id=row.artifact_id,
        target=row.target,
        detail=_decode(row.detail),
        source=row.source,
        credential=row.credential,
    )


def retire(connection: Connection, outcome: str, before: int, limit: int) -> int:
    """Drop up to `limit` entries of this outcome from before `before` (microseconds); returns how many."""
    old = (
        select(_columns.id)
        .where(_columns.outcome == outcome, _columns.occurred_at < before)
        .order_by(_columns.occurred_at)
        .limit(limit)
    )
    ids = connection.execute(old).scalars().all()
    return connection.execute(delete(audit).where(_columns.id.in_(ids))).rowcount if ids else 0
