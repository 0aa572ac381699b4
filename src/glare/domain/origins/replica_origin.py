"""Which external members of a folder are the same replica in other words.

One URL in three spellings is one copy of the bytes, and so is one file that a server offers by http and by https: when
it goes, all go. What differs in more than its spelling may be a copy of its own, and counts as one, also on the same
host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from glare.domain.blob import Blob, External

_SCHEME: Final = re.compile(r"https?://")
_DEFAULT_PORT: Final = re.compile(r":(?:80|443)?\Z")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]\Z")


def origins_of(blobs: Iterable[Blob]) -> set[str]:
    """The different places where the bytes of these blobs are: each stored one is one, of external ones each normalised
    URL.
    """
    return {_origin(blob) for blob in blobs}


def normalised(url: str) -> str:
    """An http(s) URL without what says nothing of where it leads (RFC 3986, 6.2.2 and 6.2.3): case of scheme and host,
    usual ports, escapes of plain characters, dot segments, an empty query; and without the scheme, as both lead to the
    same file.
    """
    scheme = _SCHEME.match(url.lower())
    rest = url[scheme.end() :] if scheme else url
    cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    host = _DEFAULT_PORT.sub("", rest[:cut].lower()).removesuffix(".")
    path, _, query = _ESCAPE.sub(_plain, rest[cut:]).partition("?")
    return f"{host}{_without_dots(path)}{'?' if query else ''}{query}"


def _origin(blob: Blob) -> str:
    location = blob.location
    return normalised(location.url) if isinstance(location, External) else f"stored {blob.slot.path}"


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.match(character) else f"%{escape[1].upper()}"


def _without_dots(path: str) -> str:
    """RFC 3986, 5.2.4."""
    kept: list[str] = []
    *segments, last = path.split("/")[1:] or [""]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if last == "..":
        kept = kept[:-1]
    return "/" + "".join(f"{segment}/" for segment in kept) + ("" if last in (".", "..") else last)
