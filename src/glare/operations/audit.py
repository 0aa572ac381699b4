"""The audit log: who changed what. Every change is recorded in the transaction that makes it, so that a crash loses
none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection

from glare.context import REQUEST_ID
from glare.db import audit as audit_rows
from glare.db import outbox
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.audit import DONE, REFUSED, AuditEntry, AuditQuery, RecordedAudit
from glare.domain.events import Event
from glare.errors import InvalidParameterValue
from glare.operations.page_size import page_size

if TYPE_CHECKING:
    from glare.operations.services import Services

RULE: Final = "audit:list"

NOTHING: Final[Mapping[str, Any]] = {}

_TOLD: Final = ("name", "version", "status", "visibility")
"""Fields whose values are told. Any other may hold what its owner keeps to itself: only its name is told."""

_EQUAL: Final = ("user", "project", "artifact", "type", "action", "outcome", "request_id")
_MAX_TEXT: Final = 255


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
    changes = {name: [before.get(name), after.get(name)] for name in fields if name in _TOLD}
    return {"fields": fields, "changes": changes}


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page. `marker` is where the next one begins, None after the last."""

    entries: Sequence[RecordedAudit]
    marker: str | None


def list_audit(services: Services, actor: Actor, pairs: Sequence[tuple[str, str]]) -> AuditPage:
    """One page of the audit log, newest first; `pairs` are the query's parameters.

    Raises `PolicyException`, and `InvalidParameterValue` naming the parameter.
    """
    services.policy.require(RULE, actor, {})
    return read_audit(services, parse_query(pairs, services.rules.query.max_page))


def read_audit(services: Services, query: AuditQuery) -> AuditPage:
    """One page, for a caller that may see it."""
    with services.db.read() as connection:
        entries = audit_rows.page(connection, query)
    last = entries[-1] if entries and len(entries) == query.limit else None
    return AuditPage(entries, None if last is None else f"{last.occurred_at}-{last.id}")


def parse_query(pairs: Sequence[tuple[str, str]], most: int) -> AuditQuery:
    """The query that parameters mean. `most` bounds a page. Raises `InvalidParameterValue`."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in (*_EQUAL, "since", "until", "limit", "marker"):
            known = ", ".join((*_EQUAL, "since", "until", "limit", "marker"))
            raise InvalidParameterValue(f"Parameter '{name[:40]}' is not known here; use {known}.")
        if name in given:
            raise InvalidParameterValue(f"Parameter '{name}' is given twice; give it once.")
        if len(value) > _MAX_TEXT:
            raise InvalidParameterValue(f"Parameter '{name}' may have at most {_MAX_TEXT} characters.")
        given[name] = value
    outcome = given.get("outcome")
    if outcome not in (None, DONE, REFUSED):
        raise InvalidParameterValue(f"Parameter 'outcome' is '{outcome[:40]}'; give '{DONE}' or '{REFUSED}'.")
    return AuditQuery(
        limit=page_size(given.get("limit"), most),
        since=_time(given, "since"),
        until=_time(given, "until"),
        user=_text(given, "user"),
        project=_text(given, "project"),
        artifact=_ascii(given, "artifact"),
        type_name=_ascii(given, "type"),
        action=_ascii(given, "action"),
        outcome=outcome,
        request_id=_ascii(given, "request_id"),
        after=_marker(given.get("marker")),
    )


def _time(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        return moment.read(text)
    except ValueError:
        raise InvalidParameterValue(
            f"Parameter '{name}' is '{text[:40]}'; give a time such as 2026-01-31T12:00:00Z, or a date."
        ) from None


def _text(given: Mapping[str, str], name: str) -> str | None:
    """A value to compare texts with. No text that is kept has a NUL, and PostgreSQL refuses to compare with one."""
    text = given.get(name)
    if text is not None and "\0" in text:
        raise InvalidParameterValue(f"Parameter '{name}' holds a NUL character; leave it out.")
    return text


def _ascii(given: Mapping[str, str], name: str) -> str | None:
    """A value to compare machine-made texts with: MariaDB refuses to compare them with more than ASCII."""
    text = _text(given, name)
    if text is not None and not text.isascii():
        raise InvalidParameterValue(f"Parameter '{name}' may have ASCII characters only.")
    return text


def _marker(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    time, _, number = text.partition("-")
    if not (text.isascii() and time.isdigit() and number.isdigit() and len(time) < 19 and len(number) < 19):
        raise InvalidParameterValue(f"Parameter 'marker' is '{text[:40]}'; take it from 'next' of an earlier page.")
    return int(time), int(number)
