"""What servers that are not ours say in header fields, read in one place: every function takes any text, and none
raises.

A header's value comes as text of Latin-1 characters, as many and as odd as its sender likes. What is none of what RFC
9110 has in its place is read as None, or as what stands for "nothing was said".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from typing import Final

from glare.domain.moment import SECOND

OCTETS: Final = "application/octet-stream"

LONGEST_WAIT: Final = 10**9
"""Seconds that ``Retry-After`` can ask for; more is read as so many."""

_MAX_DATE: Final = 64
_MAX_SECONDS_DIGITS: Final = 12
_ZONE: Final = 24 * 3600
_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\Z")
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,250}"\Z')
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*\Z")
_NUMBER: Final = re.compile(r"[0-9]{1,19}\Z")
_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/(?:([0-9]{1,19})|\*)\Z", re.IGNORECASE)
_UNSATISFIED: Final = re.compile(r"bytes \*/([0-9]{1,19})\Z", re.IGNORECASE)


def date(text: str | None) -> int | None:
    """An HTTP date (RFC 9110, 5.6.7; other usual spellings too) in microseconds since the epoch."""
    if text is None or len(text) > _MAX_DATE or not _PRINTABLE.match(text):
        return None
    try:
        parts = parsedate_tz(text)
        if parts is None:
            return None
        year, month, day, hour, minute, second = parts[:6]
        # A leap second is the last moment of its minute. A date without a zone is meant as one in UTC, as all of HTTP
        # are.
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        zone = parts[9] or 0
        if not -_ZONE < zone < _ZONE:
            return None
        return int((moment - timedelta(seconds=zone)).timestamp()) * SECOND
    except Exception:  # noqa: BLE001 - the library promises nothing about nonsense, and no sender chooses our errors
        return None


def retry_after(text: str | None, now: int) -> int | None:
    """The seconds that ``Retry-After`` (RFC 9110, 10.2.3) asks for from `now` (microseconds): of a number, or until a
    date.
    """
    said = (text or "").strip()
    if said.isascii() and said.isdigit():
        return min(int(said[:_MAX_SECONDS_DIGITS]), LONGEST_WAIT)
    until = date(said)
    return None if until is None else min(max(0, -((now - until) // SECOND)), LONGEST_WAIT)


def last_modified(text: str | None) -> str | None:
    """``Last-Modified`` as it was sent, where it is a date; then it may be sent back in a request."""
    return text if date(text) is not None else None


def entity_tag(text: str | None) -> str | None:
    """The entity tag (RFC 9110, 8.8.3), weak or strong, as it was sent; then it may be sent back in a request.

    One of bytes beyond ASCII is none here: what they mean nobody has agreed on, and a check by blocks needs no tag.
    """
    return text if text is not None and _ETAG.match(text) else None


def content_type(text: str | None) -> str:
    """The media type without parameters, in lower case, where it is one (RFC 6838, with its lengths), else `OCTETS`."""
    value = (text or "").partition(";")[0].strip()
    return value.lower() if _TYPE.match(value) else OCTETS


def length(text: str | None) -> int | None:
    """A number of bytes."""
    return int(text) if text is not None and _NUMBER.match(text) else None


def content_range(text: str | None) -> tuple[int, int] | None:
    """First and last byte, inclusive, that a ``Content-Range`` of a 206 tells."""
    found = _RANGE.match(text or "")
    return None if found is None else (int(found[1]), int(found[2]))


def whole_length(text: str | None) -> int | None:
    """The length of the whole that a ``Content-Range`` tells, of a 206 or of a 416."""
    found = _RANGE.match(text or "")
    if found is not None:
        return None if found[3] is None else int(found[3])
    unsatisfied = _UNSATISFIED.match(text or "")
    return None if unsatisfied is None else int(unsatisfied[1])
