"""The local file store: one file an object, below one directory.

::

    <directory>/glare-store                         the marker: the store's identity, written once
    <directory>/objects/<aa>/<bb>/<object name>     committed, never changed again
    <directory>/temporaries/<object name>.<random>  being written, or left by a crash

A committed object is a hard link that is made once its bytes are on disk: linking is atomic like a rename, but refuses
to replace what exists. Any number of processes may share the directory; it must be one file system with hard links.

The marker tells the store from the empty directory below a volume that is not mounted, and from another store's:
without it, or with another identity than the database has recorded, nothing is read or written.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import secrets
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from glare import durable
from glare.errors import StoreMistaken, Unavailable
from glare.stores.contract import OBJECT_NAME, Entry
from glare.stores.room import Room

_log = logging.getLogger(__name__)

STEP: Final = 16 << 20
"""After so many bytes a writer looks at the free space, and asks the kernel to begin writing to disk."""

MARKER: Final = "glare-store"
"""The file whose presence says that the directory is a store's."""

_PLAIN: Final = re.compile(rb"[!-~]{1,128}")
_TRUSTED_SECONDS: Final = 60.0
"""How long a process believes that the database knows the store by the same identity as before."""

_TAKES_NOTHING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

_READABLE_BY_OWNER: Final = 0o600
_OWN_DIRECTORY: Final = 0o700


class FilesystemDriver:
    """A `Driver` for a directory, which `initialise` makes.

    `reserve` is the free space in bytes that uploads may not use. `recorded` gives the identity that the database knows
    the store by, None where it knows none; it is asked at the first use, and now and then.
    """

    def __init__(
        self, directory: Path, *, name: str, reserve: int = 0, recorded: Callable[[], str | None] = lambda: None
    ) -> None:
        self.name = name
        self._recorded = recorded
        self._directory = directory
        self.room = Room(directory, store=name, reserve=reserve)
        self._objects = directory / "objects"
        self._temporaries = directory / "temporaries"
        self._marker = directory / MARKER
        self._seen: bytes | None = None
        self._ask_again = 0.0
        # Directories whose entry in their parent this process has made durable. Another process may have made one and
        # crashed before its fsync, so that a directory that exists is no proof.
        self._durable: set[Path] = set()

    def initialise(self, known: Sequence[str], identity: str | None) -> None:
        if self._marker.exists():
            return
        # A directory from before there were markers has its objects, which an empty mount point has not.
        if (known or identity is not None) and not any(self._locate(name).exists() for name in known):
            raise Unavailable(
                f"Store {self.name!r} {'has blobs' if known else 'was used before'}, but {self._directory} has "
                f"neither its marker ({MARKER}) nor their bytes. Mount the volume, or restore the directory from a "
                f"copy. To go on without these bytes, run `glare-server stores adopt {self.name} --without-bytes`."
            )
        try:
            self._directory.mkdir(_OWN_DIRECTORY, parents=True, exist_ok=True)
            self._make_directories()
            self._mark(identity or str(uuid.uuid4()))
        except OSError as error:
            raise self._unusable(error) from error

    def identity(self) -> str:
        return _identity(self._read_marker())

    def check(self) -> None:
        """Prove that an object can be linked into place: permissions, hard links, one file system."""
        probe = self._temporaries / f"probe.{secrets.token_hex(8)}"
        target = self._objects / probe.name
        self.require_marker()
        self.room.require(0)
        try:
            self._make_directories()
            os.close(durable.create(probe))
            os.link(probe, target)
        except OSError as error:
            if error.errno in _TAKES_NOTHING:
                raise  # It can be read, and `Store` names it.
            raise self._unusable(error) from error
        finally:
            for path in (probe, target):
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def create(self, object_name: str, expected_size: int | None) -> FilesystemWriter:
        self.require_marker()
        self.room.require(expected_size or 0)
        self._make_directories()
        temporary = self._temporaries / f"{object_name}.{secrets.token_hex(8)}"
        return FilesystemWriter(self, durable.create(temporary), temporary, self._locate(object_name))

    def open(self, object_name: str, offset: int, length: int | None) -> FilesystemReader:
        self.require_marker()
        return FilesystemReader(os.open(self._locate(object_name), os.O_RDONLY | os.O_CLOEXEC), offset, length)

    def delete(self, object_name: str) -> bool:
        # Without this an object on a volume that is not mounted would count as removed.
        self.require_marker()
        # A writer that was killed has left its bytes here, under a name that begins with the object's.
        for temporary in self._temporaries.glob(f"{object_name}.*"):
            temporary.unlink(missing_ok=True)
        path = self._locate(object_name)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        # Without this a power cut may bring the file back, after the database has forgotten it.
        durable.sync_directory(path.parent)
        return True

    def size(self, object_name: str) -> int:
        self.require_marker()
        return self._locate(object_name).stat().st_size

    def path(self, object_name: str) -> Path | None:
        self.require_marker()
        path = self._locate(object_name)
        path.stat()
        return path

    def free_space(self) -> int | None:
        self.require_marker()
        return self.room.left()

    def entries(self, after: str) -> Iterator[Entry]:
        self.require_marker()
        first, second = after[:2], after[2:4]
        for upper in _names_in(self._objects, first):
            for lower in _names_in(self._objects / upper, second if upper == first else ""):
                shard = self._objects / upper / lower
                for name in _names_in(shard, after):
                    if name == after or not OBJECT_NAME.fullmatch(name) or not name.startswith(upper + lower):
                        continue  # What an administrator or a file system puts here is none of ours.
                    with suppress(FileNotFoundError):  # It was deleted while the list was read.
                        state = (shard / name).stat()
                        if stat.S_ISREG(state.st_mode):
                            yield Entry(name, state.st_size, state.st_mtime)

    def sweep_temporaries(self, older_than: float) -> int:
        self.require_marker()
        limit = time.time() - older_than
        removed = 0
        with suppress(FileNotFoundError):  # Nothing was ever written.
            for entry in os.scandir(self._temporaries):
                with suppress(FileNotFoundError):  # Its writer, or another sweep, was faster.
                    if entry.stat(follow_symlinks=False).st_mtime <= limit:
                        os.unlink(entry.path)  # noqa: PTH108 - os.scandir gives text, and there may be many of them
                        removed += 1
        return removed

    def require_marker(self) -> None:
        """Raise `Unavailable` if the directory has no marker, or is another store's than the database's."""
        marker = self._read_marker()
        if marker != self._seen or time.monotonic() > self._ask_again:
            self._require_own(marker)

    def _read_marker(self) -> bytes:
        try:
            return self._marker.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise Unavailable(
                f"Store {self.name!r} is not at its place: its directory has no marker ({MARKER}). Retry after its "
                "operator has mounted the volume, or restored the directory."
            ) from None

    def _require_own(self, marker: bytes) -> None:
        recorded, found = self._recorded(), _identity(marker)
        # Without a database to ask, the first one that this process has seen is the right one.
        expected = recorded or (None if self._seen is None else _identity(self._seen))
        if expected not in (None, found):
            _log.error(
                "a store's directory is another one than the database knows",
                extra={"store": self.name, "directory": str(self._directory), "found": found, "expected": expected},
            )
            raise StoreMistaken(
                f"Store {self.name!r} is not at its place: its directory has another store's marker ({MARKER}). Retry "
                "after its operator has mounted the right volume."
            )
        self._seen, self._ask_again = marker, time.monotonic() + _TRUSTED_SECONDS

    def make_durable(self, directory: Path) -> None:
        """Make `directory` exist, as deep as it is, also after a power cut."""
        if directory in self._durable:
            return
        if directory != self._directory:
            self.make_durable(directory.parent)
            with suppress(FileExistsError):
                directory.mkdir(_OWN_DIRECTORY)
            durable.sync_directory(directory.parent)
        self._durable.add(directory)

    def _make_directories(self) -> None:
        # A directory that somebody removed meanwhile is made again, so the set alone does not decide here.
        if self._temporaries in self._durable and self._temporaries.is_dir():
            return
        self._durable.clear()
        self.make_durable(self._temporaries)
        self.make_durable(self._objects)

    def _mark(self, identity: str) -> None:
        """Link a whole marker into place: a process that looks meanwhile sees none or all of it, and one of two
        wins.
        """
        durable.make_file(self._marker, f"{identity}\n".encode(), self._temporaries)

    def _unusable(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"Store {self.name!r} cannot write and link files in {self._directory} ({error.strerror}). Give it "
            "a directory that the service may write to, in one file system that has hard links."
        )

    def _locate(self, object_name: str) -> Path:
        # Two levels of 256 directories keep a million objects at some sixteen a directory.
        return self._objects / object_name[:2] / object_name[2:4] / object_name


class FilesystemWriter:
    """Writes a temporary file, and links it to the object's name at commit."""

    def __init__(self, driver: FilesystemDriver, descriptor: int, temporary: Path, target: Path) -> None:
        self._driver = driver
        self._descriptor: int | None = descriptor
        self._temporary = temporary
        self._target = target
        self._written = 0
        self._looked_at = 0

    def write(self, data: bytes) -> None:
        assert self._descriptor is not None  # noqa: S101 - Store calls nothing after commit or cancel
        view = memoryview(data)
        while view:
            done = os.write(self._descriptor, view)
            self._written += done
            view = view[done:]
        if self._written - self._looked_at >= STEP:
            self._driver.room.require(0)
            # Begins to write these pages to disk and does not wait, so that commit finds little left to do.
            os.posix_fadvise(self._descriptor, self._looked_at, self._written - self._looked_at, os.POSIX_FADV_DONTNEED)
            self._looked_at = self._written

    def commit(self) -> None:
        assert self._descriptor is not None  # noqa: S101 - Store calls nothing after commit or cancel
        os.fsync(self._descriptor)
        self._close()
        self._driver.require_marker()
        shard = self._target.parent
        self._driver.make_durable(shard)
        os.link(self._temporary, self._target)
        try:
            durable.sync_directory(shard)
        except OSError:
            self._target.unlink(missing_ok=True)
            raise
        with suppress(OSError):  # The object is whole; a second name for it is the sweep's to remove.
            self._temporary.unlink()

    def cancel(self) -> None:
        try:
            self._close()
        finally:
            self._temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class FilesystemReader:
    """Reads a range of a file; the file may be deleted meanwhile."""

    def __init__(self, descriptor: int, offset: int, length: int | None) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._left = length

    def read(self, n: int) -> bytes:
        wanted = n if self._left is None else min(n, self._left)
        data = os.pread(self._descriptor, wanted, self._offset)
        self._offset += len(data)
        if self._left is not None:
            self._left -= len(data)
        return data

    def close(self) -> None:
        os.close(self._descriptor)


def _identity(marker: bytes) -> str:
    """What a marker says, whoever wrote it: the line itself where it is a plain short one, else its sha256."""
    line = marker.strip()
    if _PLAIN.fullmatch(line):
        return line.decode()
    return f"sha256:{hashlib.sha256(line).hexdigest()}"


def _names_in(directory: Path, first: str) -> list[str]:
    """The names in a directory from `first` on, in order; none where it is gone."""
    try:
        return sorted(name for name in os.listdir(directory) if name >= first)  # noqa: PTH208 - texts are wanted
    except (FileNotFoundError, NotADirectoryError):
        return []
