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


def visible_url(url: str, *, confidential: bool, full: bool) -> str:
    """The URL as a reader sees it: of a confidential one, unless the reader sees it in `full`, scheme and host only.

    Owners and administrators see it in full. Events, logs and the audit log never do.
    """
    if full or not confidential:
        return url
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://[{host}]" if ":" in host else f"{parts.scheme}://{host}"
