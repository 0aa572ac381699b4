"""What is in a sound archive is read, and whatever is crooked in an archive is refused with a name and a remedy."""

from __future__ import annotations

import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glare.archives.names import require_distinct
from glare.archives.unpack import zip_members
from glare.domain.declared.hooks import UnpackLimits
from glare.errors import BadRequest, RequestEntityTooLarge
from support.zips import CENTRAL, END, LOCAL, info, packed, patched, piped, renamed, wide

FILES = {"a.txt": b"first " * 50, "dir/b.bin": bytes(range(256)) * 300, "dir/empty": b""}


class Watched(BytesIO):
    """A stream that counts itself as open until it is closed."""

    def __init__(self, data: bytes, open_now: list[Watched]) -> None:
        super().__init__(data)
        self._open_now = open_now
        open_now.append(self)

    def close(self) -> None:
        if self in self._open_now:
            self._open_now.remove(self)
        super().close()


@dataclass
class Bytes:
    """Stored data in memory. `asked` are the bytes that were asked for, `open_now` the streams that nobody has
    closed.
    """

    data: bytes

    def __post_init__(self) -> None:
        self.asked = 0
        self.open_now: list[Watched] = []

    @property
    def size(self) -> int:
        return len(self.data)

    def open(self, offset: int, length: int) -> BytesIO:
        assert offset >= 0
        assert length >= 0
        self.asked += length
        return Watched(self.data[offset : offset + length], self.open_now)


def unpacked(archive: bytes, limits: UnpackLimits | None = None, piece: int = 1000) -> dict[str, bytes]:
    """What is in an archive, read in pieces."""
    stored, found = Bytes(archive), {}
    for member in zip_members(stored, into="f", content_type="text/plain", limits=limits or UnpackLimits()):
        pieces = list(iter(lambda: member.stream.read(piece), b""))  # noqa: B023 - it is used up within the round
        assert all(0 < len(data) <= piece for data in pieces)
        assert member.stream.read(piece) == b""
        assert (member.field, member.content_type) == ("f", "text/plain")
        found[member.key] = b"".join(pieces)
        assert member.size == len(found[member.key])
    assert stored.open_now == []
    return found


MAKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "deflated": packed,
    "stored": lambda files: packed(files, method=zipfile.ZIP_STORED),
    "written into a pipe": piped,
    "with 64-bit sizes": wide,
    "with a comment": lambda files: packed(files, comment=b"packed by hand " * 100),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_sound_archive_is_read(make: Callable[[dict[str, bytes]], bytes], piece: int) -> None:
    """Members come with their paths and bytes, however the archive was written and in whatever pieces it is read."""
    assert unpacked(make(FILES), piece=piece) == FILES


NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\:"), min_size=1, max_size=8).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1,
    max_size=3,
).map("/".join)
CONTENT = st.binary(max_size=300) | st.builds(bytes.__mul__, st.binary(min_size=1, max_size=3), st.integers(0, 5000))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, CONTENT, max_size=6), st.sampled_from(list(MAKERS.values())), st.integers(1, 5000))
def test_random_archives_come_back_equal(
    files: dict[str, bytes], make: Callable[[dict[str, bytes]], bytes], piece: int
) -> None:
    """Whatever Python's own module packs under distinct names is read back equal, and otherwise nothing is."""
    try:
        require_distinct(list(files))
    except BadRequest:
        with pytest.raises(BadRequest):
            unpacked(make(files))
    else:
        assert unpacked(make(files), piece=piece) == files


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_refused_or_equal(data: st.DataObject) -> None:
    """One changed byte anywhere is refused, or changes nothing that is read: never other bytes, never a defect."""
    archive = data.draw(st.sampled_from([make(FILES) for make in MAKERS.values()]))
    at, value = data.draw(st.integers(0, len(archive) - 1)), data.draw(st.integers(0, 255))
    changed = archive[:at] + bytes([value]) + archive[at + 1 :]
    try:
        found = unpacked(changed)
    except (BadRequest, RequestEntityTooLarge):
        return
    assert sorted(found.values()) == sorted(FILES.values())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_anything_that_is_no_archive_is_refused(noise: bytes, cut: int) -> None:
    """Random bytes, and archives that are cut off, are 400."""
    with pytest.raises(BadRequest):
        unpacked(noise + packed({"a": b"a"})[:100])
    with pytest.raises(BadRequest):
        unpacked(packed(FILES)[:cut])


def test_an_empty_archive_has_no_members() -> None:
    """An archive without members is sound."""
    assert unpacked(packed({})) == {}


def test_directories_are_passed_over() -> None:
    """An entry for a directory is no member."""
    assert unpacked(packed({"d/": b"", "d/e/": b"", "d/e/f": b"1"})) == {"d/e/f": b"1"}


def test_names_in_utf8_need_no_flag() -> None:
    """Names that are UTF-8 are read as such, also where the archive does not say that they are (macOS packs so)."""
    archive = packed({"\u00e9\u4e2d": b"1"})
    plain = archive.replace(b"\x14\0\0\x08", b"\x14\0\0\0")
    assert plain != archive
    assert unpacked(plain) == unpacked(archive) == {"\u00e9\u4e2d": b"1"}


BAD_NAMES = {
    "dots": b"../x",
    "dots inside": b"a/../../x",
    "dots at the end": b"a/..",
    "absolute": b"/etc/passwd",
    "a drive": b"C:x",
    "a drive and a root": b"c:/x",
    "a backslash": b"..\\x",
    "two slashes": b"a//b",
    "a dot": b"./a",
    "NUL": b"a.txt\0.exe",
    "a line feed": b"a\nb",
    "a C1 control": "a\u0085b".encode(),
    "a root alone": b"/",
    "no UTF-8": b"caf\xe9",
    "an overlong dot": b"\xc0\xae\xc0\xae/x",
    "half a pair": b"\xed\xa0\x80",
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_a_name_that_is_not_safe_is_refused(name: bytes) -> None:
    """A name that may lead out of the folder, or is read in two ways, is refused by name and with a remedy."""
    archive = renamed(b"_" * len(name), name)(packed({"good": b"1", "_" * len(name): b"2"}))
    with pytest.raises(BadRequest, match=r"member '.*' has .*; rename it"):
        unpacked(archive)


def test_an_empty_name_is_refused() -> None:
    """A member without a name is refused."""
    archive = packed({"": b""})
    with pytest.raises(BadRequest, match="empty name"):
        unpacked(archive)


def doubled(one: str, other: str) -> bytes:
    """An archive of two members, whose names may be equal."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr(info(one), b"")
        archive.writestr(info(other), b"2")
    return made.getvalue()


@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "a"), ("e\u0301", "e\u0301"), ("\uac00", "\u1100\u1161"), ("a", "a/b"), ("a/", "a"), ("d/a", "d/a/b/c")],
    ids=["twice", "twice composed", "two encodings", "file below file", "directory and file", "deep below file"],
)
def test_names_must_be_distinct(one: str, other: str) -> None:
    """Two members of one name are refused, also when normalisation makes them one, or one is a directory of the
    other.
    """
    with pytest.raises(BadRequest, match=r"twice|at once"):
        unpacked(doubled(one, other))


def test_letter_case_tells_members_apart() -> None:
    """Names that differ in upper and lower case are two members, as they are two keys of a folder."""
    assert unpacked(packed({"README": b"1", "readme": b"2"})) == {"README": b"1", "readme": b"2"}


KINDS = {
    "symbolic link": stat.S_IFLNK,
    "device": stat.S_IFBLK,
    "pipe": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
    "directory": stat.S_IFDIR,
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_what_is_no_file_is_refused(kind: int) -> None:
    """Links, devices, pipes and sockets are refused by name, and directories that are named like files."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(info("special", mode=kind | 0o644), b"/etc/passwd")
    with pytest.raises(BadRequest, match=r"member 'special' is a .*; (leave|pack)"):
        unpacked(made.getvalue())


METHODS = {
    "bzip2": (packed(FILES, method=zipfile.ZIP_BZIP2), "bzip2"),
    "lzma": (packed(FILES, method=zipfile.ZIP_LZMA), "lzma"),
    "unknown": (patched(CENTRAL, 10, b"\x77\0")(packed(FILES)), "method 119"),
}


@pytest.mark.parametrize(("archive", "name"), METHODS.values(), ids=METHODS.keys())
def test_other_compression_is_refused(archive: bytes, name: str) -> None:
    """A method other than store and deflate is refused by its name."""
    with pytest.raises(BadRequest, match=rf"member 'a\.txt' is compressed with {name}.*pack it with one of them"):
        unpacked(archive)


CROOKED: dict[str, tuple[bytes, str]] = {
    "encrypted": (patched(CENTRAL, 8, b"\1\0")(packed(FILES)), "without a password"),
    "strongly encrypted": (patched(CENTRAL, 8, b"\x40\0")(packed(FILES)), "without a password"),
    "a patch": (patched(CENTRAL, 8, b"\x20\0")(packed(FILES)), "plainer way"),
    "on another disk": (patched(CENTRAL, 34, b"\1\0")(packed(FILES)), "plainer way"),
    "one of several": (patched(END, 4, b"\1\0")(packed(FILES)), "join them"),
    "bytes before": (b"#!/bin/sh\n" + packed(FILES), "bytes before"),
    "bytes behind": (packed(FILES) + b"more", "end record"),
    "more in the comment": (packed(FILES, comment=packed({})), "several end records"),
    "no directory": (patched(CENTRAL, 0, b"PK\1\1")(packed(FILES)), "something else than members"),
    "more entries than there are": (patched(END, 8, b"\4\0\4\0")(packed(FILES)), "damaged"),
    "fewer entries than there are": (patched(END, 8, b"\2\0\2\0")(packed(FILES)), "larger than its members need"),
    "entries on other disks": (patched(END, 8, b"\2\0")(packed(FILES)), "join them"),
    "the directory elsewhere": (patched(END, 16, struct.pack("<L", 5))(packed(FILES)), "bytes before"),
    "another local name": (patched(LOCAL, 30, b"b")(packed(FILES)), "described differently"),
    "another local method": (patched(LOCAL, 8, b"\0\0")(packed(FILES)), "described differently"),
    "another local size": (patched(LOCAL, 22, b"\1")(packed(FILES)), "described differently"),
    "another local packed size": (patched(LOCAL, 18, b"\1")(packed(FILES)), "described differently"),
    "another local checksum": (patched(LOCAL, 14, b"\1\1\1\1")(packed(FILES)), "described differently"),
    "no local checksum": (patched(LOCAL, 14, bytes(4))(packed(FILES)), "described differently"),
    "encrypted in the local header": (patched(LOCAL, 6, b"\1")(packed(FILES)), "described differently"),
    "no local header": (patched(LOCAL, 0, b"PK\3\3")(packed(FILES)), "not where the central directory says"),
    "a longer local name": (patched(LOCAL, 26, b"\6")(packed(FILES)), "overlaps"),
    "another descriptor": (patched(b"PK\7\x08", 8, b"\1")(piped(FILES)), "described differently behind"),
    "hidden in a directory": (patched(CENTRAL, 24, b"\1", nth=0)(packed({"d/": b"", "f": b""})), "contradict"),
    "two headers at one place": (
        patched(CENTRAL, 42, struct.pack("<L", 0), nth=1)(packed(FILES)),
        "overlaps",
    ),
    "a first member elsewhere": (patched(CENTRAL, 42, b"\1")(packed({"a": b"1"})), "bytes before its first member"),
}


@pytest.mark.parametrize(("archive", "reason"), CROOKED.values(), ids=CROOKED.keys())
def test_what_is_crooked_is_refused(archive: bytes, reason: str) -> None:
    """Whatever two programs could understand differently is refused, with its reason."""
    with pytest.raises(BadRequest, match=reason):
        unpacked(archive)


def raw_archive(data: bytes, *, packed_as: bytes, size: int, crc: int | None = None) -> bytes:
    """An archive of one deflated member ``x``, whose announced size and checksum are given."""
    crc = zlib.crc32(data) if crc is None else crc
    shared = (20, 0, 8, 0, 0, crc, len(packed_as), size, 1, 0)
    local = struct.pack("<4s5H3L2H", LOCAL, *shared) + b"x" + packed_as
    central = struct.pack("<4s6H3L5H2L", CENTRAL, 20, *shared, 0, 0, 0, 0, 0) + b"x"
    return local + central + struct.pack("<4s4H2LH", END, 0, 0, 1, 1, len(central), len(local), 0)


def deflated(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


def test_the_crafted_archive_is_sound() -> None:
    """The archive that the next tests make wrong is right as it is."""
    assert unpacked(raw_archive(b"data", packed_as=deflated(b"data"), size=4)) == {"x": b"data"}


LIES = {
    "a bomb that says it is small": (raw_archive(b"0", packed_as=deflated(bytes(10**7)), size=100), "more bytes"),
    "fewer bytes": (raw_archive(b"data", packed_as=deflated(b"data"), size=5), "fewer bytes"),
    "another checksum": (raw_archive(b"data", packed_as=deflated(b"data"), size=4, crc=1), "another checksum"),
    "data behind the end": (raw_archive(b"data", packed_as=deflated(b"data") + b"!", size=4), "behind its end"),
    "cut off": (raw_archive(b"data", packed_as=deflated(b"data")[:-2], size=4), "too early"),
    "no deflate": (raw_archive(b"data", packed_as=b"\xff\xff\xff", size=4), "is damaged"),
}


@pytest.mark.parametrize(("archive", "reason"), LIES.values(), ids=LIES.keys())
def test_sizes_and_checksums_are_not_believed(archive: bytes, reason: str) -> None:
    """A member that is not what it says is refused by name, and never more than it says is unpacked."""
    with pytest.raises(BadRequest, match=f"member 'x' .*{reason}"):
        unpacked(archive)


def test_overlapping_members_are_refused() -> None:
    """Members that share their packed bytes, of which a small archive becomes a large one, are refused before any is
    read.
    """
    kernel = deflated(bytes(1000))
    archive = raw_archive(bytes(1000), packed_as=kernel, size=1000)
    central = archive[archive.index(CENTRAL) : archive.index(END)]
    start = archive.index(CENTRAL)
    twice = central + central[:-1] + b"y"
    end = struct.pack("<4s4H2LH", END, 0, 0, 2, 2, len(twice), start, 0)
    with pytest.raises(BadRequest, match="overlaps"):
        unpacked(archive[:start] + twice + end)


def test_limits_hold_at_the_exact_number() -> None:
    """As many members and bytes as the limits allow are unpacked; one more is refused before anything is read."""
    files = {"a": b"12", "b": b"345"}
    assert unpacked(packed(files), UnpackLimits(members=2, size=5)) == files
    with pytest.raises(BadRequest, match="has 2 members, and may have 1"):
        unpacked(packed(files), UnpackLimits(members=1))
    with pytest.raises(RequestEntityTooLarge, match="unpacks to 5 bytes, and may unpack to 4"):
        unpacked(packed(files), UnpackLimits(size=4))


def test_the_ratio_is_limited() -> None:
    """A member that unpacks to far more than its packed size is refused by name; up to 1 MiB it may."""
    small, large = packed({"zeros": bytes(1 << 20)}), packed({"zeros": bytes((1 << 20) + 1)})
    assert unpacked(small, piece=1 << 20) == {"zeros": bytes(1 << 20)}
    with pytest.raises(RequestEntityTooLarge, match="'zeros' unpacks to more than 200 times"):
        unpacked(large)


def test_a_refused_archive_costs_little() -> None:
    """An archive beyond a limit is refused by its end record and directory; no member of it is looked at."""
    archive = Bytes(packed({f"{number}": bytes(10_000) for number in range(50)}, method=zipfile.ZIP_STORED))
    with pytest.raises(BadRequest, match="may have 49"):
        list(zip_members(archive, into="f", content_type="x", limits=UnpackLimits(members=49)))
    assert archive.asked < 70_000
    assert archive.open_now == []


def zip64(archive: bytes, *, count: int = 0xFFFF, here: int | None = None, gap: bytes = b"") -> bytes:
    """The archive with a 64-bit end record, and a short one that says nothing."""
    at = archive.index(END)
    _, _, _, entries, _, size, start, _ = struct.unpack("<4s4H2LH", archive[at:])
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries if here is None else here, entries, size, start
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    end = struct.pack("<4s4H2LH", END, 0, 0, count, count, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return archive[:at] + record + gap + locator + end


def test_64_bit_end_records_are_read() -> None:
    """An archive with a 64-bit end record is read, and refused where its two records contradict each other."""
    assert unpacked(zip64(packed(FILES))) == FILES
    for wrong in (zip64(packed(FILES), count=9), zip64(packed(FILES), here=2), zip64(packed(FILES), gap=b"hidden")):
        with pytest.raises(BadRequest, match=r"contradict|several|where it must be"):
            unpacked(wrong)


def test_two_names_of_one_member_are_refused() -> None:
    """A Unicode name in an extra field that is not the name itself is refused."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        described = info("plain")
        described.extra = struct.pack("<2HBL", 0x7075, 5 + 5, 1, 0) + b"other"
        archive.writestr(described, b"1")
    with pytest.raises(BadRequest, match="'plain' has two names"):
        unpacked(made.getvalue())


def test_a_second_local_name_is_refused() -> None:
    """The same, where only the local header has it."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        described = info("plain")
        described.extra = struct.pack("<2HBL", 0x7075, 5 + 5, 1, 0) + b"other"
        archive.writestr(described, b"1")
        described.extra = b""
    with pytest.raises(BadRequest, match="'plain' has two names"):
        unpacked(made.getvalue())
