"""The central directory of a zip archive, read strictly.

There are many ways to make an archive that two programs understand differently. So an archive has to be one without
gaps: the members follow one another from its first byte to its central directory, and that is followed by the end
record, which ends it. What comes before or behind it, overlaps, hides or contradicts is refused.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from glare.archives.names import read_name, require_distinct, require_safe
from glare.domain.declared.hooks import Reader, StoredData, UnpackLimits
from glare.domain.wording import quoted
from glare.errors import BadRequest, RequestEntityTooLarge

STORED: Final = 0
DEFLATED: Final = 8
HAS_DESCRIPTOR: Final = 0x0008

LOCAL_HEADER: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")

_FULL_16: Final = 0xFFFF
FULL_32: Final = 0xFFFFFFFF
_ENCRYPTED: Final = 0x0001 | 0x0040 | 0x2000
_KNOWN_FLAGS: Final = 0x0002 | 0x0004 | HAS_DESCRIPTOR | 0x0800
_ZIP64: Final = 0x0001
_UNICODE_PATH: Final = 0x7075
_ANY_RATIO: Final = 1 << 20
"""Up to so many bytes a member may be packed as well as it can be."""

_METHODS: Final = {
    1: "shrink",
    6: "implode",
    9: "deflate64",
    12: "bzip2",
    14: "lzma",
    93: "zstandard",
    95: "xz",
    98: "ppmd",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as the central directory describes it. `start` to `end` are the bytes of the archive that are its own.

    `packed` and `size` are bytes before and after unpacking. The name of a directory ends with a slash.
    """

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int
    end: int

    @property
    def is_directory(self) -> bool:
        return self.name.endswith("/")


@dataclass(frozen=True, slots=True)
class _End:
    """What the end record says: how many entries, and which bytes the central directory has."""

    count: int
    start: int
    size: int


def read_directory(archive: StoredData, limits: UnpackLimits) -> list[Entry]:
    """The archive's entries in the order of their bytes, directories included.

    Raises `BadRequest` for what is no zip archive, damaged, or not safe to unpack, `RequestEntityTooLarge` beyond a
    limit in bytes.
    """
    end = _find_end(archive)
    if end.count > limits.members:
        raise BadRequest(
            f"The archive has {end.count} members, and may have {limits.members}; pack fewer files, or split the "
            "archive."
        )
    with closing(archive.open(end.start, end.size)) as stream:
        described = sorted(_described(stream, end), key=lambda item: item[0])
    entries = list(_placed(described, end.start))
    require_distinct([entry.name for entry in entries])
    total = sum(entry.size for entry in entries)
    if total > limits.size:
        raise RequestEntityTooLarge(
            f"The archive unpacks to {total} bytes, and may unpack to {limits.size}; split it, or pack less."
        )
    for entry in entries:
        if entry.size > max(_ANY_RATIO, entry.packed * limits.ratio):
            raise RequestEntityTooLarge(
                f"The archive's member {quoted(entry.name)} unpacks to more than {limits.ratio} times its packed size; "
                "store it without compression, or upload it by itself."
            )
    return entries


def exactly(stream: Reader, size: int) -> bytes:
    """`size` bytes. Raises `BadRequest` where the stream ends before."""
    parts = []
    while size:
        data = stream.read(size)
        if not data:
            raise damaged("it ends too early")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def extras(raw: bytes) -> dict[int, bytes]:
    """Extra fields by their number. Up to three bytes behind the last one are padding."""
    found: dict[int, bytes] = {}
    while len(raw) >= 4:
        number, size = struct.unpack_from("<2H", raw)
        if len(raw) < 4 + size:
            raise damaged("an extra field is longer than its place")
        if found.setdefault(number, raw[4 : 4 + size]) != raw[4 : 4 + size]:
            raise damaged("an extra field is there twice")
        raw = raw[4 + size :]
    return found


def widened(values: tuple[int, ...], extra: dict[int, bytes]) -> tuple[int, ...]:
    """The values of a header's 32-bit fields, where those that are full stand in the 64-bit extra field, in this
    order.
    """
    wide = [value == FULL_32 for value in values]
    if not any(wide) or _ZIP64 not in extra:
        return values
    if len(extra[_ZIP64]) < 8 * sum(wide):
        raise damaged("a 64-bit size is missing")
    long = iter(struct.unpack_from(f"<{sum(wide)}Q", extra[_ZIP64]))
    return tuple(next(long) if is_wide else value for value, is_wide in zip(values, wide, strict=True))


def require_one_name(raw: bytes, extra: dict[int, bytes], name: str) -> None:
    """Raises `BadRequest` where the extra field for Unicode names tells another name."""
    if extra.get(_UNICODE_PATH, b"\1    " + raw)[5:] != raw:
        raise BadRequest(
            f"The archive's member {quoted(name)} has two names; pack the archive again with names in UTF-8."
        )


def damaged(reason: str) -> BadRequest:
    """The error for an archive that is not as it must be."""
    return BadRequest(f"The data is no zip archive, or a damaged one: {reason}. Pack it again.")


def _find_end(archive: StoredData) -> _End:
    length = min(archive.size, _LOCATOR.size + _END.size + _FULL_16)
    with closing(archive.open(archive.size - length, length)) as stream:
        tail = exactly(stream, length)
    found = [at for at in _occurrences(tail, b"PK\5\6") if _ends(tail, at)]
    if len(found) != 1:
        raise damaged("it does not end with one end record" if not found else "it has several end records")
    at = found[0]
    _, disk, start_disk, here, count, size, start, _ = _END.unpack_from(tail, at)
    position = archive.size - length + at
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size : at].startswith(b"PK\6\7"):
        locator = tail[at - _LOCATOR.size : at]
        return _read_end64(archive, locator, position - _LOCATOR.size, (disk, start_disk, here, count, size, start))
    return _checked((disk, start_disk, here, count, size, start), position)


def _occurrences(text: bytes, part: bytes) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _ends(tail: bytes, at: int) -> bool:
    """Whether what begins at `at` is an end record, of which the comment ends with the archive."""
    return at + _END.size <= len(tail) and at + _END.size + int(_END.unpack_from(tail, at)[-1]) == len(tail)


def _read_end64(archive: StoredData, locator: bytes, position: int, short: tuple[int, ...]) -> _End:
    """The 64-bit end record, which lies right before its locator at `position` and may not contradict the short one."""
    _, disk, offset, disks = _LOCATOR.unpack(locator)
    if disk or disks > 1 or offset + _END64.size > position:
        raise damaged("its 64-bit end record is not where it must be")
    with closing(archive.open(offset, _END64.size)) as stream:
        signature, size, _, _, *values = _END64.unpack(exactly(stream, _END64.size))
    if signature != b"PK\6\6" or offset + 12 + size != position:
        raise damaged("its 64-bit end record is not where it must be")
    full = (_FULL_16,) * 4 + (FULL_32,) * 2
    if any(one not in (limit, other) for one, limit, other in zip(short, full, values, strict=True)):
        raise damaged("its two end records contradict each other")
    return _checked(tuple(values), offset)


def _checked(values: tuple[int, ...], position: int) -> _End:
    disk, start_disk, here, count, size, start = values
    if disk or start_disk or here != count:
        raise BadRequest("The archive is a part of several; join them, or pack it again as one.")
    if start + size != position:
        raise damaged("there are bytes before its first member, or around its central directory")
    if size < count * _CENTRAL.size:
        raise damaged("its central directory is too small for its members")
    return _End(count, start, size)


def _described(stream: Reader, end: _End) -> Iterator[tuple[int, Entry]]:
    """Each entry of the central directory with the size of its raw name; `end` of an entry is not known yet."""
    left = end.size
    for _ in range(end.count):
        header = _CENTRAL.unpack(exactly(stream, _CENTRAL.size))
        (
            signature,
            _,
            _,
            flags,
            method,
            _,
            _,
            crc,
            packed,
            size,
            name_size,
            extra_size,
            note_size,
            disk,
            _,
            mode,
            start,
        ) = header
        if signature != b"PK\1\2":
            raise damaged("its central directory has something else than members")
        left -= _CENTRAL.size + name_size + extra_size + note_size
        if left < 0:
            raise damaged("its central directory is too small for its members")
        raw = exactly(stream, name_size)
        extra = extras(exactly(stream, extra_size))
        exactly(stream, note_size)
        size, packed, start = widened((size, packed, start), extra)
        name = read_name(raw)
        require_safe(name)
        require_one_name(raw, extra, name)
        _require_plain(name, flags, method, mode >> 16, disk)
        entry = Entry(name, flags, method, crc, packed, size, start, start + LOCAL_HEADER.size + name_size + packed)
        if (entry.is_directory and size) or (method == STORED and size != packed):
            raise damaged(f"the sizes of member {quoted(name)} contradict each other")
        yield start, entry
    if left:
        raise damaged("its central directory is larger than its members need")


def _require_plain(name: str, flags: int, method: int, mode: int, disk: int) -> None:
    kind = stat.S_IFMT(mode)
    if flags & _ENCRYPTED:
        problem = "is encrypted; pack it without a password"
    elif kind == stat.S_IFLNK:
        problem = "is a symbolic link; pack what it points to"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "is a device, pipe or socket; leave it out"
    elif kind == stat.S_IFDIR and not name.endswith("/"):
        problem = "is a file and a directory at once; pack it again"
    elif method not in (STORED, DEFLATED):
        known = _METHODS.get(method, f"method {method}")
        problem = f"is compressed with {known}, and only 'deflate' and 'store' are understood; pack it with one of them"
    elif flags & ~_KNOWN_FLAGS or disk not in (0, _FULL_16):
        problem = "uses a feature of archives that is not understood; pack it again in a plainer way"
    else:
        return
    raise BadRequest(f"The archive's member {quoted(name)} {problem}.")


def _placed(described: list[tuple[int, Entry]], directory: int) -> Iterator[Entry]:
    """Give each entry the bytes up to the next one, so that all bytes belong to one and none to two."""
    starts = [start for start, _ in described] + [directory]
    if starts[0] != 0:
        raise damaged("there are bytes before its first member")
    for (start, entry), following in zip(described, starts[1:], strict=True):
        if entry.end > following:
            raise damaged(f"member {quoted(entry.name)} overlaps another one")
        yield Entry(entry.name, entry.flags, entry.method, entry.crc, entry.packed, entry.size, start, following)
