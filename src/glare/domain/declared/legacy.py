"""What Glare does only because clients of the original service rely on it, in one place.

Numbers are those of the contract's list of quirks. What they keep strange is kept here, so that the rest can be plain.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from glare.digest import Digests

VERSION_PATTERN: Final = (
    r"/^([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+)?$/"
)
"""Quirk 6: the JSON Schema pattern of versions stands between slashes, which no version has. Schemas are compared
whole."""

BLOB_PROPERTIES: Final[dict[str, Any]] = {
    "size": {"type": ["number", "null"]},
    "md5": {"type": ["string", "null"]},
    "sha1": {"type": ["string", "null"]},
    "sha256": {"type": ["string", "null"]},
    "external": {"type": "boolean"},
    "status": {"type": "string", "enum": ["saving", "active"]},
    "content_type": {"type": "string"},
}
"""Quirk 6: the schema of a blob has no ``url``, though every blob shown has one and no other keys are allowed."""

STATUS_IS_MUTABLE: Final = True
"""Quirk 6: ``status`` is called mutable in the schema although its transitions are a table of their own."""

_TRUE: Final = frozenset({"1", "t", "true", "on", "y", "yes"})


def as_boolean(value: Any) -> bool:
    """Quirk 8: whatever is not one of a few words for true is false, garbage and containers too."""
    return str(value).strip().lower() in _TRUE


def as_text(value: str | float | bool) -> str:
    """Quirk 8: numbers and booleans become text as Python writes them (``1.0``, ``True``)."""
    return str(value)


def on_read(stored: Any, default: Any, *, keeps_null: bool) -> Any:
    """Quirk 9: null resets a field to its type's default on the next read; only ``description`` stays null."""
    return default if stored is None and not keeps_null else stored


def is_set(value: Any) -> bool:
    """Quirk 14: an empty list, dict or folder satisfies activation; only null does not."""
    return value is not None


def without_duplicates(values: Iterable[Any]) -> list[Any]:
    """Quirk 18: duplicate tags vanish silently. (The original lost their order too; here the first of each stays.)"""
    return list(dict.fromkeys(values))


VERSIONS_STATUS: Final = 300
"""Quirk 1: the versions document comes with 300 Multiple Choices; clients have a case for it."""

VERSIONS_LINK: Final = "http://docs.openstack.org/"
"""The one link of the versions document, as it always was."""

EMPTY_CONTENT_TYPE: Final = "text/html; charset=UTF-8"
"""Quirk 3: a 204 names a content type although it has no content; test helpers read the header on every success."""

SET_QUOTAS_BODY: Final = None
"""Quirk 4: setting quotas answers with the JSON document ``null``."""


def checksum_headers(digests: Digests) -> dict[str, str]:
    """Quirk 15: ``Content-MD5`` holds hex where its standard wants base64; clients compare it as hex."""
    return {
        "content-md5": digests.md5,
        "x-openstack-glare-content-sha1": digests.sha1,
        "x-openstack-glare-content-sha256": digests.sha256,
    }
