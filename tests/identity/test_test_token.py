"""The token user:tenant:roles of the contract."""

from __future__ import annotations

import pytest

from glare.domain.actor import ANONYMOUS, Actor
from glare.errors import Unauthorized
from glare.identity.base import Credentials
from glare.identity.test_token import TestTokenSource


def who(token: str | None, **more: str) -> Actor:
    headers = more if token is None else {"x-auth-token": token, **more}
    found = TestTokenSource().known(Credentials(headers, "127.0.0.1"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("token", "user", "project", "roles"),
    [
        ("u:p:member,admin", "u", "p", {"member", "admin"}),
        (" u : p : member , admin ", "u", "p", {"member", "admin"}),
        ("u:p:", "u", "p", set()),
        ("u:p: , ", "u", "p", set()),
        (":p:member", None, "p", {"member"}),
        ("u:nonesuch:member", "u", "nonesuch", {"member"}),
    ],
)
def test_three_parts_are_an_actor(token: str, user: str | None, project: str, roles: set[str]) -> None:
    """User, tenant and roles are taken from the token, blanks trimmed; the roles may be empty."""
    assert who(token) == Actor(user, project, frozenset(roles))


@pytest.mark.parametrize("tenant", ["none", "None", "NONE", " none "])
def test_tenant_none_is_anonymous(tenant: str) -> None:
    """The tenant `none`, however it is spelt, is the anonymous reader, whatever roles come with it."""
    assert who(f"u:{tenant}:admin") is ANONYMOUS


@pytest.mark.parametrize("token", ["", "u", "u:p", "u:p:r:x", "u::r", "u: :r", "::"])
def test_any_other_form_is_refused(token: str) -> None:
    """Another number of parts, or an empty tenant, is 401 with the form that is wanted."""
    with pytest.raises(Unauthorized, match="user:tenant:role1,role2"):
        who(token)


def test_a_project_header_has_no_say() -> None:
    """A caller's X-Project-Id does not override the tenant of the token."""
    assert who("u:p:member", **{"x-project-id": "victim", "x-roles": "admin"}) == Actor("u", "p", frozenset({"member"}))


def test_no_token_is_nobody_that_it_knows() -> None:
    """Without a token the source has nothing to say."""
    assert TestTokenSource().known(Credentials({}, None)) is None
