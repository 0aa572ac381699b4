"""API tokens: what is kept of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from glare.domain.limits import UNLIMITED, Limits

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """One token, of which only the hash is kept. Times in microseconds; `expires_at` is None for one that lasts until
    it is revoked.

    `networks` are those that it may be used from, None for all. `source` is the identity source that vouched for
    whoever made it, or ``command`` for the operator's; `parent` is the id of the token that it was made with.
    """

    id: str
    sha256: str = field(repr=False)
    project: str
    user: str
    roles: tuple[str, ...]
    description: str = ""
    limits: Limits = UNLIMITED
    networks: tuple[Network, ...] | None = None
    domain: str | None = None
    source: str
    parent: str | None = None
    created_at: int
    expires_at: int | None = None
    notify_at: int | None = None
    last_used_at: int | None = None
    revoked_at: int | None = None

    def ends_by(self, now: int) -> bool:
        """Whether it is revoked or expired."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now)
