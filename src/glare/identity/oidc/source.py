"""The identity source `oidc`: tokens that an issuer has signed.

It takes tokens that say they are from one of its issuers, and leaves all others to the next source. A token may lead
into several projects; the header ``X-Glare-Project`` says which. Without it the first one that the issuer's rules name
is meant. A publisher's project has to be named: anybody may register somebody else's repository as a publisher of
theirs, and what its builds publish must not go there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from glare.domain.actor import Actor
from glare.domain.limits import Limits
from glare.domain.publisher import Publisher
from glare.errors import Unauthorized
from glare.identity.base import UNDECIDED, Credentials, Undecided, token_of, trimmed
from glare.identity.oidc.claims import ClaimError
from glare.identity.oidc.issuers import Issuer
from glare.identity.oidc.mapping import Step
from glare.identity.oidc.memory import Memory
from glare.identity.oidc.publishers import anchors_of, closest, why_not
from glare.identity.oidc.token import MAX_TOKEN, Refused, issuer_of, take_apart
from glare.identity.oidc.verifier import Verified, Verifier

PROJECT_HEADER: Final = "x-glare-project"

_ISSUER: Final = "issuer"
_PUBLISHER: Final = "publisher"
_MAX_USER: Final = 255
_MAX_PROJECTS: Final = 16
"""Projects that a build is remembered for at once."""


class Registry(Protocol):
    """What the source asks of publishers. Each may wait for a database, and raises `Unavailable`."""

    def of_anchors(self, anchors: Sequence[str], project: str | None) -> Sequence[Publisher]:
        """The publishers with one of these anchors, of a project (None: of all)."""

    def find(self, publisher_id: str) -> Publisher | None:
        """The publisher of this id."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a good token is: actors by project, of the rules; and of publishers, each with the time until which it is
    not looked up again.
    """

    verified: Verified
    by_rules: Mapping[str, Actor]
    by_publishers: Mapping[str, tuple[float, Actor]]


@dataclass(frozen=True, slots=True)
class Times:
    """For how long decisions stay: so many tokens for so many seconds, and publishers for so many."""

    tokens: int = 10_000
    seconds: float = 300.0
    publisher_seconds: float = 5.0


class OidcSource:
    """Takes tokens of `issuers`."""

    name = "oidc"
    challenges = ('Bearer realm="glare"',)

    def __init__(
        self,
        issuers: Iterable[Issuer],
        verifier: Verifier,
        registry: Registry,
        times: Times | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuers = {issuer.url: issuer for issuer in issuers}
        self._verifier = verifier
        self._registry = registry
        self._times = times or Times()
        self._clock = clock
        self._memory: Memory[Known] = Memory(self._times.tokens, self._times.seconds, clock)
        named = ", ".join(self._issuers)
        self.remedy = f"Send a token of {named} as Authorization: Bearer."

    def known(self, credentials: Credentials) -> Actor | Undecided | None:
        """The caller of a token that was verified a short while ago."""
        token = token_of(credentials.headers)
        if token is None or not _may_be_token(token):
            return None
        found = self._memory.get(token) if len(token) <= MAX_TOKEN else None
        if found is None or self._verifier.is_over(found.verified.expires):
            return UNDECIDED
        return self._chosen(found, _project_of(credentials)) or UNDECIDED

    def decide(self, credentials: Credentials) -> Actor | None:
        """The caller. May fetch keys, and asks the database for publishers."""
        token = token_of(credentials.headers)
        if token is None or not _may_be_token(token):
            return None
        try:
            issuer = self._issuers.get(issuer_of(token) or "")
            if issuer is None:
                return None
            known = found = self._memory.get(token)
            if found is None or self._verifier.is_over(found.verified.expires):
                known, found = None, self._known(self._verifier.verify(issuer, take_apart(token)))
        except Refused as why:
            raise Unauthorized(f"This token is refused: {why}.") from None
        project = _project_of(credentials)
        actor = self._chosen(found, project)
        if actor is None:
            found, actor = self._published(found, project)
        # Only now: good tokens of strangers must not push out those of callers.
        if known is None:
            self._memory.put(token, found)
        else:
            self._memory.change(token, found)
        return actor

    def again(self, actor: Actor, _: str | None) -> Actor | None:
        """Looks up the publisher, or whether the issuer is still one. What the rules would make of a user today, only
        the user's token could tell.
        """
        kind, _, name = (actor.credential or "").partition(":")
        if actor.source != self.name:
            return None
        if kind == _ISSUER:
            return actor if any(issuer.name == name for issuer in self._issuers.values()) else None
        publisher = self._registry.find(name) if kind == _PUBLISHER else None
        if publisher is None or publisher.project != actor.project:
            return None
        if not any(issuer.name == publisher.issuer and issuer.publishers for issuer in self._issuers.values()):
            return None
        return replace(actor, roles=frozenset(publisher.roles), limits=_limits(publisher))

    def explain(self, token: str, project: str | None = None) -> tuple[list[Step], Actor | None]:
        """What the token would be, step by step, and who its caller; None for nobody. Raises `Unavailable`."""
        steps: list[Step] = []
        try:
            unverified = take_apart(token)
            steps.append(Step("form", True, f"signed with {unverified.algorithm}, key {unverified.kid!r}"))
            issuer = self._issuers.get(unverified.issuer)
            if issuer is None:
                steps.append(Step("issuer", False, f"{unverified.issuer[:200]!r} is not in the file of issuers"))
                return steps, None
            steps.append(Step("issuer", True, f"{issuer.url!r} is {issuer.name!r} in the file of issuers"))
            verified = self._verifier.verify(issuer, unverified)
            left = round(verified.expires - time.time())
            steps.append(Step("token", True, f"signature, audience and times are good; it ends in {left} seconds"))
        except Refused as why:
            return [*steps, Step("token", False, str(why))], None
        try:
            steps += issuer.mapping.apply(verified.claims).steps
        except ClaimError as why:
            steps.append(Step("rules", False, f"they name no user: {why}"))
        if issuer.publishers:
            for publisher in self._registry.of_anchors(anchors_of(issuer, verified.claims), project):
                reason = why_not(publisher, verified.claims)
                what = f"publisher {publisher.id} of project {publisher.project!r}"
                steps.append(Step(what, reason is None, reason or "all of its claims match"))
        try:
            found, asked = self._known(verified), project or ""
            actor = self._chosen(found, asked) or self._published(found, asked)[1]
        except (Unauthorized, Refused) as why:
            return [*steps, Step("caller", False, str(why))], None
        return steps, actor

    def _known(self, verified: Verified) -> Known:
        """What the rules make of the claims. Raises `Refused` where they name no user."""
        issuer = verified.issuer
        try:
            outcome = issuer.mapping.apply(verified.claims)
        except ClaimError as why:
            if not issuer.publishers:
                raise Refused(f"it names no user: {why}") from None
            return Known(verified, {}, {})
        if len(outcome.user) > _MAX_USER:
            raise Refused(f"its user has {len(outcome.user)} characters, and may have {_MAX_USER}")
        actors = {
            project: Actor(
                outcome.user,
                project,
                roles,
                expires=verified.expires,
                source=self.name,
                credential=f"{_ISSUER}:{issuer.name}",
            )
            for project, roles in outcome.projects.items()
        }
        return Known(verified, actors, {})

    def _chosen(self, found: Known, project: str) -> Actor | None:
        """The actor in the project that is asked for (empty: in the first one), None where a publisher has to be looked
        up. Raises `Unauthorized` where the token leads to none.
        """
        issuer = found.verified.issuer
        if not project:
            actor = next(iter(found.by_rules.values()), None)
            if actor is not None:
                return actor
            if issuer.publishers:
                raise Unauthorized(
                    "This token is good, and could be that of a publisher; name the project that it publishes into in "
                    "the header X-Glare-Project."
                )
            raise Unauthorized(
                "This token is good, and no rule of its issuer lets it in. The operator sees why with: glare-server "
                "identity explain."
            )
        actor = found.by_rules.get(project)
        if actor is not None:
            return actor
        if not issuer.publishers:
            raise _leads_elsewhere(found, project)
        until, actor = found.by_publishers.get(project, (0.0, None))
        return actor if self._clock() < until else None

    def _published(self, found: Known, project: str) -> tuple[Known, Actor]:
        """The actor of the publisher that the token is in this project, and what is known with it. Raises
        `Unauthorized` where it is none.
        """
        issuer, claims = found.verified.issuer, found.verified.claims
        anchors = anchors_of(issuer, claims)
        publisher = closest(self._registry.of_anchors(anchors, project), claims) if anchors else None
        if publisher is None or publisher.project != project:
            raise _leads_elsewhere(found, project)
        actor = Actor(
            _user_of(issuer, claims),
            project,
            frozenset(publisher.roles),
            limits=_limits(publisher),
            expires=found.verified.expires,
            source=self.name,
            credential=credential_of(publisher),
        )
        others = [(name, entry) for name, entry in found.by_publishers.items() if name != project]
        until = self._clock() + self._times.publisher_seconds
        return replace(found, by_publishers=dict([*others[1 - _MAX_PROJECTS :], (project, (until, actor))])), actor


def credential_of(publisher: Publisher) -> str:
    """What actors of its builds have as their credential."""
    return f"{_PUBLISHER}:{publisher.id}"


def _project_of(credentials: Credentials) -> str:
    """The project that a request names. A server reads bytes as ISO 8859-1, and names are UTF-8."""
    named = trimmed(credentials.headers.get(PROJECT_HEADER, ""))
    try:
        return named.encode("latin-1").decode()
    except UnicodeError:
        return named


def _leads_elsewhere(found: Known, project: str) -> Unauthorized:
    """The refusal. Which projects have registered a build as a publisher is theirs to tell."""
    named = ", ".join(repr(one) for one in list(found.by_rules)[:5])
    instead = f", but into {named}" if named else ""
    return Unauthorized(
        f"This token is good, and does not lead into the project '{project[:60]}'{instead}; "
        "name another one in X-Glare-Project, or ask the project for a publisher with the claims of this token."
    )


def _user_of(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """The build, as the audit log names it."""
    text = f"{issuer.mapping.user_prefix}{claims['sub']}"
    return "".join(sign if sign.isprintable() and sign != "," else "_" for sign in text)[:_MAX_USER]


def _limits(publisher: Publisher) -> Limits:
    """A build makes no other credentials, whatever its roles: they would outlive it, and its publisher."""
    types = None if publisher.types is None else frozenset(publisher.types)
    return Limits(types=types, names=publisher.names, delegates=False)


def _may_be_token(text: str) -> bool:
    """Whether it has the look of a signed token: cheap, for the event loop."""
    return text.startswith("ey") and text.count(".") >= 2
