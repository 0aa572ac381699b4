"""Zip archives to order: sound ones, and ones that are wrong in one place."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO

CENTRAL = b"PK\1\2"
LOCAL = b"PK\3\4"
END = b"PK\5\6"


class Unseekable(BytesIO):
    """A pipe, as far as a writer of archives can tell: it puts sizes behind the data of a member."""

    def seekable(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise OSError("a pipe")

    def tell(self) -> int:
        raise OSError("a pipe")


def packed(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    """An archive of these files; names that end with a slash are directories."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.comment = comment
        for name, data in files.items():
            archive.writestr(info(name, method), data)
    return made.getvalue()


def info(name: str, method: int = zipfile.ZIP_DEFLATED, mode: int = 0o100644) -> zipfile.ZipInfo:
    """The description of a member. `mode` is what ``stat`` says of the file."""
    described = zipfile.ZipInfo(name)
    described.compress_type = method
    described.external_attr = (0o040755 if name.endswith("/") else mode) << 16
    return described


def piped(files: Mapping[str, bytes]) -> bytes:
    """An archive that was written into a pipe, so that it has data descriptors."""
    made = Unseekable()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(info(name), data)
    return made.getvalue()


def wide(files: Mapping[str, bytes]) -> bytes:
    """An archive of which each member has 64-bit sizes in its local header."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            with archive.open(info(name), "w", force_zip64=True) as member:
                member.write(data)
    return made.getvalue()


def renamed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Gives a member another raw name of the same length, in both of its headers."""
    assert len(old) == len(new)
    return lambda archive: archive.replace(old, new)


def patched(signature: bytes, offset: int, value: bytes, *, nth: int = 0) -> Callable[[bytes], bytes]:
    """Writes `value` at an offset in the `nth` record that begins with `signature`."""

    def patch(archive: bytes) -> bytes:
        at = -1
        for _ in range(nth + 1):
            at = archive.index(signature, at + 1)
        return archive[: at + offset] + value + archive[at + offset + len(value) :]

    return patch
