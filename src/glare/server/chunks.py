"""The chunks of a body: each costs time, however little is in it."""

from __future__ import annotations

from typing import Final

from glare.server.answers import Refusal

LEAST_CHUNK: Final = 16
"""Bytes that the chunks of a body have on average, at least,"""

JUDGED: Final = 512
"""counted over so many of them."""


class Chunks:
    """Counts those of one body."""

    __slots__ = ("_bytes", "_count")

    def __init__(self) -> None:
        self._count = 0
        self._bytes = 0

    def part(self, size: int) -> None:
        """So many bytes of a chunk have come."""
        self._bytes += size

    def whole(self) -> None:
        """A chunk is whole. Raises `Refusal` where they are too small."""
        self._count += 1
        if self._count < JUDGED:
            return
        if self._bytes < LEAST_CHUNK * self._count:
            raise Refusal(
                400,
                "chunks",
                f"The chunks of the request body are too small: {JUDGED} of them have {self._bytes} bytes together. "
                f"Send chunks of {LEAST_CHUNK} bytes or more on average; 64 KiB are a good size.",
            )
        self._count = self._bytes = 0
