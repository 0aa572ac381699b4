"""Small files that are there as a whole or not at all, also after a power cut.

A file is written beside its name and brought there once the disk has it; then its directory is written, without which
the name could be lost. Everything raises `OSError`.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_OWNER_ONLY: Final = 0o600


def create(path: Path) -> int:
    """The descriptor of a new file that only its owner may read and write. Raises `FileExistsError`."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)


def make_file(path: Path, data: bytes, aside: Path | None = None) -> bool:
    """Make a file where there is none; returns whether this did. Of several at the same time one does, and all see it.

    It is written in the directory `aside`, by default its own.
    """
    with _written(path, data, aside or path.parent) as temporary:
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
        finally:
            sync_directory(path.parent)  # Also for who was second: it may go on with what the first one has made.
    return True


def replace_file(path: Path, data: bytes, prepare: Callable[[int], object] = lambda _: None) -> None:
    """Write a file anew. `prepare` is given the descriptor of the new one before anything is written."""
    with _written(path, data, path.parent, prepare) as temporary:
        temporary.replace(path)
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Write the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # Some network file systems cannot, and need not.
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _written(
    path: Path, data: bytes, directory: Path, prepare: Callable[[int], object] = lambda _: None
) -> Iterator[Path]:
    """A file of a name of its own with the data, which is gone at the end."""
    temporary = directory / f".{path.name}.{secrets.token_hex(8)}"
    try:
        with os.fdopen(create(temporary), "wb") as file:
            prepare(file.fileno())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
