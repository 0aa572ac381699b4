"""Where a redirect leads: the reference of a ``Location`` field, resolved byte for byte as RFC 3986 (section 5.2) says.

`urllib.parse.urljoin` is not used: it drops an empty query and an empty parameter, which signatures cover.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote_from_bytes

from glare.egress.url import SENT_AS_IS, UnusableUrl, Url, UrlRules, compose

_REFERENCE: Final = re.compile(
    rb"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?"
    rb"(?://(?P<authority>[^/?#]*))?"
    rb"(?P<path>[^?#]*)"
    rb"(?:\?(?P<query>[^#]*))?"
    rb"(?:#.*)?\Z",
    re.DOTALL,
)


def resolve(base: Url, location: str, rules: UrlRules, most: int) -> Url:
    """The URL that `location`, as it came in an answer to `base` (its bytes as Latin-1), refers to; its fragment is
    dropped.

    Bytes that a URL cannot hold, spaces and non-ASCII ones among them, are percent-encoded as they were sent; all else
    of path and query stays as it is. `most` is the number of characters that the result may have. Raises `UnusableUrl`.
    """
    found = _REFERENCE.match(location.encode("latin-1"))
    if found is None or not location:
        raise UnusableUrl("it is empty")
    scheme, authority, path, query = found.group("scheme", "authority", "path", "query")
    if authority is not None:
        scheme_of, target = (scheme.decode().lower() if scheme else base.scheme), _without_dots(_encoded(path))
        url = compose(scheme_of, _text(authority), _with_query(target, query), rules)
    elif scheme is not None:
        raise UnusableUrl("it names a scheme and no host")
    else:
        url = Url(base.scheme, base.host, base.port, _relative(base.target, path, query))
    if len(url.text) > most:
        raise UnusableUrl(f"it has {len(url.text)} characters, and at most {most} are allowed")
    return url


def _relative(base: str, path: bytes, query: bytes | None) -> str:
    """Path and query of a reference without an authority, on the path and query of its base."""
    base_path, mark, base_query = base.partition("?")
    if not path:
        return _with_query(base_path, query) if query is not None else f"{base_path}{mark}{base_query}"
    encoded = _encoded(path)
    if not encoded.startswith("/"):
        encoded = f"{base_path.rpartition('/')[0]}/{encoded}"
    return _with_query(_without_dots(encoded), query)


def _with_query(path: str, query: bytes | None) -> str:
    return (path or "/") if query is None else f"{path or '/'}?{_encoded(query)}"


def _without_dots(path: str) -> str:
    """RFC 3986, 5.2.4, for a path that is empty or begins with a slash."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for at, segment in enumerate(segments):
        last = at == len(segments) - 1
        if segment == "..":
            del kept[-1:]
        if segment not in (".", ".."):
            kept.append(segment)
        elif last:
            kept.append("")
    return "/" + "/".join(kept) if segments else path


def _encoded(part: bytes) -> str:
    return quote_from_bytes(part, safe=SENT_AS_IS)


def _text(authority: bytes) -> str:
    """The authority, whose host may be an international name in UTF-8."""
    try:
        return authority.decode("utf-8")
    except UnicodeDecodeError:
        raise UnusableUrl("its host is not a valid international name") from None
