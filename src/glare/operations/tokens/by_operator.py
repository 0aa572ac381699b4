"""API tokens as operators manage them at the command line: nobody's rights are asked for, and no limit of a project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from glare.context import REQUEST_ID
from glare.db import audit as audit_rows
from glare.db.callers import tokens as rows
from glare.documents.tokens import CREATED
from glare.domain.actor import Actor
from glare.domain.audit import AuditEntry
from glare.domain.callers.api_token import ApiToken
from glare.operations.services import Services
from glare.operations.tokens.events import tell
from glare.operations.tokens.manage import revoke

_AT_ONCE = 500


def record_token(services: Services, actor: Actor, token: ApiToken) -> bool:
    """Keep a token whose text the caller has; False where its hash is recorded already."""

    def work(connection: Connection) -> bool:
        rows.lock(connection)
        if rows.by_digest(connection, token.sha256) is not None:
            return False
        rows.add(connection, [token])
        tell(connection, actor, CREATED, [token], token.created_at)
        return True

    return services.db.transact(work)


def find_token(services: Services, token_id: str) -> ApiToken | None:
    """The token of this id, None also for one that is revoked."""
    with services.db.read() as connection:
        found = rows.fetch(connection, token_id)
    return None if found is None or found.revoked_at is not None else found


def revoke_ids(services: Services, actor: Actor, ids: Sequence[str]) -> list[str]:
    """Revoke these, and what was made with them; returns the ids of those that were not revoked before."""

    def work(connection: Connection) -> list[str]:
        rows.lock(connection)
        return revoke(services, connection, actor, ids)

    return services.db.transact(work)


def revoke_of_user(services: Services, actor: Actor, wanted: rows.Wanted) -> list[str]:
    """Revoke all tokens that are wanted, and what was made with them; returns the ids of those that were in force."""

    def work(connection: Connection) -> list[str]:
        rows.lock(connection)
        return revoke(services, connection, actor, rows.active_ids(connection, wanted, services.clock()))

    return services.db.transact(work)


def take_over(services: Services, actor: Actor, tokens: Sequence[ApiToken]) -> int:
    """Keep tokens that were kept elsewhere; returns how many were not here before. One whose id is taken gets another
    one.
    """

    def work(connection: Connection) -> int:
        rows.lock(connection)
        known: set[str] = set()
        for first in range(0, len(tokens), _AT_ONCE):
            known |= rows.recorded(connection, [token.sha256 for token in tokens[first : first + _AT_ONCE]])
        fresh = [_with_free_id(services, connection, token) for token in tokens if token.sha256 not in known]
        for first in range(0, len(fresh), _AT_ONCE):
            rows.add(connection, fresh[first : first + _AT_ONCE])
        now = services.clock()
        audit_rows.record(
            connection,
            [
                AuditEntry(
                    now,
                    "token_import",
                    actor,
                    target=token.id,
                    detail={"user": token.user, "project": token.project, "roles": list(token.roles)},
                    request_id=REQUEST_ID.get(),
                )
                for token in fresh
            ],
        )
        return len(fresh)

    return services.db.transact(work)


def _with_free_id(services: Services, connection: Connection, token: ApiToken) -> ApiToken:
    return token if rows.fetch(connection, token.id) is None else replace(token, id=services.new_id())
