"""The audit log: who changed what. Every change is recorded in the transaction that makes it, so that a crash loses
none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection

from glare.context import REQUEST_ID
from glare.db import audit as audit_rows
from glare.db import outbox
from glare.documents import audit as documents
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.audit import AuditEntry, AuditQuery, RecordedAudit
from glare.domain.events import Event
from glare.domain.moment import SECOND
from glare.errors import InvalidParameterValue
from glare.operations.page import Page, page_of

if TYPE_CHECKING:
    from glare.operations.services import Services

RULE: Final = "audit:list"

NOTHING: Final[Mapping[str, Any]] = {}

_RECORDED: Final = ("name", "version", "status", "visibility")
"""Fields whose values are recorded. Any other may hold what its owner keeps to itself: only its name is recorded."""


def changed(
    connection: Connection,
    actor: Actor | None,
    events: Sequence[Event],
    *,
    target: str | None = None,
    detail: Mapping[str, Any] = NOTHING,
) -> None:
    """Record a change in the caller's transaction: for subscribers, and for the audit log. `detail` is that of the
    first event.
    """
    outbox.record(connection, events)
    noted(connection, actor, events, target=target, detail=detail)


def noted(
    connection: Connection,
    actor: Actor | None,
    events: Sequence[Event],
    *,
    target: str | None = None,
    detail: Mapping[str, Any] = NOTHING,
) -> None:
    """As `changed`, for the audit log alone: of what subscribers know already. `actor` is None for the service
    itself.
    """
    audit_rows.record(
        connection,
        [
            AuditEntry(
                occurred_at=event.occurred_at,
                action=event.type,
                actor=actor,
                type_name=event.type_name,
                artifact_id=event.artifact_id,
                target=target,
                detail=NOTHING if position else detail,
                request_id=REQUEST_ID.get(),
            )
            for position, event in enumerate(events)
        ],
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What a patch changed: the names of all fields, and old and new values of those that are no secret."""
    fields = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    changes = {name: [before.get(name), after.get(name)] for name in fields if name in _RECORDED}
    return {"fields": fields, "changes": changes}


def list_audit(services: Services, actor: Actor, query: documents.AuditQuery) -> Page[RecordedAudit]:
    """One page of the audit log, newest first.

    Raises `PolicyException`, and `InvalidParameterValue` naming the parameter.
    """
    services.policy.require(RULE, actor, {})
    return read_audit(services, query_of(query, services.rules.query.max_page))


def read_audit(services: Services, query: AuditQuery) -> Page[RecordedAudit]:
    """One page, for a caller that may see it."""
    with services.db.read() as connection:
        entries = audit_rows.page(connection, query)
    return page_of(entries, query.limit, lambda entry: f"{entry.occurred_at}-{entry.id}")


def represent_entry(entry: RecordedAudit) -> documents.AuditEntry:
    """An entry as the API shows it. Times have microseconds here: they order what one second holds."""
    return documents.AuditEntry(
        id=entry.id,
        time=f"{moment.text(entry.occurred_at)[:-1]}.{entry.occurred_at % SECOND:06d}Z",
        request_id=entry.request_id,
        user=entry.user,
        project=entry.project,
        roles=list(entry.roles),
        source=entry.source,
        credential=entry.credential,
        action=entry.action,
        outcome=documents.AuditOutcome(entry.outcome),
        type_name=entry.type_name,
        artifact=entry.artifact_id,
        target=entry.target,
        detail=dict(entry.detail),
    )


def query_of(asked: documents.AuditQuery, most: int) -> AuditQuery:
    """The query that parameters mean. `most` bounds a page. Raises `InvalidParameterValue`."""
    return AuditQuery(
        limit=min(asked.limit, most),
        since=_time("since", asked.since),
        until=_time("until", asked.until),
        user=asked.user,
        project=asked.project,
        artifact=asked.artifact,
        type_name=asked.type,
        action=asked.action,
        outcome=None if asked.outcome is None else asked.outcome.value,
        request_id=asked.request_id,
        source=asked.source,
        credential=asked.credential,
        after=_marker(asked.marker),
    )


def _time(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return moment.read(text)
    except ValueError:
        raise InvalidParameterValue(
            f"Parameter '{name}' is '{text[:40]}'; give a time such as 2026-01-31T12:00:00Z, or a date."
        ) from None


def _marker(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    time, _, number = text.partition("-")
    return int(time), int(number)
