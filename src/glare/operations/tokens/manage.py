"""API tokens as users manage them: make, list, revoke. What a new one may have is in `operations/tokens/bounds.py`."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET
from sqlalchemy import Connection

from glare.db.callers import tokens as rows
from glare.db.counters import UNLIMITED
from glare.documents import tokens as documents
from glare.documents.parts import as_given
from glare.documents.tokens import CREATED, REVOKED, NewToken, Revocation, TokenQuery, TokenState
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.callers.api_token import ApiToken
from glare.errors import Conflict, Forbidden
from glare.identity.token_text import digest_of, new_token
from glare.operations.credentials import end_links
from glare.operations.page import Page, page_of
from glare.operations.services import Services
from glare.operations.tokens.access import OF_OTHERS, find, may_manage, require_project
from glare.operations.tokens.bounds import TOKEN_SOURCES, Bounds, bounds_of, limits_of, require_in_force
from glare.operations.tokens.events import tell


def create_token(services: Services, actor: Actor, asked: NewToken) -> tuple[ApiToken, str]:
    """A new token of the caller's project, which may do as much as the caller or less; and its text, which is shown
    here and never again.

    Raises `BadRequest`, `PolicyException`, `Forbidden` for more than the caller may, `Conflict` beyond the project's
    number.
    """
    project = require_project(actor)
    bounds = bounds_of(services, actor)
    services.policy.require("token:create", actor, {"owner": project})
    if bounds.parent is not None:
        services.policy.require("token:create_with_token", actor, {"owner": project})
    text = new_token()
    token = _wanted(services, actor, project, bounds, asked, text)

    def work(connection: Connection) -> ApiToken:
        rows.lock(connection)
        require_in_force(services, connection, bounds)
        most = services.rules.tokens.most
        if most != UNLIMITED and rows.in_force(connection, project, token.created_at) >= most:
            raise Conflict(f"Project '{project}' has its {most} tokens; revoke one, or ask the operator for more.")
        rows.add(connection, [token])
        tell(connection, actor, CREATED, [token], token.created_at)
        return token

    return services.db.transact(work, done=lambda connection: rows.fetch(connection, token.id)), text


def _wanted(services: Services, actor: Actor, project: str, bounds: Bounds, asked: NewToken, text: str) -> ApiToken:
    if actor.user is None:
        raise Forbidden("Tokens stand for users, and your request names none; use a token of a user.")
    now = services.clock()
    expires = bounds.expiry(services, now, None if asked.expires_at is UNSET else asked.expires_at)
    return ApiToken(
        id=services.new_id(),
        sha256=digest_of(text),
        project=project,
        user=actor.user,
        domain=actor.domain,
        roles=bounds.roles(None if asked.roles is UNSET else asked.roles),
        description="" if asked.description is UNSET else asked.description,
        limits=limits_of(
            services, read_only=asked.read_only is True, types=asked.types or None, names=asked.names or None
        ),
        networks=bounds.networks(asked.networks),
        source=actor.source,
        parent=bounds.parent,
        created_at=now,
        expires_at=expires,
        notify_at=notify_at(services, now, expires),
    )


def notify_at(services: Services, now: int, expires: int | None) -> int | None:
    """When the project is told that a token expires; None where it lasts no longer than the notice, or for ever."""
    notice = services.rules.tokens.notice
    return None if expires is None or notice == 0 or expires - notice <= now else expires - notice


def list_tokens(services: Services, actor: Actor, query: TokenQuery) -> Page[ApiToken]:
    """One page of the tokens of a project: all of them for who manages it, else the caller's own.

    Raises `Forbidden`, `PolicyException`.
    """
    own = require_project(actor)
    project = query.project or own
    services.policy.require("token:list", actor, {"owner": project})
    user = query.user
    if not may_manage(services, actor, project):
        if user not in (None, actor.user) or actor.user is None:
            raise Forbidden("Parameter 'user' names somebody else, whose tokens are not yours to see; leave it out.")
        user = actor.user
    return read_tokens(services, rows.Wanted(project, user, query.state), query.limit, query.marker)


def read_tokens(services: Services, wanted: rows.Wanted, limit: int, marker: str | None) -> Page[ApiToken]:
    """One page, for a caller that may see it."""
    limit = min(limit, services.rules.query.max_page)
    after = None
    if marker is not None:
        time, _, last = marker.partition("_")
        after = (int(time), last)
    with services.db.read() as connection:
        found = rows.page(connection, wanted, services.clock(), limit, after)
    return page_of(found, limit, lambda token: f"{token.created_at}_{token.id}")


def show_token(services: Services, actor: Actor, token_id: str) -> ApiToken:
    """One token. Raises `NotFound`, `Forbidden`, `PolicyException`."""
    with services.db.read() as connection:
        return find(services, connection, actor, token_id, "token:get")


def revoke_token(services: Services, actor: Actor, token_id: str) -> None:
    """Revoke a token, and all that were made with it. Raises `NotFound`, `Forbidden`, `PolicyException`."""

    def work(connection: Connection) -> None:
        rows.lock(connection)
        found = find(services, connection, actor, token_id, "token:delete")
        revoke(services, connection, actor, [found.id])

    services.db.transact(work)


def revoke_tokens(services: Services, actor: Actor, asked: Revocation) -> list[str]:
    """Revoke all tokens of a user in a project, and all that were made with them; returns the ids of those that were in
    force. Raises `Forbidden`, `PolicyException`.
    """
    own = require_project(actor)
    project = own if asked.project is UNSET else asked.project
    services.policy.require("token:delete", actor, {"owner": project})
    if project != own or asked.user != actor.user:
        services.policy.require(OF_OTHERS, actor, {"owner": project})

    def work(connection: Connection) -> list[str]:
        rows.lock(connection)
        wanted = rows.Wanted(project, asked.user)
        return revoke(services, connection, actor, rows.active_ids(connection, wanted, services.clock()))

    return services.db.transact(work)


def revoke(services: Services, connection: Connection, actor: Actor | None, ids: Sequence[str]) -> list[str]:
    """Revoke these, for a caller that may, and tell it; returns the ids of those that were not revoked before. The
    caller has the lock. Links that were made with them go too.
    """
    now = services.clock()
    ended = rows.revoke(connection, ids, now)
    # Those of a token file have no rows.
    end_links(connection, actor, TOKEN_SOURCES, {*ids, *(token.id for token in ended)}, now)
    tell(connection, actor, REVOKED, ended, now)
    return [token.id for token in ended]


def state_of(token: ApiToken, now: int) -> TokenState:
    """Whether the token is accepted at this time."""
    if token.revoked_at is not None:
        return TokenState.REVOKED
    return TokenState.EXPIRED if token.ends_by(now) else TokenState.ACTIVE


def represent_token(token: ApiToken, now: int) -> documents.Token:
    """A token as the API shows it: without its hash."""
    limits = token.limits
    return documents.Token(
        id=token.id,
        project=token.project,
        user=token.user,
        description=token.description,
        roles=list(token.roles),
        read_only=limits.read_only,
        types=None if limits.types is None else sorted(limits.types),
        names=None if limits.names is None else list(limits.names),
        networks=None if token.networks is None else [str(network) for network in token.networks],
        state=state_of(token, now),
        made_with=token.parent,
        created_at=moment.text(token.created_at),
        expires_at=_time(token.expires_at),
        last_used_at=_time(token.last_used_at),
        revoked_at=_time(token.revoked_at),
    )


def represent_with_text(token: ApiToken, text: str, now: int) -> documents.TokenWithText:
    """The same where it is made."""
    return documents.TokenWithText(**as_given(represent_token(token, now)), token=text)


def _time(micros: int | None) -> str | None:
    return None if micros is None else moment.text(micros)
