"""What an origin claims about the range that it sends, compared with the one that it was asked for (RFC 9110, 14.4 and
15.3.7).
"""

from __future__ import annotations

from dataclasses import dataclass

from glare.domain.origins import origin_text
from glare.egress.exchange import Head, Headers
from glare.errors import OriginFailed


@dataclass(frozen=True, slots=True)
class Span:
    """First and last byte, inclusive, of a content of `whole` bytes; None where that is not said."""

    first: int
    last: int
    whole: int | None


def span_of(headers: Headers) -> Span | None:
    """The range that a ``Content-Range`` names, None where it names none that can be."""
    said = headers.get("content-range")
    named, whole = origin_text.content_range(said), origin_text.whole_length(said)
    if named is None:
        return None
    first, last = named
    return Span(first, last, whole) if first <= last and (whole is None or last < whole) else None


def check_range(head: Head, first: int, last: int | None, *, partial: bool) -> Span:
    """What a 206 carries: exactly the bytes `first` to `last` (inclusive; None for the end), or with `partial` a
    beginning of them.

    Raises `OriginFailed`.
    """
    if head.headers.get("content-type", "").strip().lower().startswith("multipart/byteranges"):
        raise OriginFailed("The origin answers one range with several parts.", reason="multipart/byteranges")
    span = span_of(head.headers)
    if span is None or span.first != first or not _fits(span, last, partial=partial):
        said = head.headers.get("content-range", "")
        raise OriginFailed(
            "The origin sends another range than it was asked for.", reason=f"Content-Range {said[:80]!r}"
        )
    if head.length is not None and head.length != span.last - span.first + 1:
        raise OriginFailed("The origin's Content-Length and Content-Range differ.", reason=f"length {head.length}")
    return span


def _fits(span: Span, last: int | None, *, partial: bool) -> bool:
    if last is None:
        return partial or span.whole is None or span.last == span.whole - 1
    return span.last == last or (partial and span.last < last)
