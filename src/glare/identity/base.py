"""The interface of all identity sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from glare.domain.actor import Actor
from glare.errors import Forbidden, Unauthorized

MAX_PROJECT: Final = 255
"""Characters of a project's name that can be stored."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says about its caller.

    `headers` have lower-case names. `peer` is the IP address of the other end of the connection, None for a Unix
    socket; `address` is that of the client, as trusted proxies name it. `method` and `path` (decoded) are those of the
    request, for credentials that are good for some requests only.
    """

    headers: Mapping[str, str]
    peer: str | None
    method: str = "GET"
    path: str = "/"
    address: str | None = None


class Undecided(Enum):
    """The type of `UNDECIDED`."""

    UNDECIDED = 0


UNDECIDED: Final = Undecided.UNDECIDED
"""What `Source.known` returns where only `Source.decide` can tell."""


class Source(Protocol):
    """One way to tell who is calling. Sources are asked one after the other, in the configured order.

    A source takes the credentials that have its form, and no others: for those that are not its own it returns None,
    and the next source is asked. For those that are its own it alone decides, so that what one source has refused no
    other accepts.

    `name` is what the option calls it. `remedy` is a sentence for callers that have sent nothing it takes.
    `challenges` are the values of ``WWW-Authenticate`` that name it; a source that reads no tokens has none.
    """

    @property
    def name(self) -> str: ...

    @property
    def remedy(self) -> str: ...

    @property
    def challenges(self) -> tuple[str, ...]: ...

    def known(self, credentials: Credentials) -> Actor | Undecided | None:
        """The caller where that is known already. Called for each request on the event loop: it must not block.

        Raises `Unauthorized` for credentials of its own that are wrong, with what to do about it.
        """

    def decide(self, credentials: Credentials) -> Actor | None:
        """The caller. Called in a thread where `known` returned `UNDECIDED`: it may wait for a network or a database.

        Raises `Unauthorized` as `known`, and `Unavailable` where whoever could tell cannot be reached.
        """

    def again(self, actor: Actor, address: str | None) -> Actor | None:
        """A caller of before, whose credential is not at hand, as this source would see them now if it came from the
        address; None where it would not let them in, or has not vouched for them. A source that cannot ask about a
        credential without having it returns the actor as it is.

        May block, and raises `Unavailable`.
        """


class Identity(Protocol):
    """Turns the credentials of each request into an actor."""

    def known(self, credentials: Credentials) -> Actor | Undecided:
        """The caller where that is known already; does not block. Raises `Unauthorized`, `BadRequest`."""

    def decide(self, credentials: Credentials) -> Actor:
        """The caller, where `known` returned `UNDECIDED`; may block. Raises as `known`, and `Unavailable`."""

    def again(self, actor: Actor, address: str | None) -> Actor | None:
        """A caller of before as they would be now, None where they would not be let in; see `Source.again`."""


def token_of(headers: Mapping[str, str]) -> str | None:
    """The token that a request carries, in ``X-Auth-Token`` or as ``Authorization: Bearer``; None where there is
    none.
    """
    token = headers.get("x-auth-token")
    return token.strip() if token is not None else bearer_of(headers)


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """The token in ``Authorization: Bearer``; None where there is none."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else None


def storable(actor: Actor) -> Actor:
    """The same actor. Raises `Unauthorized` where its project's name is longer than what can own an artifact, and where
    project or user begin or end with a space: MariaDB takes ``p`` and ``p `` for the same, and whoever is named the one
    would have what the other has.
    """
    if actor.project is not None and len(actor.project) > MAX_PROJECT:
        raise Unauthorized(
            f"The name of your project has {len(actor.project)} characters, and may have {MAX_PROJECT}; use a token of "
            "another project, or ask the operator to name it shorter."
        )
    for what, name in (("project", actor.project), ("user", actor.user)):
        if name is not None and name != name.strip(" "):
            raise Unauthorized(
                f"The name of your {what} is {name[:60]!r}, and may neither begin nor end with a space; ask who gives "
                "names, or the operator."
            )
    return actor


def of_a_domain() -> Forbidden:
    """The refusal of a token of a domain. Nothing here belongs to a domain, and its roles hold in that domain only: who
    administers one must not be taken for an administrator of the deployment.
    """
    return Forbidden("This token is of a domain, whose roles hold nowhere here; log in to a project, or to the system.")


def trimmed(value: str) -> str:
    """A header field's value without what may stand around it (RFC 9110, 5.6.3). Nothing else: a server reads bytes as
    ISO 8859-1, in which the last byte of a letter in UTF-8 may look like a blank.
    """
    return value.strip(" \t")


def split_roles(text: str) -> frozenset[str]:
    """Roles from a comma-separated list; blanks around them and empty ones are dropped."""
    return frozenset(role for part in text.split(",") if (role := trimmed(part)))
