"""Who makes a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from glare.domain.limits import UNLIMITED, Limits

COMMAND: Final = "command"
"""The source of whoever runs a command of the server."""

NOBODY: Final = "anonymous"
"""The source of who has sent no credentials."""


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated caller, or the anonymous reader (no project, read-only, never admin).

    `roles` are as the identity source spells them, outer blanks trimmed; rules compare them case-insensitively.
    `domain` is the id of the project's domain; `system` says whether the roles hold for the whole deployment instead
    of a project (OpenStack's system scope), and `service_roles` are those of the service that acts for the caller,
    empty where none does. `expires` is when the credential ends, in seconds since the epoch. `source` is the name of
    the identity source that vouches for it, or one of `COMMAND` and `NOBODY`. `limits` are those of the credential, and
    `credential` is its id, where it has one, and never what opens a door: of a token of ours, or as Keystone calls it;
    of a signed token ``publisher:ID`` or ``issuer:NAME``. `restricted` says that it is good for some requests only,
    which its source checks with each.

    Two actors are equal where they may do the same, whoever vouches for them and for how long.
    """

    user: str | None
    project: str | None
    roles: frozenset[str]
    anonymous: bool = False
    domain: str | None = None
    system: bool = False
    service_roles: frozenset[str] = frozenset()
    limits: Limits = UNLIMITED
    restricted: bool = False
    expires: float | None = field(default=None, compare=False)
    source: str = field(default="", compare=False)
    credential: str | None = field(default=None, compare=False)


ANONYMOUS = Actor(user=None, project=None, roles=frozenset(), anonymous=True, source=NOBODY)
