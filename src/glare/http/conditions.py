"""Conditional requests and byte ranges (RFC 9110), as pure functions of header texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from glare.errors import RangeNotSatisfiable

# Both are matched against what anybody sends: no run of spaces may be divided between two parts, or tried from each of
# its places, since that takes the square of its length and holds up the whole process.
_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_RANGE: Final = re.compile(r"bytes\s*=\s*(?:(\d{1,19})\s*-(?:\s*(\d{1,19}))?|-\s*(\d{1,19}))", re.IGNORECASE)

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Tags:
    """Entity tags of a header: `strong` and `weak` opaque values without quotes; `any` for ``*``."""

    strong: frozenset[str]
    weak: frozenset[str]
    any: bool = False

    def match_strongly(self, tag: str) -> bool:
        """If-Match: a weak tag never matches."""
        return self.any or tag in self.strong

    def match_weakly(self, tag: str) -> bool:
        """If-None-Match."""
        return self.any or tag in self.strong or tag in self.weak


def parse_tags(text: str | None) -> Tags | None:
    """The tags of an If-Match or If-None-Match header, None without one. What is malformed matches nothing."""
    if text is None:
        return None
    if text.strip() == ANY:
        return Tags(frozenset(), frozenset(), any=True)
    strong: set[str] = set()
    weak: set[str] = set()
    for weakly, value in _TAG.findall(text):
        (weak if weakly else strong).add(value)
    return Tags(frozenset(strong), frozenset(weak))


def parse_range(text: str | None, if_range: str | None, tag: str, size: int) -> tuple[int, int] | None:
    """The first and last byte (both included) that a Range header asks for, of a content of `size` bytes.

    None where the whole is to be sent: no header, an If-Range that does not match `tag` strongly, several ranges,
    another unit, or bad syntax. Raises `RangeNotSatisfiable` where no byte of the range exists.
    """
    if text is None:
        return None
    if if_range is not None and if_range.strip() != f'"{tag}"':
        return None
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        return None
    first_text, last_text, suffix = found.groups()
    if suffix is not None:
        length = min(int(suffix), size)
        if not length:
            raise RangeNotSatisfiable(f"The range '{text}' is empty; the content has {size} bytes.", size=size)
        return size - length, size - 1
    first = int(first_text)
    last = int(last_text) if last_text else size - 1
    if last_text and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable(f"The range '{text}' starts beyond the content's {size} bytes.", size=size)
    return first, min(last, size - 1)
