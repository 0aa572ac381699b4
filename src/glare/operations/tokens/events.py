"""What is told of API tokens: to subscribers, and in the audit log. Never the token, and never its hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from glare.context import REQUEST_ID
from glare.db import audit as audit_rows
from glare.db import outbox
from glare.documents.tokens import CREATED, REVOKED
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.audit import AuditEntry
from glare.domain.callers.api_token import ApiToken
from glare.domain.events import Event

_ACTIONS: Final = {CREATED: "token_create", REVOKED: "token_revoke"}


def tell(connection: Connection, actor: Actor | None, event_type: str, tokens: Sequence[ApiToken], now: int) -> None:
    """Record that this has happened to the tokens, in the transaction that does it. `actor` is None for the service."""
    outbox.record(connection, [event_of(event_type, token, now) for token in tokens])
    action = _ACTIONS.get(event_type)
    if action is None:
        return
    audit_rows.record(
        connection,
        [
            AuditEntry(now, action, actor, target=token.id, detail=_detail(token), request_id=REQUEST_ID.get())
            for token in tokens
        ],
    )


def event_of(event_type: str, token: ApiToken, now: int) -> Event:
    """The event that this has happened to a token."""
    payload = {
        "token": {
            "id": token.id,
            "user": token.user,
            "description": token.description,
            **_detail(token),
            "created_at": moment.text(token.created_at),
        }
    }
    return Event(event_type, token.project, None, None, payload, now)


def _detail(token: ApiToken) -> dict[str, Any]:
    limits = token.limits
    limited = {
        "read_only": limits.read_only or None,
        "types": None if limits.types is None else sorted(limits.types),
        "names": None if limits.names is None else list(limits.names),
        "networks": None if token.networks is None else list(map(str, token.networks)),
        "made_with": token.parent,
    }
    return {
        "user": token.user,
        "project": token.project,
        "roles": list(token.roles),
        "expires": None if token.expires_at is None else moment.text(token.expires_at),
        **{name: value for name, value in limited.items() if value is not None},
    }
