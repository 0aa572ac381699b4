"""Takedowns: what an administrator keeps from being read, requested and recorded."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from glare.documents.takedowns import TakedownKind

Named = tuple["TakedownKind", tuple[str | None, ...]]
"""What a takedown names, normalised: two spellings of one thing are equal."""


@dataclass(frozen=True, slots=True)
class Takedown:
    """One takedown. `value` is normalised text; `created_at` in microseconds; `reason` is for administrators only."""

    id: str
    kind: TakedownKind
    value: str
    reason: str
    created_at: int
    created_by: str | None


def named_by(kind: TakedownKind, value: str) -> Named:
    """What a takedown of this normalised value is about."""
    if kind is TakedownKind.URL:
        authority, path, query = _url_parts(value)
        return kind, (authority, path, query)
    return kind, (value,)


def names_of_digest(sha256: str) -> Iterator[Named]:
    """Every takedown that would be about this content."""
    yield TakedownKind.DIGEST, (sha256.lower(),)


def names_of_url(url: str) -> Iterator[Named]:
    """Every takedown that would be about this canonical URL: itself, its path with any query, its host and those above.

    The scheme makes no difference, nor does the way in which characters of path and query are escaped.
    """
    authority, path, query = _url_parts(url)
    yield TakedownKind.URL, (authority, path, None)
    if query is not None:
        yield TakedownKind.URL, (authority, path, query)
    host = urlsplit(url).hostname or ""
    yield TakedownKind.HOST, (host,)
    if not _is_address(host):
        labels = host.split(".")
        for at in range(1, len(labels)):
            yield TakedownKind.HOST, (".".join(labels[at:]),)


def _url_parts(url: str) -> tuple[str, str, str | None]:
    """Authority, path and query (None where there is none)."""
    parts = urlsplit(url)
    # Origins differ in what they make of dots, repeated slashes and escapes; a takedown takes them for the same.
    path = posixpath.normpath("/" + unquote(parts.path, errors="surrogateescape").lstrip("/"))
    return parts.netloc, path, unquote(parts.query, errors="surrogateescape") or None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
