"""How objects lie in a bucket: the names of keys, the record of a large object, the sizes of its parts.

::

    <prefix>glare-store                             the marker: the store's identity, written once
    <prefix>objects/<object>                        a small object's bytes, or the record of a large one
    <prefix>data/<object>/<writer>/<segment>        bytes of a large object, up to `Plan.segment` of them
    <prefix>unfinished/<object>.<writer>            says that somebody writes there, or has died doing so

Each writer has keys of its own, and nothing that it writes can be seen until the key in `objects/` is made, which is
made once and never replaced.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

MIB: Final = 1 << 20

MARKER: Final = "glare-store"
OBJECTS: Final = "objects"
DATA: Final = "data"
UNFINISHED: Final = "unfinished"

RECORD_TYPE: Final = "application/vnd.glare.record+json"
"""The content type that tells a record from bytes: nobody who uploads can choose it."""

BYTES_TYPE: Final = "application/octet-stream"

RECORD_SIZE: Final = 511
"""Bytes of every record, so that a list of keys tells which may be one: no other size is."""

MOST_PARTS: Final = 10_000
"""Parts of one multipart upload, by S3, Google Cloud Storage's XML API and most others."""

LEAST_PART: Final = 5 * MIB
"""S3 takes no smaller part but the last."""

MOST_PART: Final = 8 * MIB
"""Three of them are in memory at the same time."""

SMALL: Final = MOST_PART
"""Objects up to this size are written by one request."""

_PARTED: Final = re.compile(r"([0-9a-f][0-9a-f-]*)\.([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Plan:
    """How a large object is cut: into parts of `part` bytes, and segments of `segment` bytes, each of which is a key of
    its own.
    """

    part: int
    segment: int

    @classmethod
    def of(cls, expected: int | None, most_parts: int = MOST_PARTS) -> Plan:
        """For an object of `expected` bytes, None where nobody knows: then parts are as large as they may be.

        >>> Plan.of(1 << 30).part >> 20, Plan.of(60 << 30).part >> 20, Plan.of(5 << 40).part >> 20
        (5, 7, 8)
        >>> -(-(5 << 40) // Plan.of(5 << 40).segment)
        66
        """
        wanted = MOST_PART if expected is None else -(-expected // most_parts)
        part = min(max(LEAST_PART, -(-wanted // MIB) * MIB), MOST_PART)
        return cls(part, part * most_parts)


class NoRecord(ValueError):
    """Bytes that say that they are a record, and are none."""


@dataclass(frozen=True, slots=True)
class Record:
    """Where the bytes of a large object are: `size` bytes in segments of `segment` bytes, written by `writer`."""

    size: int
    segment: int
    writer: str

    @property
    def segments(self) -> int:
        return -(-self.size // self.segment)

    def size_of(self, number: int) -> int:
        """The bytes of a segment, counted from 0."""
        return min(self.segment, self.size - number * self.segment)

    def encode(self) -> bytes:
        """The record as it is stored."""
        document = {"glare": 1, "size": self.size, "segment": self.segment, "writer": self.writer}
        return json.dumps(document).encode().ljust(RECORD_SIZE)

    @classmethod
    def decode(cls, data: bytes) -> Record:
        """Raises `NoRecord`."""
        try:
            found: dict[str, Any] = json.loads(data)
            version, size, segment, writer = (found[name] for name in ("glare", "size", "segment", "writer"))
        except (ValueError, KeyError, TypeError):
            raise NoRecord("it is no record") from None
        numbers = all(type(number) is int and number > 0 for number in (size, segment))
        if version != 1 or not numbers or not isinstance(writer, str) or not re.fullmatch(r"[0-9a-f]{32}", writer):
            raise NoRecord("it is a record of another kind")
        return cls(size, segment, writer)


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of keys below `prefix`, which is empty or ends with a slash."""

    prefix: str

    @property
    def marker(self) -> str:
        return f"{self.prefix}{MARKER}"

    @property
    def objects(self) -> str:
        """The folder of objects, without a slash at its end."""
        return f"{self.prefix}{OBJECTS}"

    @property
    def unfinished(self) -> str:
        return f"{self.prefix}{UNFINISHED}"

    def object(self, name: str) -> str:
        return f"{self.objects}/{name}"

    def data(self, name: str) -> str:
        """The folder of all that was written for a large object, by whomever."""
        return f"{self.prefix}{DATA}/{name}"

    def written(self, name: str, writer: str) -> str:
        """The folder of what one writer has written."""
        return f"{self.data(name)}/{writer}"

    def segment(self, name: str, writer: str, number: int) -> str:
        return f"{self.written(name, writer)}/{number:06d}"

    def note(self, name: str, writer: str) -> str:
        """What says that this writer writes this object."""
        return f"{self.unfinished}/{name}.{writer}"

    def noted(self, key: str) -> tuple[str, str] | None:
        """Object and writer of a note; None for a key that is none."""
        found = _PARTED.fullmatch(key.removeprefix(f"{self.unfinished}/"))
        return None if found is None else (found[1], found[2])
