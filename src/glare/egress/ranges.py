"""What an origin claims about the range that it sends, compared with the one that it was asked for."""

from __future__ import annotations

from glare.domain import origin_text
from glare.egress.exchange import Head
from glare.errors import OriginFailed


def check_range(head: Head, first: int, last: int) -> None:
    """Raises `OriginFailed` unless a 206 carries exactly the bytes `first` to `last` (inclusive)."""
    said = head.headers.get("content-range", "")
    if origin_text.content_range(said) != (first, last):
        raise OriginFailed(
            "The origin sends another range than it was asked for.", reason=f"Content-Range {said[:80]!r}"
        )
    if head.length is not None and head.length != last - first + 1:
        raise OriginFailed("The origin's Content-Length and Content-Range differ.", reason=f"length {head.length}")
