"""What a credential may do less than its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one credential, below the rights of the project and the roles that it stands for.

    `types` are names of artifact types and `names` patterns of artifact names (``*`` stands for any characters); None
    does not limit. Where callers may connect from is checked by the identity source that knows the credential.
    """

    read_only: bool = False
    types: frozenset[str] | None = None
    names: tuple[str, ...] | None = None


UNLIMITED: Final = Limits()
"""The limits of a credential that has none."""
