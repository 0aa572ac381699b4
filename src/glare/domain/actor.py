"""Who makes a request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated caller, or the anonymous reader (no project, read-only, never admin).

    `roles` are as the identity source spells them, outer blanks trimmed; rules compare them case-insensitively.
    """

    user: str | None
    project: str | None
    roles: frozenset[str]
    anonymous: bool = False


ANONYMOUS = Actor(user=None, project=None, roles=frozenset(), anonymous=True)
