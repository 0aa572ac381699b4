"""Headers of responses: ``Content-Disposition`` of downloads, and what all answers about links have."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from starlette.types import Scope

from glare.domain.file_names import ascii_name

PRIVATE: Final = (
    (b"cache-control", b"private, no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex"),
)
"""What every answer about links has, errors too: their addresses are secrets, and so is what they lead to."""

_LINKS: Final = "/links"


def attachment(name: str) -> str:
    """``Content-Disposition`` (RFC 6266) for a file of this name, which has no quotes, controls or separators. Programs
    that know no ``filename*`` (RFC 8187), such as curl, take the one in ASCII.
    """
    plain = ascii_name(name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


def is_private(scope: Scope) -> bool:
    """Whether the request is about links, so that its answer has the headers of `PRIVATE`."""
    path: str = scope["path"]
    return path.startswith(_LINKS) and path[len(_LINKS) : len(_LINKS) + 1] in ("", "/")
