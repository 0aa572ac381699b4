"""How values and URLs are written in messages, events and answers."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

_CREDENTIALS: Final = re.compile(r"//[^/]*@")


def quoted(value: Any) -> str:
    """A value as a message names it: short, safe to print, and without the credentials and the query of a URL."""
    if isinstance(value, str) and "://" in value:
        value = _CREDENTIALS.sub("//", value.partition("?")[0])
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else f"'{value}'"
    return text if len(text) <= 80 else text[:76] + " ..."


def counted(number: int, noun: str) -> str:
    """So many of something, by its name in the singular.

    >>> counted(1, "blob"), counted(2, "blob")
    ('1 blob', '2 blobs')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def visible_url(url: str, *, confidential: bool, full: bool) -> str:
    """The URL as a reader sees it: of a confidential one, unless the reader sees it in `full`, scheme and host only.

    Owners and administrators see it in full. Events, logs and the audit log never do.
    """
    if full or not confidential:
        return url
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://[{host}]" if ":" in host else f"{parts.scheme}://{host}"
