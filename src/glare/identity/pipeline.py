"""Several identity sources as one, asked in the configured order.

The rules, in the order in which they hold:

1. Two tokens in one request that differ are refused: a proxy may have looked at the one, and we at the other.
2. The first source that takes the credentials decides alone: its refusal is final, and so is "not now" from a source
   that cannot be reached. Nobody gets in by another door because the right one is shut.
3. Where no source takes them, a token is refused; whoever has none is the anonymous reader where that is allowed.
   Whoever means to be somebody should hear that they are not.
4. Every refusal names the ways in.
5. So many threads may wait for one source, fewer than there are: a source that has fallen silent leaves some to the
   others, and who would be one too many is told to come back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from glare.domain.actor import ANONYMOUS, Actor
from glare.errors import BadRequest, Unauthorized, Unavailable
from glare.identity.base import UNDECIDED, Credentials, Source, Undecided, bearer_of, token_of

_BEARER: Final = "bearer"


class Pipeline:
    """The sources, asked in this order. Without `allow_anonymous` a request without credentials is refused.

    Up to `at_most` threads wait for one source at the same time (None: any number), and others `patience` seconds for
    a place among them.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        allow_anonymous: bool = False,
        at_most: int | None = None,
        patience: float = 0.25,
    ) -> None:
        self._sources = tuple(sources)
        self._places = [None if at_most is None else threading.BoundedSemaphore(at_most) for _ in self._sources]
        self._patience = patience
        self._allow_anonymous = allow_anonymous
        self._remedy = " Or: ".join(dict.fromkeys(source.remedy for source in self._sources))
        self._challenges = tuple(dict.fromkeys(one for source in self._sources for one in source.challenges))

    def known(self, credentials: Credentials) -> Actor | Undecided:
        """The caller, or `UNDECIDED` where a thread has to ask. Raises `Unauthorized`, `BadRequest`."""
        token = _one_token(credentials)
        try:
            for source in self._sources:
                found = source.known(credentials)
                if found is not None:
                    return found
            return self._nobody(token)
        except Unauthorized as error:
            raise self._with_challenges(error, token) from None

    def decide(self, credentials: Credentials) -> Actor:
        """The caller. Blocks for as long as a source does. Raises `Unauthorized`, `BadRequest`, `Unavailable`."""
        token = _one_token(credentials)
        try:
            for source, places in zip(self._sources, self._places, strict=True):
                found = source.known(credentials)
                if found is UNDECIDED:
                    with self._place(source, places):
                        found = source.decide(credentials)
                if found is not None:
                    return found
            return self._nobody(token)
        except Unauthorized as error:
            raise self._with_challenges(error, token) from None

    def again(self, actor: Actor, address: str | None) -> Actor | None:
        """A caller of before as they would be now; None where no source would let them in. Raises `Unavailable`."""
        for source in self._sources:
            found = source.again(actor, address)
            if found is not None:
                return found
        return None

    @contextmanager
    def _place(self, source: Source, places: threading.BoundedSemaphore | None) -> Iterator[None]:
        """One of those that may wait for the source. Raises `Unavailable` where there is none."""
        if places is None:
            yield
            return
        if not places.acquire(timeout=self._patience):
            raise Unavailable(
                f"Too many requests wait for the identity source '{source.name}', which answers slowly; retry later."
            )
        try:
            yield
        finally:
            places.release()

    def _nobody(self, token: str | None) -> Actor:
        if token is not None and self._challenges:
            raise Unauthorized(f"This token is not known here, or was revoked. {self._remedy}")
        if self._allow_anonymous:
            return ANONYMOUS
        raise Unauthorized(self._remedy)

    def _with_challenges(self, error: Unauthorized, token: str | None) -> Unauthorized:
        """The error with the ways in. Of a token that came and is wrong RFC 6750 wants to be told."""
        error.challenges = tuple(
            f'{challenge}, error="invalid_token"' if token is not None and _is_bearer(challenge) else challenge
            for challenge in error.challenges or self._challenges
        )
        return error


def _one_token(credentials: Credentials) -> str | None:
    token, bearer = token_of(credentials.headers), bearer_of(credentials.headers)
    if bearer is not None and token != bearer:
        raise BadRequest(
            "The headers X-Auth-Token and Authorization carry different tokens; send one of them, and leave the other "
            "out."
        )
    return token


def _is_bearer(challenge: str) -> bool:
    return challenge.partition(" ")[0].lower() == _BEARER
