"""Memory that was used for a while goes back to the system."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PERIOD: Final = 10.0
_WORTH: Final = 24 << 20
"""Bytes of growth since the last time that are worth the milliseconds it takes."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Memory:
    """The C library keeps what is free between two blocks that are in use, however much it is: a crowd that has gone
    would stay in memory as a hole.
    """

    def __init__(self) -> None:
        self._trim: Callable[[int], int] | None = None
        with suppress(OSError, AttributeError):  # Another C library has ways of its own.
            self._trim = ctypes.CDLL(None).malloc_trim
        self._next = 0.0
        self._least = resident()

    def is_due(self, now: float) -> bool:
        """Whether `give_back` is worth its time; `now` is a clock in seconds."""
        if self._trim is None or now < self._next:
            return False
        self._next = now + _PERIOD
        size = resident()
        self._least = min(self._least, size)
        return size - self._least >= _WORTH

    def give_back(self) -> None:
        """Return what is free. To be called in a thread: it takes some milliseconds, in which others can run."""
        if self._trim is not None:
            gc.collect()
            self._trim(0)
            self._least = resident()


def resident() -> int:
    """Bytes of this process that are in memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE
    except OSError:
        return 0
