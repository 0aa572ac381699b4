"""The query string as pairs, decoded strictly."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from glare.errors import BadRequest


def query_pairs(query: bytes) -> list[tuple[str, str]]:
    """Names and values in the order sent, repeated ones kept, empty parts left out. Raises `BadRequest` unless
    UTF-8.
    """
    return [
        (_decoded(name), _decoded(value))
        for name, _, value in (part.partition(b"=") for part in query.split(b"&") if part)
    ]


def _decoded(text: bytes) -> str:
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise BadRequest("The query string is not UTF-8 after percent-decoding; encode it as UTF-8.") from None
