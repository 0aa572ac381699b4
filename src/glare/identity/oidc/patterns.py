"""Patterns for the values of claims: text in which ``*`` is any run of characters without a slash and ``**`` any run.

A pattern always covers the whole value. There are no regular expressions, whose time a caller could choose: matching
takes steps in proportion to the length of the value times the few wildcards of the pattern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_PATTERN: Final = 512
"""Characters of a pattern."""
MAX_WILDCARDS: Final = 8
MAX_VALUE: Final = 1024
"""Characters of a value that a pattern with wildcards looks at; a longer one matches none."""

_PARTS: Final = re.compile(r"\*\*|\*|[^*]+")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern. `parts` are its literal runs and its wildcards, in order."""

    text: str
    parts: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Pattern:
        """Raises ValueError, whose message completes "the pattern … ", for what is no pattern."""
        if not text or len(text) > MAX_PATTERN:
            raise ValueError(f"has {len(text)} characters; give 1 to {MAX_PATTERN}")
        if "***" in text:
            raise ValueError("has three stars in a row; write * for a run without a slash, or ** for any run")
        parts = tuple(_PARTS.findall(text))
        if sum(part.startswith("*") for part in parts) > MAX_WILDCARDS:
            raise ValueError(f"has more than {MAX_WILDCARDS} wildcards")
        return cls(text, parts)

    @property
    def is_exact(self) -> bool:
        """Whether it matches one value only."""
        return "*" not in self.text

    def match(self, value: str) -> tuple[str, ...] | None:
        """What each wildcard stands for, the first ones as short as can be; None where the value does not match."""
        if self.is_exact:
            return () if value == self.text else None
        if len(value) > MAX_VALUE:
            return None
        ends = self._ends(value)
        if not ends[0][0]:
            return None
        at, found = 0, []
        for number, part in enumerate(self.parts):
            if not part.startswith("*"):
                at += len(part)
                continue
            end = at
            while not ends[number + 1][end]:
                end += 1
            found.append(value[at:end])
            at = end
        return tuple(found)

    def _ends(self, value: str) -> list[list[bool]]:
        """For each part (and after the last) and each place: whether the rest of the pattern matches the rest there."""
        size = len(value)
        table = [[False] * (size + 1) for _ in self.parts] + [[False] * size + [True]]
        for number in range(len(self.parts) - 1, -1, -1):
            part, after, row = self.parts[number], table[number + 1], table[number]
            if not part.startswith("*"):
                for place in range(size - len(part) + 1):
                    row[place] = after[place + len(part)] and value.startswith(part, place)
                continue
            for place in range(size, -1, -1):
                may_grow = place < size and (part == "**" or value[place] != "/")
                row[place] = after[place] or (may_grow and row[place + 1])
        return table
