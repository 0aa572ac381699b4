"""What may be seen of an external location's URL."""

from __future__ import annotations

from urllib.parse import urlsplit


def shown_url(url: str, *, confidential: bool, full: bool) -> str:
    """The URL as it is shown: of a confidential one, unless the reader sees it in `full`, scheme and host only.

    Owners and administrators see it in full. Events, logs and the audit log never do.
    """
    if full or not confidential:
        return url
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://[{host}]" if ":" in host else f"{parts.scheme}://{host}"
