"""What the driver of object stores needs of a bucket or container, whoever speaks to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

WRITER: Final = "glare-writer"
"""The field of a key's metadata that says who made it, in stores that take any name for it."""


class Exists(Exception):
    """A key that was to be made is there already."""


class Missing(Exception):
    """There is no such key, as far as the store says: its bucket may be missing too."""


class Broken(Exception):
    """What came was not what the store had announced, or ended before it was whole."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a key without its bytes. `size` is in bytes."""

    size: int
    content_type: str | None
    writer: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A key in a list: its size in bytes, and when it was made, in seconds since the epoch."""

    key: str
    size: int
    made_at: float


@dataclass(frozen=True, slots=True)
class Coming:
    """The bytes `start` to `end` (excluded) of a key, which come in `pieces` of about 1 MiB; `look` is of the whole."""

    look: Look
    start: int
    end: int
    pieces: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that somebody began and nobody has ended. `begun_at` is in seconds since the epoch."""

    key: str
    id: str
    begun_at: float


class Uploads(Protocol):
    """The multipart uploads of a bucket, for those who look for what others have left. `aborted` says whether an upload
    that its own writer aborts leaves nothing.
    """

    @property
    def aborted(self) -> bool: ...

    def under(self, folder: str) -> Iterator[Upload]:
        """Those of keys in a folder. Raises a `GlareError`."""

    def abort(self, upload: Upload) -> None:
        """Remove its parts; harmless where it has ended. Raises a `GlareError`."""


class NoUploads:
    """For stores that forget unfinished uploads by themselves, or whose parts are keys like others."""

    aborted = True

    def under(self, folder: str) -> Iterator[Upload]:
        return iter(())

    def abort(self, upload: Upload) -> None:
        raise AssertionError("there is none to abort")


class Written(Protocol):
    """One key that is being written in parts. Nothing of it is there before `finish`."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add all of `data`; waits where too much is on its way. Raises a `GlareError`."""

    def finish(self) -> None:
        """Make the key. Raises a `GlareError`, and it may be there all the same where the answer was lost."""

    def abort(self) -> None:
        """Remove its parts. Raises a `GlareError`."""


class RemoteKeys(Protocol):
    """The keys of one bucket or container. Safe for threads; everything raises a `GlareError` where the store fails.

    `store` is the store's name, and `most_parts` how many parts a key may be written in.
    """

    @property
    def store(self) -> str: ...

    @property
    def most_parts(self) -> int: ...

    @property
    def uploads(self) -> Uploads: ...

    def make(self, key: str, data: bytes, content_type: str, writer: str) -> None:
        """Make a key, in one request. Raises `Exists` where there is one of this name by another writer."""

    def note(self, key: str) -> None:
        """Make a key without bytes, or make it anew."""

    def begin(self, key: str, part: int, ahead: int) -> Written:
        """Begin a key that is written in parts of `part` bytes, `ahead` of which may be on their way at once."""

    def look(self, key: str) -> Look | None:
        """What is there; None where there is nothing."""

    def read(self, key: str, *, hurried: bool = False) -> tuple[Look, bytes]:
        """A small key, whole. Raises `Missing`, `Broken`."""

    def get(self, key: str, start: int, end: int | None) -> Coming:
        """The bytes from `start` to `end` (excluded; None: the end), fewer where the key has fewer.

        Raises `Missing`, `Broken` for a store that does not answer to ranges. The iterator raises `Broken` where the
        body ends early.
        """

    def listed(self, folder: str, after: str = "") -> Iterator[Listed]:
        """The keys in a folder, in the order of their names, those after the key `after`. Raises `Broken` where they
        come in another order.
        """

    def remove(self, keys: Sequence[str]) -> None:
        """Remove keys, and the parts that they were made of; those that are gone count as removed."""
