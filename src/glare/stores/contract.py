"""What a driver of a store is: it keeps bytes under names that it is given.

All of it is synchronous and runs in worker threads. One writer or reader belongs to one thread at a time; a driver is
used by many threads and processes at once. `glare.stores.base.Store` stands around every driver, and
`glare.stores.conformance` has the tests that every driver passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from glare.errors import GlareError, Unavailable

OBJECT_NAME: Final = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,120}")
"""Names of objects: lower-case hex, dashes allowed after the eighth, up to 128 characters. None can leave a
directory."""


class ObjectFailed(GlareError):
    """An object could not be read, and what went wrong says nothing yet about the store: a bad sector, perhaps."""


class StoreAway(Unavailable):
    """The service that keeps the bytes does not answer now. It says nothing of what is there."""


class DriverWriter(Protocol):
    """One object being written. `Store` calls `write` any number of times, then `commit` or `cancel`, once."""

    def write(self, data: bytes) -> None:
        """Add all of `data`. Raises `OSError` or a `GlareError`; the writer is cancelled afterwards."""

    def commit(self) -> None:
        """Make the bytes durable and readable under the object's name, all or nothing, and never over an object that
        exists.
        """

    def cancel(self) -> None:
        """Forget everything that was written. Called after a failed `write` or `commit` too."""


class DriverReader(Protocol):
    """A stream out of one object."""

    def read(self, n: int) -> bytes:
        """At most `n` bytes, at least one unless the end is reached: then b"" for ever."""

    def close(self) -> None:
        """Let go of what the reader holds. Called once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A committed object: its size in bytes, and when it was committed, in seconds since the epoch."""

    name: str
    size: int
    stored_at: float


class Driver(Protocol):
    """Keeps the bytes of objects. Raises `OSError` (named by `Store`) or a `GlareError` with a sentence of its own:
    `ObjectFailed` where it is one object that cannot be read.
    """

    @property
    def name(self) -> str:
        """The store's name in the configuration; blobs remember it."""

    def initialise(self, known: Sequence[str], identity: str | None) -> None:
        """Make the store's place ready, once in its life; harmless afterwards, and in several processes at once.

        `known` are some objects that the store has by what the database says, and `identity` is what its place is known
        by; none and None for a new store. Raises `Unavailable` where the place is not ready and has none of these
        objects, though the store is not new: it is not the store's.
        """

    def identity(self) -> str | None:
        """What the store's place is known by, 1 to 128 printable ASCII characters: another place has another, a moved
        one the same.

        Asked once it is initialised. None for a store whose place cannot be mistaken, as that in the database itself.
        """

    def check(self) -> None:
        """Raise `OSError` or `GlareError` when the store cannot be used; `StoreFull` and `StoreReadOnly` where only new
        data is refused.
        """

    def create(self, object_name: str, expected_size: int | None) -> DriverWriter:
        """Start an object. `expected_size` is in bytes, None when unknown; `StoreFull` when it cannot fit."""

    def open(self, object_name: str, offset: int, length: int | None) -> DriverReader:
        """Read from `offset` at most `length` bytes (None: to the end). `FileNotFoundError` or `NotFound` without the
        object.
        """

    def delete(self, object_name: str) -> bool:
        """Remove the object durably; False when there is none."""

    def size(self, object_name: str) -> int:
        """The object's bytes. `FileNotFoundError` or `NotFound` without the object."""

    def path(self, object_name: str) -> Path | None:
        """The file that is exactly the object, for sending it whole; None when the store has no such files."""

    def free_space(self) -> int | None:
        """The bytes that the store still takes, after its reserve; None when it cannot tell."""

    def entries(self, after: str) -> Iterator[Entry]:
        """Committed objects in the order of their names, those after `after`, with bounded memory.

        Objects that come or go meanwhile may be among them or not.
        """

    def sweep_temporaries(self, older_than: float) -> int:
        """Remove what crashed writers left and nobody touched for `older_than` seconds; the number of things
        removed.
        """
