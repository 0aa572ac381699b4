"""The token ``user:tenant:role1,role2``, which is its own proof. For tests only; it must be chosen by name.

Anybody who can reach such a service is whoever they say. (The contract's §3, row *trusted*.)
"""

from __future__ import annotations

from glare.domain.actor import ANONYMOUS, Actor
from glare.errors import Unauthorized
from glare.identity.base import Credentials, split_roles, token_of

_REMEDY = "Send X-Auth-Token: user:tenant:role1,role2 (three parts; the roles may be empty)."


class TestTokenSource:
    """Takes every token. No header but the token has a say: an ``X-Project-Id`` of the caller's is ignored."""

    __test__ = False  # Its name is not meant for pytest.

    name = "test_token"
    remedy = _REMEDY
    challenges = ('Bearer realm="glare"',)

    def known(self, credentials: Credentials) -> Actor | None:
        token = token_of(credentials.headers)
        if token is None:
            return None
        parts = [part.strip() for part in token.split(":")]
        if len(parts) != 3:
            raise Unauthorized(f"The token has {len(parts)} parts. {_REMEDY}")
        user, tenant, roles = parts
        if not tenant:
            raise Unauthorized(f"The token's tenant is empty. {_REMEDY}")
        if tenant.lower() == "none":
            return ANONYMOUS
        return Actor(user or None, tenant, split_roles(roles), source=self.name)

    def decide(self, credentials: Credentials) -> Actor | None:
        return self.known(credentials)

    def again(self, actor: Actor, _: str | None) -> Actor | None:
        return actor if actor.source == self.name else None
