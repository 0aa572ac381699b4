"""What a new API token may have: as much as its maker, or less. One that is made with another token never outlives it,
and is used from nowhere else. Who has a credential that may do less than its user makes none, and no build does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from msgspec import UnsetType
from sqlalchemy import Connection

from glare.db.callers import tokens as rows
from glare.domain import moment
from glare.domain.actor import Actor
from glare.domain.callers.api_token import Network
from glare.domain.limits import UNLIMITED, Limits
from glare.domain.moment import SECOND
from glare.domain.wording import quoted
from glare.errors import BadRequest, Forbidden, Unauthorized
from glare.operations.services import Services

TOKEN_SOURCES: Final = frozenset({"tokens", "token_file"})
"""Identity sources whose credentials are tokens of ours, not a session that ends by itself."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the maker of a token has to give. `expires` (microseconds, None: no end) and `parent` are of the credential
    that the token is made with: None for a session of a user, which the token outlives.
    """

    actor: Actor
    parent: str | None = None
    expires: int | None = None
    allowed: tuple[Network, ...] | None = None

    def roles(self, asked: Sequence[str] | None) -> tuple[str, ...]:
        """The roles of the token. Raises `Forbidden` for one that the maker has not."""
        if asked is None:
            return tuple(sorted(self.actor.roles))
        own = {role.lower(): role for role in self.actor.roles}
        for role in asked:
            if role.strip().lower() not in own:
                raise Forbidden(
                    f"Member 'roles' has {quoted(role)}, and you do not have that role; a token gives no more than its "
                    "maker has."
                )
        return tuple(dict.fromkeys(own[role.strip().lower()] for role in asked))

    def networks(self, asked: Sequence[str] | UnsetType | None) -> tuple[Network, ...] | None:
        """The networks that it may be used from. Raises `Forbidden`, `BadRequest`."""
        if isinstance(asked, UnsetType):
            return self.allowed
        if asked is None:
            if self.allowed is not None:
                raise _wider("networks", "your token is for some networks only")
            return None
        found = tuple(dict.fromkeys(map(read_network, asked)))
        for network in found:
            if self.allowed is not None and not any(_is_within(network, outer) for outer in self.allowed):
                raise _wider("networks", f"your token may not be used from {network}")
        return found

    def expiry(self, services: Services, now: int, asked: str | None) -> int:
        """When it expires. Raises `BadRequest`, and `Forbidden` beyond the end of the maker's own token."""
        rules = services.rules.tokens
        if asked is None:
            wanted = now + min(rules.default_lifetime, rules.max_lifetime)
            return wanted if self.expires is None else min(wanted, self.expires)
        try:
            wanted = moment.read(asked)
        except (ValueError, OverflowError):
            raise BadRequest(
                f"Member 'expires_at' is {quoted(asked)}; give a time such as 2026-01-31T12:00:00Z."
            ) from None
        if wanted <= now:
            raise BadRequest(f"Member 'expires_at' is {quoted(asked)}, which is over; give a time that is to come.")
        latest = now + rules.max_lifetime
        if wanted > latest:
            raise BadRequest(
                f"Member 'expires_at' is {quoted(asked)}, and a token may last until {moment.text(latest)} at most; "
                "give an earlier time ([tokens] max_lifetime)."
            )
        if self.expires is not None and wanted > self.expires:
            raise _wider("expires_at", f"your own token ends at {moment.text(self.expires)}")
        return wanted


def bounds_of(services: Services, actor: Actor) -> Bounds:
    """What the caller has to give. Raises `Forbidden` for callers that may make no tokens at all."""
    if actor.service_roles:
        raise Forbidden(
            "A service acts for you here, and tokens outlive what it was asked for; make the token yourself."
        )
    if actor.limits != UNLIMITED:
        raise Forbidden("Your credential may do less than you, so it makes no tokens; make the token with another one.")
    if actor.source not in TOKEN_SOURCES:
        return Bounds(actor)
    expires = None if actor.expires is None else int(actor.expires * SECOND)
    if actor.source != "tokens" or actor.credential is None:
        return Bounds(actor, parent=actor.credential or "", expires=expires)
    with services.db.read() as connection:
        found = rows.fetch(connection, actor.credential)
    if found is None or found.revoked_at is not None:
        raise Unauthorized("Your token was revoked; use another one.")
    return Bounds(actor, parent=found.id, expires=expires, allowed=found.networks)


def require_in_force(services: Services, connection: Connection, bounds: Bounds) -> None:
    """Raises `Unauthorized` where the maker's own token was revoked meanwhile. The caller has the lock."""
    if bounds.parent and bounds.actor.source == "tokens":
        found = rows.fetch(connection, bounds.parent)
        if found is None or found.ends_by(services.clock()):
            raise Unauthorized("Your token was revoked, or has expired; use another one.")


def read_network(text: str) -> Network:
    """The network. Raises `BadRequest` for what is none."""
    try:
        return ip_network(text.strip())
    except ValueError as error:
        raise BadRequest(
            f"Member 'networks' has {quoted(text)}, which is no network ({error}); give one such as 192.0.2.0/24."
        ) from None


def limits_of(
    services: Services, *, read_only: bool, types: Collection[str] | None, names: Sequence[str] | None
) -> Limits:
    """Limits of a token. Raises `BadRequest` for a type that is not enabled here."""
    return Limits(
        read_only,
        None if types is None else _types(services, types),
        None if names is None else tuple(dict.fromkeys(names)),
    )


def _types(services: Services, asked: Collection[str]) -> frozenset[str]:
    for name in asked:
        if name not in services.types.names or name == services.types.all.name:
            known = ", ".join(sorted(services.types.specs))
            raise BadRequest(f"Member 'types' has {quoted(name)}, which is no type here; there are {known}.")
    return frozenset(asked)


def _is_within(inner: Any, outer: Any) -> bool:
    return bool(inner.version == outer.version and inner.subnet_of(outer))


def _wider(member: str, why: str) -> Forbidden:
    return Forbidden(f"Member '{member}' asks for more than you may: {why}; ask for as much or less, or leave it out.")
