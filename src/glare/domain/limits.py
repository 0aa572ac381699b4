"""What a credential may do less than its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one credential, below the rights of the project and the roles that it stands for.

    `types` are names of artifact types and `names` patterns of artifact names (``*`` stands for any characters); None
    does not limit. `delegates` says whether it may make tokens and register publishers, which outlive it. Where callers
    may connect from is checked by the identity source that knows the credential.
    """

    read_only: bool = False
    types: frozenset[str] | None = None
    names: tuple[str, ...] | None = None
    delegates: bool = True

    def allows_type(self, name: str) -> bool:
        """Whether artifacts of this type may be seen and changed."""
        return self.types is None or name in self.types

    def allows_name(self, name: str) -> bool:
        """Whether an artifact of this name may be changed."""
        return self.names is None or any(covers(pattern, name) for pattern in self.names)


UNLIMITED: Final = Limits()
"""The limits of a credential that has none."""


def covers(pattern: str, name: str) -> bool:
    """Whether the pattern, in which ``*`` stands for any characters, matches the whole name.

    Takes as long as both are, whatever they are: a ``*`` takes as little as it can, which never misses a match.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    at, end = len(first), len(name) - len(last)
    if end < at or not name.startswith(first) or not name.endswith(last):
        return False
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
