"""One member of a zip archive as a stream, checked against what the central directory says of it."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from glare.archives.directory import (
    DEFLATED,
    FULL_32,
    HAS_DESCRIPTOR,
    LOCAL_HEADER,
    Entry,
    exactly,
    extras,
    require_one_name,
    widened,
)
from glare.domain.declared.hooks import Range, StoredData
from glare.domain.wording import quoted
from glare.errors import BadRequest

_PIECE: Final = 64 << 10
_DESCRIPTORS: Final = {12: "<3L", 16: "<4x3L", 20: "<LQQ", 24: "<4xLQQ"}
_COMPARED_FLAGS: Final = 0x0801 | HAS_DESCRIPTOR


class MemberStream:
    """The unpacked bytes of one entry. Nothing is read before the first `read`; the last one has checked everything.

    No more than the announced size is ever unpacked. Raises `BadRequest` naming the member when its local header,
    sizes, checksum or data descriptor are not those of the central directory.
    """

    def __init__(self, archive: StoredData, entry: Entry) -> None:
        self._archive = archive
        self._entry = entry
        self._range: Range | None = None
        self._packed_left = entry.packed
        self._left = entry.size
        self._crc = 0
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """At least one and at most `size` bytes, or ``b""`` at the end."""
        if self._ended:
            return b""
        if self._range is None:
            self._range = self._archive.open(self._entry.start, self._entry.end - self._entry.start)
            self._descriptor_size = self._read_header(self._range)
        data = self._inflated(size) if self._entry.method == DEFLATED else self._packed(size)
        if len(data) > self._left:
            raise self._wrong("unpacks to more bytes than it says")
        self._left -= len(data)
        self._crc = zlib.crc32(data, self._crc)
        if not data:
            self._finish(self._range)
        return data

    def close(self) -> None:
        """Stop reading."""
        self._ended = True
        if self._range is not None:
            self._range.close()

    def _packed(self, size: int) -> bytes:
        if not self._packed_left or self._range is None:
            return b""
        data = self._range.read(min(size, self._packed_left))
        if not data:
            raise self._wrong("ends too early")
        self._packed_left -= len(data)
        return data

    def _inflated(self, size: int) -> bytes:
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._packed(_PIECE)
            try:
                data = self._inflate.decompress(packed, min(size, self._left + 1))
            except zlib.error:
                raise self._wrong("is damaged") from None
            if data:
                return data
            if not packed and not self._inflate.eof:
                raise self._wrong("ends too early")
        return b""

    def _finish(self, stream: Range) -> None:
        entry = self._entry
        if self._left:
            raise self._wrong("unpacks to fewer bytes than it says")
        if self._packed_left or self._inflate.unused_data:
            raise self._wrong("has packed data behind its end")
        if self._crc != entry.crc:
            raise self._wrong("has another checksum than it says")
        if self._descriptor_size:
            form = _DESCRIPTORS[self._descriptor_size]
            if struct.unpack(form, exactly(stream, self._descriptor_size)) != (entry.crc, entry.packed, entry.size):
                raise self._wrong("is described differently behind its data and in the central directory")
        self.close()

    def _read_header(self, stream: Range) -> int:
        """Compare the local header with the central directory; returns how many bytes the data descriptor has."""
        entry = self._entry
        (signature, _, flags, method, _, _, crc, packed, size, name_size, extra_size) = LOCAL_HEADER.unpack(
            exactly(stream, LOCAL_HEADER.size)
        )
        if signature != b"PK\3\4":
            raise self._wrong("is not where the central directory says")
        rest = entry.end - entry.start - LOCAL_HEADER.size - name_size - extra_size - entry.packed
        described = bool(entry.flags & HAS_DESCRIPTOR)
        if rest not in (_DESCRIPTORS if described else (0,)):
            raise self._wrong("overlaps another one, or has bytes behind it that belong to none")
        raw = exactly(stream, name_size)
        extra = extras(exactly(stream, extra_size))
        require_one_name(raw, extra, entry.name)
        size, packed = widened((size, packed), extra)
        same = raw == entry.name.encode() and method == entry.method
        same = same and not (flags ^ entry.flags) & _COMPARED_FLAGS
        for here, there in ((crc, entry.crc), (packed, entry.packed), (size, entry.size)):
            same = same and (here == there or (described and here in (0, FULL_32)))
        if not same:
            raise self._wrong("is described differently at its place and in the central directory")
        return int(rest)

    def _wrong(self, problem: str) -> BadRequest:
        return BadRequest(f"The archive's member {quoted(self._entry.name)} {problem}; pack the archive again.")
