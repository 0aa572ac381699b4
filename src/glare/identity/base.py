"""The interface of all identity sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from glare.domain.actor import ANONYMOUS, Actor
from glare.errors import Unauthorized

MAX_PROJECT: Final = 255
"""Characters of a project's name that can be stored."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says about its caller.

    `headers` have lower-case names. `peer` is the IP address of the other end of the connection, None for a Unix
    socket.
    """

    headers: Mapping[str, str]
    peer: str | None


class Identity(Protocol):
    """Turns credentials into an actor. Called once for every request, on the event loop: it must not block."""

    def authenticate(self, credentials: Credentials) -> Actor:
        """The caller. Raises `Unauthorized` with what to do about it."""


def nobody(allow_anonymous: bool, remedy: str) -> Actor:
    """The answer to a request without credentials: the anonymous reader where that is allowed, else `Unauthorized`.

    Credentials that are there but wrong are never answered this way: who meant to be somebody should hear that they are
    not.
    """
    if allow_anonymous:
        return ANONYMOUS
    raise Unauthorized(remedy)


def storable(actor: Actor) -> Actor:
    """The same actor. Raises `Unauthorized` where its project's name is longer than what can own an artifact."""
    if actor.project is not None and len(actor.project) > MAX_PROJECT:
        raise Unauthorized(
            f"The name of your project has {len(actor.project)} characters, and may have {MAX_PROJECT}; use a token of "
            "another project, or ask the operator to name it shorter."
        )
    return actor


def split_roles(text: str) -> frozenset[str]:
    """Roles from a comma-separated list; blanks around them and empty ones are dropped."""
    return frozenset(role for part in text.split(",") if (role := part.strip()))
