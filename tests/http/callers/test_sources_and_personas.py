"""Every persona at every path, known by every source that needs no other service: what one may do is the same."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from glare.app.identity_sources import SOURCES
from glare.db.callers import tokens
from glare.domain.actor import COMMAND, Actor
from glare.domain.callers.api_token import ApiToken
from glare.identity.base import Credentials, Identity, Source
from glare.identity.oidc.mapping import RuleDocument
from glare.identity.pipeline import Pipeline
from glare.identity.test_token import TestTokenSource
from glare.identity.token_file import TokenFile, TokenFileSource
from glare.identity.token_text import digest_of, new_token
from glare.identity.trusted_headers import TrustedHeadersSource
from glare.operations.tokens.bounds import TOKEN_SOURCES
from support.identities import decided
from support.oidc import Issuer, source_of
from support.personas import PERSONAS, World, judge, peopled

pytestmark = pytest.mark.sqlite  # Who may do what is decided before a database is asked.

PEER: Final = "127.0.0.1"
WITH_TOKENS: Final = {("POST", "/tokens"): frozenset({"manager", "other manager", "admin"})}
"""Who has a token of ours makes others with it only as a manager (`token:create_with_token`)."""


@dataclass(frozen=True)
class Way:
    """How a caller comes to be known: the source, and what a request of this caller carries."""

    source: Source
    headers: Mapping[str, str]


def by_file(actor: Actor, _: World, folder: Path) -> Way:
    file = TokenFile(folder / "tokens.json")
    text, _record = file.create(actor.project or "", actor.user or "", tuple(actor.roles))
    return Way(TokenFileSource(file), {"X-Auth-Token": text})


def by_rows(actor: Actor, world: World, _: Path) -> Way:
    services, text = world.glare.services, new_token()
    token = ApiToken(
        id=services.new_id(),
        sha256=digest_of(text),
        project=actor.project or "",
        user=actor.user or "",
        roles=tuple(actor.roles),
        source=COMMAND,
        created_at=services.clock(),
    )
    services.db.transact(lambda connection: tokens.add(connection, [token]))
    return Way(SOURCES["tokens"](world.glare.settings, services), {"Authorization": f"Bearer {text}"})


def by_proxy(actor: Actor, _: World, __: Path) -> Way:
    headers = {"X-Identity-Status": "Confirmed", "X-User-Id": actor.user or "", "X-Roles": ",".join(actor.roles)}
    if actor.project:
        headers["X-Project-Id"] = actor.project
    return Way(TrustedHeadersSource([ipaddress.ip_network(PEER)]), headers)


def by_test_token(actor: Actor, _: World, __: Path) -> Way:
    return Way(TestTokenSource(), {"X-Auth-Token": f"{actor.user}:{actor.project}:{','.join(actor.roles)}"})


def by_issuer(actor: Actor, _: World, __: Path) -> Way:
    rule = RuleDocument(when={"groups": "these"}, project=actor.project, roles=list(actor.roles))
    issuer = Issuer()
    token = issuer.token(sub=actor.user, groups=["these"])
    return Way(source_of(issuer, rules=[rule], project_prefix=""), {"Authorization": f"Bearer {token}"})


WAYS: Final[Mapping[str, Callable[[Actor, World, Path], Way]]] = {
    "token_file": by_file,
    "tokens": by_rows,
    "trusted_headers": by_proxy,
    "test_token": by_test_token,
    "oidc": by_issuer,
}
"""Sources by the name that the option calls them. Keystone's personas are in tests/identity/keystone."""


def can_be(source: str, actor: Actor) -> bool:
    """Whether the source has such callers at all."""
    if actor.anonymous or actor.system or actor.service_roles:
        return False
    if actor.project is None:
        return source == "trusted_headers"
    return bool(actor.roles) or source != "oidc"


CASES: Final = [
    pytest.param(source, persona, id=f"{source}-{persona}")
    for source in WAYS
    for persona, actor in PERSONAS.items()
    if can_be(source, actor)
]


@pytest.mark.parametrize(("source", "persona"), CASES)
def test_a_persona_may_do_the_same_whoever_vouches_for_it(source: str, persona: str, tmp_path: Path) -> None:
    """A caller is the actor of the persona, and each request of the table ends for it as the table says."""
    actor = PERSONAS[persona]
    with peopled(tmp_path) as world:
        way = WAYS[source](actor, world, tmp_path)
        identity: Identity = Pipeline([way.source])
        found = decided(identity, Credentials({name.lower(): text for name, text in way.headers.items()}, PEER))
        assert (found.user, found.project, found.roles) == (actor.user, actor.project, actor.roles)
        assert (found.source, found.system, found.service_roles) == (source, False, frozenset())
        judge(world, world.caller(identity, way.headers), persona, WITH_TOKENS if source in TOKEN_SOURCES else {})


def test_every_source_is_in_the_table() -> None:
    """A source that is added says how its callers come to be the personas."""
    assert set(WAYS) | {"keystone"} == set(SOURCES)
