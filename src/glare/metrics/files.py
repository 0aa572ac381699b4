"""The files in which processes put their numbers together: whose process is gone. The library names them
`<kind>_<process>.db`.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def claim(directory: Path) -> int:
    """Lock a file of this process, until it ends, however it ends.

    A process id alone tells little: the system gives it to another process, and keeps it for one that nobody has waited
    for.
    """
    descriptor = os.open(directory / f"{os.getpid()}.alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def forget_dead(directory: Path, pattern: str) -> None:
    """Remove the files of processes that are gone."""
    for file in directory.glob(pattern):
        if not _lives(directory, file.stem.rpartition("_")[2]):
            file.unlink(missing_ok=True)


def living(directory: Path) -> list[int]:
    """The processes that have claimed this directory and run."""
    found = (file.stem for file in directory.glob("*.alive"))
    return sorted(int(process) for process in found if process.isdigit() and _lives(directory, process))


def _lives(directory: Path, process: str) -> bool:
    """Whether the process holds the lock of its file."""
    try:
        descriptor = os.open(directory / f"{process}.alive", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
