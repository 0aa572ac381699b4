"""The identity source `oidc`: whose tokens it takes, what it remembers, and which project is meant."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from glare.domain.actor import Actor
from glare.domain.limits import Limits
from glare.domain.publisher import Publisher, anchor_of
from glare.errors import OriginFailed, Unauthorized, Unavailable
from glare.identity.base import UNDECIDED, Credentials, Undecided
from glare.identity.oidc.mapping import RuleDocument
from glare.identity.oidc.source import OidcSource, Times
from support.oidc import Clock, Issuer, source_of

GROUPS = RuleDocument(each={"groups": "*"}, project="{1}", roles=["member"])


def sent(token: str, project: str | None = None, header: str = "x-auth-token") -> Credentials:
    value = f"Bearer {token}" if header == "authorization" else token
    return Credentials({header: value, **({} if project is None else {"x-glare-project": project})}, "192.0.2.7")


def who(source: OidcSource, credentials: Credentials) -> Actor | None:
    found = source.known(credentials)
    return source.decide(credentials) if isinstance(found, Undecided) else found


def publisher(issuer: str = "corp", project: str = "images", number: int = 1, **claims: str) -> Publisher:
    claims = claims or {"sub": "ann"}
    name, value = next(iter(claims.items()))
    return Publisher(
        f"id-{number}",
        project,
        issuer,
        claims,
        anchor_of(issuer, name, value),
        ("member",),
        None,
        None,
        "",
        number,
        None,
    )


class Registry:
    """Publishers, as a database has them."""

    def __init__(self, *publishers: Publisher) -> None:
        self.publishers = list(publishers)
        self.asked = 0

    def of_anchors(self, anchors: Sequence[str], project: str | None) -> list[Publisher]:
        self.asked += 1
        return [one for one in self.publishers if one.anchor in anchors and project in (None, one.project)]

    def find(self, publisher_id: str) -> Publisher | None:
        return next((one for one in self.publishers if one.id == publisher_id), None)


def test_a_token_is_taken_in_either_header_and_known_from_then_on() -> None:
    """The first request verifies, the next ones are answered from memory, on the event loop."""
    issuer = Issuer()
    source = source_of(issuer)
    token = issuer.token()
    expected = Actor("corp:ann", "corp:builders", frozenset({"member"}))
    assert source.known(sent(token)) is UNDECIDED
    actor = source.decide(sent(token))
    assert actor == expected
    assert actor is not None
    assert actor.source == "oidc"
    assert actor.expires == json.loads(json.dumps(issuer.claims()["exp"]))
    assert source.known(sent(token)) == expected
    assert source.known(sent(token, header="authorization")) == expected


@pytest.mark.parametrize(
    "token",
    [
        "",
        "glare_abc",
        "gAAAAABk.abc.def",
        "a.b.c",
        "eyJhbGciOiJFUzI1NiJ9.e30.AA",
        "eyJhbGciOiJFUzI1NiJ9.e30",
        "x" * 9999,
    ],
)
def test_what_is_from_no_issuer_is_left_to_the_next_source(token: str) -> None:
    """Tokens of other sources, and signed tokens that say nothing of one of our issuers."""
    assert who(source_of(Issuer()), sent(token)) is None
    assert who(source_of(Issuer()), Credentials({}, None)) is None


def test_a_token_of_an_issuer_that_is_not_named_is_left_to_the_next_source() -> None:
    """Its keys are not asked for."""
    stranger = Issuer("https://stranger.example")
    assert who(source_of(Issuer()), sent(stranger.token())) is None
    assert stranger.asked == []


def test_issuers_do_not_vouch_for_one_another() -> None:
    """A key of one issuer signs nothing for another, whatever it is called."""
    one, two = Issuer("https://one.example"), Issuer("https://two.example")
    two.keys = [(algorithm, key) for algorithm, key in two.keys]
    source = source_of(one, two)
    assert who(source, sent(one.token())) == Actor("corp:ann", "corp:builders", frozenset({"member"}))
    assert who(source, sent(two.token())) == Actor("corp1:ann", "corp1:builders", frozenset({"member"}))
    with pytest.raises(Unauthorized, match="signature"):
        who(source, sent(Issuer(two.url, one.keys).token({"kid": two.keys[-1][1].kid})))


def test_a_remembered_token_ends_when_it_expires() -> None:
    """On the second: its end, and what clocks may differ."""
    issuer, clock = Issuer(), Clock()
    source = source_of(issuer, clock=clock)
    token = issuer.token(exp=int(clock.now) + 30)
    assert who(source, sent(token)) is not None
    clock.now += 89
    assert isinstance(source.known(sent(token)), Actor)
    clock.now += 2
    assert source.known(sent(token)) is UNDECIDED
    with pytest.raises(Unauthorized, match="expired"):
        source.decide(sent(token))


def test_a_remembered_token_is_verified_again_after_a_while() -> None:
    """So that a key that its issuer has withdrawn does not go on until the token ends."""
    issuer, clock = Issuer(), Clock()
    source = source_of(issuer, clock=clock)
    token = issuer.token(exp=int(clock.now) + 86400)
    assert who(source, sent(token)) is not None
    issuer.rotate()
    clock.now += 901
    with pytest.raises(Unauthorized, match="no key"):
        who(source, sent(token))


def test_a_build_that_is_used_all_the_time_is_verified_again_after_a_while() -> None:
    """Its publisher is looked up every few seconds, which does not make the token a verified one for longer."""
    issuer, clock = Issuer(), Clock()
    source = of_builds(issuer, Registry(publisher()), clock=clock)
    token = issuer.token(exp=int(clock.now) + 86400)
    assert who(source, sent(token, "images")) is not None
    issuer.rotate()
    for _ in range(8):
        clock.now += 100
        assert who(source, sent(token, "images")) is not None
    clock.now += 200
    with pytest.raises(Unauthorized, match="no key"):
        who(source, sent(token, "images"))


def test_while_the_issuer_is_down_known_tokens_and_known_keys_go_on() -> None:
    """A new token with a known key is verified; one that needs a new key is 503."""
    issuer, clock = Issuer(), Clock()
    source = source_of(issuer, clock=clock)
    assert who(source, sent(issuer.token())) is not None
    issuer.down = OriginFailed("The origin is away.", reason="away")
    clock.now += 60
    assert who(source, sent(issuer.token(sub="bob"))) == Actor("corp:bob", "corp:builders", frozenset({"member"}))
    issuer.rotate()
    with pytest.raises(Unavailable):
        who(source, sent(issuer.token()))


def test_memory_is_bounded_and_strangers_do_not_fill_it() -> None:
    """The tokens used least lately go first; good tokens that lead nowhere are not kept."""
    issuer = Issuer()
    source = source_of(issuer, times=Times(tokens=2))
    tokens = [issuer.token(jti=str(number)) for number in range(3)]
    for token in (tokens[0], tokens[1], tokens[0], tokens[2]):
        who(source, sent(token))
    assert [source.known(sent(token)) is UNDECIDED for token in tokens] == [False, True, False]
    for number in range(3):
        with pytest.raises(Unauthorized, match="no rule of its issuer"):
            who(source, sent(issuer.token(groups=[], jti=str(number))))
    assert source.known(sent(tokens[0])) is not UNDECIDED


def test_the_project_is_the_first_of_the_rules_or_the_one_that_the_request_names() -> None:
    """One that the token does not lead into is refused, with those that it does."""
    issuer = Issuer()
    source = source_of(issuer, rules=[GROUPS])
    token = issuer.token(groups=["red", "blue"])
    assert who(source, sent(token)) == Actor("corp:ann", "corp:red", frozenset({"member"}))
    assert who(source, sent(token, "corp:blue")) == Actor("corp:ann", "corp:blue", frozenset({"member"}))
    for other in ("blue", "corp:green"):
        with pytest.raises(Unauthorized, match="'corp:red', 'corp:blue'"):
            who(source, sent(token, other))


def test_a_project_is_named_in_any_letters() -> None:
    """As bytes of UTF-8 in the header, which a server reads as ISO 8859-1."""
    issuer = Issuer()
    source = source_of(issuer, rules=[GROUPS])
    token = issuer.token(groups=["red", "caf\u00e0", "caf\u00c5"])
    for name in ("caf\u00e0", "caf\u00c5"):
        actor = who(source, sent(token, f"corp:{name}".encode().decode("latin-1")))
        assert actor is not None
        assert actor.project == f"corp:{name}"


def test_the_operator_may_leave_the_prefix_out() -> None:
    """Then users and projects are as the claims have them."""
    issuer = Issuer()
    assert who(source_of(issuer, project_prefix=""), sent(issuer.token())) == Actor(
        "ann", "builders", frozenset({"member"})
    )


def of_builds(issuer: Issuer, registry: Registry, **more: Any) -> OidcSource:
    return source_of(issuer, registry=registry, rules=more.pop("rules", []), publishers=True, **more)


def test_a_build_publishes_into_the_project_that_it_names_and_that_lets_it() -> None:
    """With the roles and limits of the publisher. Without the project it is refused: somebody else may have
    registered it too.
    """
    issuer = Issuer()
    limited = publisher(sub="ann", ref="refs/heads/*")
    limited = Publisher(**{**_members(limited), "types": ("images",), "names": ("app-*",)})
    source = of_builds(issuer, Registry(limited, publisher(project="attackers", number=2)))
    token = issuer.token(ref="refs/heads/main")
    actor = who(source, sent(token, "images"))
    assert actor == Actor(
        "corp:ann",
        "images",
        frozenset({"member"}),
        limits=Limits(types=frozenset({"images"}), names=("app-*",), delegates=False),
    )
    with pytest.raises(Unauthorized, match="X-Glare-Project"):
        who(source, sent(token))
    with pytest.raises(Unauthorized, match="does not lead into the project 'other'") as refused:
        who(source, sent(token, "other"))
    assert "attackers" not in refused.value.message


def _members(one: Publisher) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Publisher.__dataclass_fields__}


@pytest.mark.parametrize(
    "claims", [{"ref": "refs/heads/a/b"}, {"ref": "refs/tags/v1"}, {}, {"ref": ["x"]}, {"sub": "bob"}]
)
def test_all_claims_of_a_publisher_must_match(claims: dict[str, Any]) -> None:
    """One that is missing, or another value, is somebody else's build."""
    issuer = Issuer()
    source = of_builds(issuer, Registry(publisher(sub="ann", ref="refs/heads/*")))
    with pytest.raises(Unauthorized):
        who(source, sent(issuer.token(**claims), "images"))


def test_a_publisher_of_another_issuer_is_not_found() -> None:
    """The same claims from another issuer are another build."""
    one, two = Issuer("https://one.example"), Issuer("https://two.example")
    source = source_of(one, two, registry=Registry(publisher("corp1")), rules=[], publishers=True)
    assert who(source, sent(two.token(), "images")) is not None
    with pytest.raises(Unauthorized):
        who(source, sent(one.token(), "images"))


def test_of_several_publishers_the_closest_decides() -> None:
    """Most claims, then most exact ones, then the oldest: a narrow publisher keeps its bounds beside a wide one."""
    issuer = Issuer()
    wide = publisher(number=1, sub="ann")
    narrow = Publisher(**{**_members(publisher(number=2, sub="ann", ref="refs/heads/*")), "roles": ("reader",)})
    exact = Publisher(**{**_members(publisher(number=3, sub="ann", ref="refs/heads/main")), "roles": ("manager",)})
    source = of_builds(issuer, Registry(wide, narrow, exact))
    for ref, role in (("refs/heads/main", "manager"), ("refs/heads/dev", "reader"), ("refs/tags/v1", "member")):
        actor = who(source, sent(issuer.token(ref=ref), "images"))
        assert actor is not None
        assert actor.roles == {role}


def test_a_deleted_publisher_is_refused_within_seconds_and_a_new_one_is_found_at_once() -> None:
    """The token is not verified again for that."""
    issuer, clock, registry = Issuer(), Clock(), Registry(publisher())
    source = of_builds(issuer, registry, clock=clock)
    token = issuer.token()
    assert who(source, sent(token, "images")) is not None
    assert who(source, sent(token, "images")) is not None
    assert registry.asked == 1
    registry.publishers = [publisher(project="other")]
    clock.now += 5
    with pytest.raises(Unauthorized):
        who(source, sent(token, "images"))
    assert who(source, sent(token, "other")) is not None


def test_an_issuer_that_takes_no_publishers_has_none() -> None:
    """Whatever the table holds."""
    issuer, registry = Issuer(), Registry(publisher())
    with pytest.raises(Unauthorized):
        who(source_of(issuer, registry=registry), sent(issuer.token(groups=[]), "images"))
    assert registry.asked == 0


def test_a_token_is_explained_step_by_step() -> None:
    """What it would be and why, also where it would be nobody."""
    issuer = Issuer()
    source = of_builds(issuer, Registry(publisher(sub="ann", ref="refs/heads/main")), rules=[GROUPS])
    steps, actor = source.explain(issuer.token(ref="refs/heads/dev"))
    assert actor == Actor("corp:ann", "corp:builders", frozenset({"member"}))
    text = "\n".join(f"{step.what} {step.counted} {step.why}" for step in steps)
    assert "rule 1 True matches 'builders'; project 'corp:builders' with the roles member" in text
    assert "publisher id-1 of project 'images' False the claim 'ref' is 'refs/heads/dev', not 'refs/heads/main'" in text
    steps, actor = source.explain(issuer.token(exp=int(time.time()) - 100))
    assert actor is None
    assert steps[-1].why.startswith("it has expired 10")
    steps, actor = source.explain(Issuer("https://stranger.example").token())
    assert (steps[-1].what, steps[-1].counted, actor) == ("issuer", False, None)
    steps, actor = source.explain("glare_no.such.thing")
    assert (steps[-1].counted, actor) == (False, None)
    steps, actor = source.explain(issuer.token(ref="refs/heads/main", groups=[]), "images")
    assert actor is not None
    assert actor.project == "images"
