"""The token user:tenant:roles of the contract, and the table of pipelines."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from glare.domain.actor import ANONYMOUS, Actor
from glare.errors import Unauthorized
from glare.identity.base import Credentials
from glare.identity.pipelines import PIPELINES, IdentitySettings, make_identity
from glare.identity.test_token import TestTokenIdentity
from glare.identity.token_file import TokenFile


def who(token: str | None, **more: str) -> Actor:
    headers = more if token is None else {"x-auth-token": token, **more}
    return TestTokenIdentity().authenticate(Credentials(headers, "127.0.0.1"))


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


def test_no_token_is_refused_or_anonymous() -> None:
    """Without a token the answer is 401, or the anonymous reader where that is allowed."""
    with pytest.raises(Unauthorized):
        who(None)
    assert TestTokenIdentity(allow_anonymous=True).authenticate(Credentials({}, None)) is ANONYMOUS


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_every_pipeline_lets_the_anonymous_reader_in_only_when_allowed(name: str, tmp_path: Path) -> None:
    """In each pipeline, no credentials are 401, and the anonymous reader when the operator allows it."""
    for allowed in (False, True):
        settings = IdentitySettings(name, allowed, tmp_path / "tokens", (ipaddress.ip_network("127.0.0.0/8"),))
        identity = make_identity(settings)
        if allowed:
            assert identity.authenticate(Credentials({}, "127.0.0.1")) is ANONYMOUS
        else:
            with pytest.raises(Unauthorized):
                identity.authenticate(Credentials({}, "127.0.0.1"))


def test_each_pipeline_takes_its_own_credentials(tmp_path: Path) -> None:
    """The table makes the pipeline that its name says, from the settings that it needs."""
    token, _ = TokenFile(tmp_path / "tokens").create("p", "u", ("member",))
    headers = {
        "token_file": {"x-auth-token": token},
        "test_token": {"x-auth-token": "u:p:member"},
        "trusted_headers": {
            "x-identity-status": "Confirmed",
            "x-user-id": "u",
            "x-project-id": "p",
            "x-roles": "member",
        },
    }
    for name, sent in headers.items():
        settings = IdentitySettings(name, False, tmp_path / "tokens", (ipaddress.ip_network("127.0.0.0/8"),))
        actor = make_identity(settings).authenticate(Credentials(sent, "127.0.0.1"))
        assert actor == Actor("u", "p", frozenset({"member"}))
    assert set(headers) == set(PIPELINES)
