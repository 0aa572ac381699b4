"""Callers of before, without their credential at hand: whom each source would still let in."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from glare.domain.actor import Actor
from glare.domain.callers.api_token import ApiToken
from glare.domain.limits import Limits
from glare.domain.moment import SECOND
from glare.domain.publisher import Publisher
from glare.errors import Unavailable
from glare.identity.base import Source
from glare.identity.oidc.source import credential_of
from glare.identity.pipeline import Pipeline
from glare.identity.test_token import TestTokenSource
from glare.identity.token_file import TokenFile, TokenFileSource
from glare.identity.tokens import TokensSource
from glare.identity.trusted_headers import TrustedHeadersSource
from support.identities import Asked
from support.oidc import Issuer, NoPublishers, source_of

ANN = Actor("ann", "p", frozenset({"member"}))
MEMBER = ("member",)
LIMITS = Limits(types=frozenset({"images"}))


class Rows:
    """A database of tokens."""

    def __init__(self, *tokens: ApiToken) -> None:
        self.tokens = tokens
        self.down = False

    def revoked_since(self, _: int | None, *, elsewhere: bool = False) -> tuple[int, tuple[str, ...]]:
        return 0, ()

    def find(self, _: str) -> ApiToken | None:
        return None

    def fetch(self, token_id: str) -> ApiToken | None:
        if self.down:
            raise Unavailable("The database does not answer; retry later.")
        return next((token for token in self.tokens if token.id == token_id), None)

    def used(self, _: str, __: int) -> None:
        raise AssertionError("following a link is no use of the token")


def token(**members: object) -> ApiToken:
    values = {"id": "t-1", "sha256": "0" * 64, "project": "p", "user": "ann", "roles": MEMBER, "source": "test"}
    return ApiToken(**{**values, "created_at": 0, **members})  # type: ignore[arg-type]  # of the test


def of_token(source: str = "tokens", credential: str | None = "t-1", user: str = "ann") -> Actor:
    return replace(ANN, user=user, source=source, credential=credential)


@pytest.mark.parametrize("source", [TestTokenSource(), TrustedHeadersSource([ip_network("127.0.0.0/8")])])
def test_a_source_that_cannot_ask_returns_its_own(source: Source) -> None:
    """And vouches for nobody else's."""
    own = replace(ANN, source=source.name)
    assert source.again(own, None) is own
    assert source.again(replace(ANN, source="keystone"), None) is None
    assert source.again(ANN, None) is None


def test_who_is_of_no_source_that_is_asked_here_is_nobody() -> None:
    """A source that the operator has taken out of the pipeline vouches for nobody any more."""
    pipeline = Pipeline([Asked("a-", lambda _: ANN, name="first"), Asked("b-", lambda _: ANN, name="second")])
    for name in ("first", "second"):
        assert pipeline.again(replace(ANN, source=name), None) == ANN
    assert pipeline.again(replace(ANN, source="third"), None) is None


@pytest.mark.parametrize(
    ("found", "asked", "lets_in"),
    [
        (token(), of_token(), True),
        (token(limits=LIMITS), of_token(), True),
        (token(id="t-2"), of_token(), False),
        (token(revoked_at=1), of_token(), False),
        (token(expires_at=1_000_000 * SECOND), of_token(), False),
        (token(expires_at=1_000_001 * SECOND), of_token(), True),
        (token(user="bob"), of_token(), False),
        (token(project="q"), of_token(), False),
        (token(), of_token(credential=None), False),
        (token(), of_token("keystone"), False),
        # Taken over from the file, and another one that has got the short id of one of the file.
        (token(source="token_file"), of_token("token_file"), True),
        (token(source="keystone"), of_token("token_file"), False),
    ],
)
def test_a_token_of_the_database_counts_while_it_is_in_force(found: ApiToken, asked: Actor, lets_in: bool) -> None:
    """With the limits that it has now."""
    again = TokensSource(Rows(found), clock=lambda: 1_000_000.0).again(asked, "192.0.2.1")
    assert (again is not None) is lets_in
    if again is not None:
        assert again == replace(ANN, limits=found.limits)


def test_a_token_for_some_networks_counts_there_only() -> None:
    """The address is that of who reads."""
    source = TokensSource(Rows(token(networks=(ip_network("192.0.2.0/24"),))))
    assert source.again(of_token(), "192.0.2.9") == ANN
    assert source.again(of_token(), "::ffff:192.0.2.9") == ANN
    for address in ("192.0.3.1", "2001:db8::1", None):
        assert source.again(of_token(), address) is None


def test_a_database_that_is_down_is_not_the_end() -> None:
    """It is "not now", for whoever follows a link as for whoever comes with a token."""
    rows = Rows(token())
    rows.down = True
    with pytest.raises(Unavailable):
        TokensSource(rows).again(of_token(), None)


def test_a_token_of_the_file_counts_while_it_is_there(tmp_path: Path) -> None:
    """Removed or expired it counts no more; the same id of somebody else is another token."""
    file = TokenFile(tmp_path / "tokens.json")
    _, lasting = file.create("p", "ann", MEMBER)
    _, short = file.create("p", "ann", MEMBER, expires_in=60)
    ends = time.time() + 120
    source = TokenFileSource(file, look_every=0)
    late = TokenFileSource(file, look_every=0, clock=lambda: ends)
    assert source.again(of_token("token_file", lasting.id), None) == ANN
    assert source.again(of_token("token_file", short.id), None) == ANN
    assert late.again(of_token("token_file", short.id), None) is None
    assert source.again(of_token("token_file", lasting.id, "bob"), None) is None
    assert source.again(of_token("tokens", lasting.id), None) is None
    file.revoke(lasting.id)
    assert source.again(of_token("token_file", lasting.id), None) is None


class Publishers(NoPublishers):
    """A registry with one."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher

    def find(self, publisher_id: str) -> Publisher | None:
        return self.publisher if self.publisher.id == publisher_id else None


@pytest.mark.parametrize(
    ("changes", "publishes", "lets_in"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"id": "other"}, True, False),
        ({"project": "q"}, True, False),
        ({"issuer": "gone"}, True, False),
    ],
)
def test_a_build_counts_while_its_publisher_does(changes: dict[str, str], publishes: bool, lets_in: bool) -> None:
    """With the roles and limits that the publisher has now: not while its issuer may not publish, or is none."""
    values = {"id": "b-1", "project": "p", "issuer": "corp", **changes}
    registered = Publisher(
        **values, claims={}, anchor="", roles=MEMBER, types=("images",), names=("app-*",), description="",
        created_at=0, created_by=None,
    )  # fmt: skip
    source = source_of(Issuer(), registry=Publishers(registered), publishers=publishes)
    build = replace(ANN, source="oidc", credential="publisher:b-1")
    expected = replace(ANN, limits=Limits(types=frozenset({"images"}), names=("app-*",), delegates=False))
    assert source.again(build, None) == (expected if lets_in else None)
    assert credential_of(replace(registered, id="b-1")) == build.credential


def test_a_user_of_an_issuer_counts_while_that_is_one() -> None:
    """Not once the operator has taken it out of the file; nor does one whose issuer is not known."""
    source = source_of(Issuer())
    assert source.again(replace(ANN, source="oidc", credential="issuer:corp"), None) == ANN
    for credential in ("issuer:gone", "publisher:corp", "corp", None):
        assert source.again(replace(ANN, source="oidc", credential=credential), None) is None
    assert source.again(replace(ANN, source="keystone", credential="issuer:corp"), None) is None
