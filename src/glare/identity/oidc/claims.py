"""Claims by name, and texts that are made of them.

A claim is named by its key at the top (``repository``), or as a JSON pointer where it lies deeper
(``/kubernetes.io/namespace``; RFC 6901). In a text ``{name}`` is the value of a claim, and ``{1}`` what the first
wildcard of a rule's `each` stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_MAX_NAME: Final = 128


class ClaimError(Exception):
    """A claim that is needed is not there, or is of no use. The message is a sentence without a full stop."""


def check_name(name: str) -> None:
    """Raises ValueError for what names no claim; the message completes "the claim … "."""
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise ValueError(f"must have 1 to {_MAX_NAME} printable characters")
    if re.search(r"~(?![01])", name) and name.startswith("/"):
        raise ValueError("is no JSON pointer: write ~0 for ~ and ~1 for / in a key")


def find(claims: Mapping[str, Any], name: str) -> Any:
    """The value of the claim, None where there is none."""
    if not name.startswith("/"):
        return claims.get(name)
    value: Any = claims
    for key in name[1:].split("/"):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key.replace("~1", "/").replace("~0", "~"))
    return value


def texts_of(value: Any) -> list[str]:
    """A claim as texts to compare with: a list as its elements; numbers and booleans as JSON writes them; else none."""
    values = value if isinstance(value, list) else [value]
    return [text for one in values if (text := _text(one)) is not None]


@dataclass(frozen=True, slots=True)
class Template:
    """A text with holes. `pieces` are literal texts and names of claims (or numbers of wildcards) in turn."""

    text: str
    pieces: tuple[str, ...]

    @classmethod
    def of(cls, text: str, wildcards: int) -> Template:
        """Raises ValueError, whose message completes "the text … ", for one that cannot be filled."""
        if not text or len(text) > 255 or not text.isprintable():
            raise ValueError("must have 1 to 255 printable characters")
        pieces = tuple(_HOLE.split(text))
        if any("{" in literal or "}" in literal for literal in pieces[::2]):
            raise ValueError("has a brace without its other one; write {name} for the value of a claim")
        for name in pieces[1::2]:
            if name.isdigit():
                if not 1 <= int(name) <= wildcards:
                    raise ValueError(f"has {{{name}}}, and the pattern of 'each' has {wildcards} wildcards")
                continue
            try:
                check_name(name)
            except ValueError as why:
                raise ValueError(f"has {{{name}}}, which names no claim: it {why}") from None
        return cls(text, pieces)

    @property
    def is_literal(self) -> bool:
        return len(self.pieces) == 1

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims that it is made of."""
        return tuple(name for name in self.pieces[1::2] if not name.isdigit())

    def fill(self, claims: Mapping[str, Any], wildcards: Sequence[str] = ()) -> str:
        """The text of these claims. Raises `ClaimError`."""
        filled = []
        for place, piece in enumerate(self.pieces):
            if place % 2 == 0:
                filled.append(piece)
            elif piece.isdigit():
                filled.append(wildcards[int(piece) - 1])
            else:
                filled.append(_single(claims, piece))
        text = "".join(filled)
        if not text or text != text.strip() or len(text) > 255 or not text.isprintable() or "," in text:
            raise ClaimError(
                f"{self.text!r} becomes {text[:60]!r}, and must become 1 to 255 printable characters without a comma, "
                "and without a space at either end"
            )
        return text


def _single(claims: Mapping[str, Any], name: str) -> str:
    value = find(claims, name)
    if value is None:
        raise ClaimError(f"there is no claim {name!r}")
    text = _text(value)
    if text is None or not text:
        raise ClaimError(f"the claim {name!r} is no single text or number")
    return text


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) else None
