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
from typing import Any, Final

from glare.domain.actor import Actor
from glare.domain.limits import Limits
from glare.domain.publisher import Publisher
from glare.errors import Unauthorized
from glare.identity.base import UNDECIDED, Credentials, Undecided, token_of
from glare.identity.oidc.claims import ClaimError
from glare.identity.oidc.issuers import Issuer
from glare.identity.oidc.mapping import Step
from glare.identity.oidc.memory import Memory
from glare.identity.oidc.publishers import anchors_of, by_project, why_not
from glare.identity.oidc.token import MAX_TOKEN, Refused, issuer_of, take_apart
from glare.identity.oidc.verifier import Verified, Verifier

PROJECT_HEADER: Final = "x-glare-project"

Registry = Callable[[Sequence[str]], Sequence[Publisher]]
"""The publishers with one of these anchors. May wait for a database. Raises `Unavailable`."""

_MAX_USER: Final = 255


@dataclass(frozen=True, slots=True)
class Known:
    """What a good token is: actors by project, of the rules and of publishers. `publishers_until` is when publishers
    have to be looked up again, None where the issuer takes none.
    """

    verified: Verified
    by_rules: Mapping[str, Actor]
    by_publishers: Mapping[str, Actor]
    publishers_until: float | None


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
        if found is None or (found.publishers_until is not None and self._clock() >= found.publishers_until):
            return UNDECIDED
        if self._verifier.is_over(found.verified.expires):
            return UNDECIDED
        return _chosen(found, credentials)

    def decide(self, credentials: Credentials) -> Actor | None:
        """The caller. May fetch keys, and asks the database for publishers."""
        token = token_of(credentials.headers)
        if token is None or not _may_be_token(token):
            return None
        try:
            issuer = self._issuers.get(issuer_of(token) or "")
            if issuer is None:
                return None
            found = self._memory.get(token)
            if found is None or self._verifier.is_over(found.verified.expires):
                found = self._verified(issuer, token)
            elif found.publishers_until is not None and self._clock() >= found.publishers_until:
                found = self._with_publishers(found)
        except Refused as why:
            raise Unauthorized(f"This token is refused: {why}.") from None
        if found.by_rules or found.by_publishers:  # Good tokens of strangers must not push out those of callers.
            self._memory.put(token, found)
        return _chosen(found, credentials)

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
            for publisher in self._registry(anchors_of(issuer, verified.claims)):
                reason = why_not(publisher, verified.claims)
                what = f"publisher {publisher.id} of project {publisher.project!r}"
                steps.append(Step(what, reason is None, reason or "all of its claims match"))
        headers = {} if project is None else {PROJECT_HEADER: project}
        try:
            actor = _chosen(self._known(verified), Credentials(headers, None))
        except Unauthorized as why:
            return [*steps, Step("caller", False, why.message)], None
        return steps, actor

    def _verified(self, issuer: Issuer, token: str) -> Known:
        return self._known(self._verifier.verify(issuer, take_apart(token)))

    def _known(self, verified: Verified) -> Known:
        issuer = verified.issuer
        try:
            outcome = issuer.mapping.apply(verified.claims)
        except ClaimError as why:
            if not issuer.publishers:
                raise Refused(f"it names no user: {why}") from None
            return self._with_publishers(Known(verified, {}, {}, 0.0))
        user = outcome.user
        if len(user) > _MAX_USER and outcome.projects:
            raise Refused(f"its user has {len(user)} characters, and may have {_MAX_USER}")
        actors = {
            project: Actor(user, project, roles, expires=verified.expires, source=self.name)
            for project, roles in outcome.projects.items()
        }
        found = Known(verified, actors, {}, 0.0 if issuer.publishers else None)
        return self._with_publishers(found) if issuer.publishers else found

    def _with_publishers(self, found: Known) -> Known:
        """With those publishers that the token is as they are now."""
        issuer, claims = found.verified.issuer, found.verified.claims
        anchors = anchors_of(issuer, claims)
        publishers = by_project(self._registry(anchors), claims) if anchors else {}
        actors = {
            project: Actor(
                _user_of(issuer, claims),
                project,
                frozenset(publisher.roles),
                limits=_limits(publisher),
                expires=found.verified.expires,
                source=self.name,
            )
            for project, publisher in publishers.items()
        }
        return replace(found, by_publishers=actors, publishers_until=self._clock() + self._times.publisher_seconds)


def _chosen(found: Known, credentials: Credentials) -> Actor:
    """The actor in the project that the request names. Raises `Unauthorized` where the token leads to none."""
    asked = credentials.headers.get(PROJECT_HEADER, "").strip()
    if asked:
        actor = found.by_rules.get(asked) or found.by_publishers.get(asked)
        if actor is not None:
            return actor
        raise Unauthorized(
            f"This token is good, and does not lead into the project '{asked[:60]}'{_instead(found)}; name another one "
            "in X-Glare-Project, or ask the project for a publisher with the claims of this token."
        )
    for actor in found.by_rules.values():
        return actor
    if found.by_publishers:
        raise Unauthorized(
            "This token is that of a publisher; name the project that it publishes into in the header X-Glare-Project."
        )
    raise Unauthorized(
        "This token is good, and nothing lets it in: no rule of its issuer, and no publisher. The operator sees why "
        "with: glare-server identity explain."
    )


def _instead(found: Known) -> str:
    # Which projects have registered a build as a publisher is theirs to tell.
    projects = list(found.by_rules)[:5]
    return f", but into {', '.join(repr(project) for project in projects)}" if projects else ""


def _user_of(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """The build, as the audit log names it."""
    text = f"{issuer.mapping.user_prefix}{claims['sub']}"
    return "".join(sign if sign.isprintable() and sign != "," else "_" for sign in text)[:_MAX_USER]


def _limits(publisher: Publisher) -> Limits:
    types = None if publisher.types is None else frozenset(publisher.types)
    return Limits(types=types, names=publisher.names)


def _may_be_token(text: str) -> bool:
    """Whether it has the look of a signed token: cheap, for the event loop."""
    return text.startswith("ey") and text.count(".") >= 2
