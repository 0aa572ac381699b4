"""Identity sources for tests, and what pipelines make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from glare.domain.actor import Actor
from glare.identity.base import UNDECIDED, Credentials, Identity, Undecided, token_of


def decided(identity: Identity, credentials: Credentials) -> Actor:
    """What a request with these credentials becomes."""
    found = identity.known(credentials)
    return identity.decide(credentials) if found is UNDECIDED else found


@dataclass
class Asked:
    """A source that takes tokens with its prefix, and whose `answer` says what becomes of them, in a thread.

    `asked` are the credentials that it was asked about.
    """

    prefix: str
    answer: Callable[[str], Actor]
    name: str = "asked"
    remedy: str = "Send a token of this test."
    challenges: tuple[str, ...] = ('Bearer realm="test"',)
    asked: list[Credentials] = field(default_factory=list)

    def known(self, credentials: Credentials) -> Actor | Undecided | None:
        token = token_of(credentials.headers)
        return UNDECIDED if token is not None and token.startswith(self.prefix) else None

    def decide(self, credentials: Credentials) -> Actor | None:
        self.asked.append(credentials)
        return self.answer(token_of(credentials.headers) or "")

    def again(self, actor: Actor, _: str | None) -> Actor | None:
        return actor if actor.source == self.name else None
