"""The interface of all identity sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from glare.domain.actor import ANONYMOUS, Actor
from glare.errors import Unauthorized


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says about its caller.

    `headers` have lower-case names. `peer` is the IP address of the other end of the connection, None for a Unix socket.
    """

    headers: Mapping[str, str]
    peer: str | None


class Identity(Protocol):
    """Turns credentials into an actor. Called once for every request, on the event loop: it must not block."""

    def authenticate(self, credentials: Credentials) -> Actor:
        """The caller. Raises `Unauthorized` with what to do about it."""


def nobody(allow_anonymous: bool, remedy: str) -> Actor:
    """The answer to a request without credentials: the anonymous reader where that is allowed, else `Unauthorized`.

    Credentials that are there but wrong are never answered this way: who meant to be somebody should hear that they are not.
    """
    if allow_anonymous:
        return ANONYMOUS
    raise Unauthorized(remedy)


def split_roles(text: str) -> frozenset[str]:
    """Roles from a comma-separated list; blanks around them and empty ones are dropped."""
    return frozenset(role for part in text.split(",") if (role := part.strip()))
