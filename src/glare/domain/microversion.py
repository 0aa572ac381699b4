"""API microversions, as fields and operations are declared with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, order=True)
class Microversion:
    """A version ``major.minor`` of the API."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


WIDER_TEXT: Final = Microversion(1, 3)
"""Since then text of any character is taken, and what a type does not limit itself may be longer."""

SHARING: Final = Microversion(1, 3)
"""Since then an artifact may be `shared` or `community`; earlier requests see it as private."""

NEWEST: Final = Microversion(1, 1 << 30)
"""Later than all: what asks for it sees every field."""
