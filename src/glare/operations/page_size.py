"""How long a page of a plain list is."""

from __future__ import annotations

from typing import Final

from glare.errors import InvalidParameterValue

DEFAULT_PAGE: Final = 100
"""Entries of a page where the request does not say."""


def page_size(text: str | None, most: int) -> int:
    """The entries that the parameter `limit` asks for, `most` of them at most. Raises `InvalidParameterValue`."""
    if text is None:
        return min(DEFAULT_PAGE, most)
    if not (text.isascii() and text.isdigit() and int(text[:19])):
        raise InvalidParameterValue(f"Parameter 'limit' is '{text[:40]}'; give an integer of 1 or more.")
    return min(int(text[:19]), most)
