"""API tokens: their rows, and the number by which every process learns of those that were revoked.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from glare.db.tables import api_token_state, api_tokens
from glare.documents.tokens import TokenState
from glare.domain.callers.api_token import ApiToken
from glare.domain.limits import Limits

_columns: Final = api_tokens.c
_SAME: Final = (
    *("id", "sha256", "project", "domain", "description", "source", "parent", "created_at", "expires_at", "notify_at"),
    *("last_used_at", "revoked_at"),
)
"""Columns that are called as the members of `ApiToken`, and hold what these hold."""

_THE_ROW: Final = 1
_AT_ONCE: Final = 500


class _Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """The limits as they are stored. A member that is not there does not limit."""

    read_only: bool = False
    types: list[str] | None = None
    names: list[str] | None = None
    networks: list[str] | None = None


_encode = msgspec.json.Encoder().encode
_roles = msgspec.json.Decoder(tuple[str, ...]).decode
_limits = msgspec.json.Decoder(_Limits).decode


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tokens a list shows: None does not limit."""

    project: str | None = None
    user: str | None = None
    state: TokenState | None = None


def lock(connection: Connection) -> int:
    """The number of the last revocation; nobody else makes or revokes tokens until the transaction ends."""
    row = select(api_token_state.c.revocations).where(api_token_state.c.id == _THE_ROW).with_for_update()
    found = connection.execute(row).scalar_one_or_none()
    if found is None:
        try:
            with connection.begin_nested():
                connection.execute(insert(api_token_state).values(id=_THE_ROW, revocations=0))
        except IntegrityError:  # Somebody made the row at this moment.
            pass
        found = connection.execute(row).scalar_one()
    return int(found)


def revocations(connection: Connection) -> int:
    """The number of the last revocation: while it stays the same, no token is revoked."""
    found = connection.execute(select(api_token_state.c.revocations).where(api_token_state.c.id == _THE_ROW))
    return int(found.scalar_one_or_none() or 0)


def revoked_since(connection: Connection, revocation: int) -> list[str]:
    """The hashes of tokens that were revoked after the revocation of this number."""
    return list(connection.execute(select(_columns.sha256).where(_columns.revocation > revocation)).scalars())


def add(connection: Connection, tokens: Sequence[ApiToken]) -> None:
    """New rows."""
    connection.execute(insert(api_tokens), [_row_of(token) for token in tokens])


def in_force(connection: Connection, project: str, now: int) -> int:
    """How many tokens of the project are neither revoked nor expired."""
    statement = select(func.count()).where(_columns.project == project, _in_state(TokenState.ACTIVE, now))
    return int(connection.execute(statement).scalar_one())


def by_digest(connection: Connection, digest: str) -> ApiToken | None:
    """The token that has this hash, also one that is revoked or expired."""
    row = connection.execute(select(api_tokens).where(_columns.sha256 == digest)).first()
    return None if row is None else _token(row)


def recorded(connection: Connection, digests: Collection[str]) -> set[str]:
    """Those of these hashes that a token has."""
    return set(connection.execute(select(_columns.sha256).where(_columns.sha256.in_(digests))).scalars())


def fetch(connection: Connection, token_id: str) -> ApiToken | None:
    """The token of this id, also one that is revoked or expired."""
    if not token_id.isascii() or "\0" in token_id:
        return None  # No id is like this, and databases refuse to compare with it.
    row = connection.execute(select(api_tokens).where(_columns.id == token_id)).first()
    return None if row is None else _token(row)


def page(
    connection: Connection, wanted: Wanted, now: int, limit: int, after: tuple[int, str] | None = None
) -> list[ApiToken]:
    """The newest tokens that are wanted, `after` the place (time and id) of the last one of the page before."""
    conditions = _conditions(wanted, now)
    if after is not None:
        time, last = after
        conditions.append(and_(_columns.created_at <= time, or_(_columns.created_at < time, _columns.id < last)))
    newest = (_columns.created_at.desc(), _columns.id.desc())
    return [
        _token(row) for row in connection.execute(select(api_tokens).where(*conditions).order_by(*newest).limit(limit))
    ]


def active_ids(connection: Connection, wanted: Wanted, now: int) -> list[str]:
    """The ids of the wanted tokens that are neither revoked nor expired."""
    conditions = [*_conditions(wanted, now), _in_state(TokenState.ACTIVE, now)]
    return list(connection.execute(select(_columns.id).where(*conditions).order_by(_columns.id)).scalars())


def revoke(connection: Connection, ids: Collection[str], now: int) -> list[ApiToken]:
    """Revoke these and all that were made with them; returns those that were not revoked before.

    The caller has the lock. However many there are, no statement has more than some hundred of them: databases take so
    many values of one statement and no more.
    """
    found: dict[str, ApiToken] = {}
    asked = list(ids)
    while asked:
        some, asked = asked[:_AT_ONCE], asked[_AT_ONCE:]
        rows = connection.execute(select(api_tokens).where(or_(_columns.id.in_(some), _columns.parent.in_(some))))
        fresh = {row.id: _token(row) for row in rows if row.id not in found}
        # What was asked for itself is not asked for as a child of another one.
        asked += fresh.keys() - set(some)
        found |= fresh
    ended = [token for token in found.values() if token.revoked_at is None]
    if ended:
        number = lock(connection) + 1
        for first in range(0, len(ended), _AT_ONCE):
            some = [token.id for token in ended[first : first + _AT_ONCE]]
            values = {"revoked_at": now, "notify_at": None, "revocation": number}
            connection.execute(update(api_tokens).where(_columns.id.in_(some)).values(values))
        connection.execute(update(api_token_state).where(api_token_state.c.id == _THE_ROW).values(revocations=number))
    return ended


def used(connection: Connection, token_id: str, now: int, at_most_every: int) -> None:
    """Record that it is used, unless that was recorded less than `at_most_every` microseconds ago."""
    connection.execute(
        update(api_tokens)
        .where(
            _columns.id == token_id,
            or_(_columns.last_used_at.is_(None), _columns.last_used_at <= now - at_most_every),
        )
        .values(last_used_at=now)
    )


def expiring(connection: Connection, now: int, limit: int) -> list[ApiToken]:
    """Tokens whose projects are to be told that they expire, locked; those that have expired meanwhile too."""
    due = (_columns.notify_at <= now, _columns.revoked_at.is_(None))
    rows = connection.execute(
        select(api_tokens).where(*due).order_by(_columns.notify_at, _columns.id).limit(limit).with_for_update()
    )
    return [_token(row) for row in rows]


def told(connection: Connection, ids: Collection[str]) -> None:
    """Their projects were told that they expire."""
    connection.execute(update(api_tokens).where(_columns.id.in_(ids)).values(notify_at=None))


def retire(connection: Connection, before: int, limit: int) -> int:
    """Forget up to `limit` tokens that were revoked or expired before the time; returns how many."""
    over = or_(_columns.revoked_at < before, _columns.expires_at < before)
    ids = list(connection.execute(select(_columns.id).where(over).limit(limit)).scalars())
    if ids:
        connection.execute(delete(api_tokens).where(_columns.id.in_(ids)))
    return len(ids)


def _conditions(wanted: Wanted, now: int) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.project is not None:
        conditions.append(_columns.project == wanted.project)
    if wanted.user is not None:
        conditions.append(_columns.user_id == wanted.user)
    if wanted.state is not None:
        conditions.append(_in_state(wanted.state, now))
    return conditions


def _in_state(state: TokenState, now: int) -> ColumnElement[bool]:
    if state is TokenState.REVOKED:
        return _columns.revoked_at.is_not(None)
    if state is TokenState.EXPIRED:
        return and_(_columns.revoked_at.is_(None), _columns.expires_at <= now)
    return and_(_columns.revoked_at.is_(None), or_(_columns.expires_at.is_(None), _columns.expires_at > now))


def _row_of(token: ApiToken) -> dict[str, Any]:
    limits = _Limits(
        token.limits.read_only,
        None if token.limits.types is None else sorted(token.limits.types),
        None if token.limits.names is None else list(token.limits.names),
        None if token.networks is None else [str(network) for network in token.networks],
    )
    values = {name: getattr(token, name) for name in _SAME}
    return values | {"user_id": token.user, "roles": _encode(token.roles), "limits": _encode(limits)}


def _token(row: Row[Any]) -> ApiToken:
    limits = _limits(row.limits)
    return ApiToken(
        user=row.user_id,
        roles=_roles(row.roles),
        limits=Limits(
            limits.read_only,
            None if limits.types is None else frozenset(limits.types),
            None if limits.names is None else tuple(limits.names),
        ),
        networks=None if limits.networks is None else tuple(map(ip_network, limits.networks)),
        **{name: getattr(row, name) for name in _SAME},
    )
