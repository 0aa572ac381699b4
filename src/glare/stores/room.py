"""The free space of a file system, of which a store leaves a reserve to others."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from glare.errors import StoreFull


@dataclass(frozen=True, slots=True)
class Room:
    """What a store may use of the file system of `directory`.

    `reserve` is the free space in bytes that uploads may not use, and `option` what the operator calls it.
    """

    directory: Path
    store: str
    reserve: int
    option: str = "[store] free_space_reserve"

    def left(self) -> int:
        """The bytes that the store still takes: none on a file system that is read-only."""
        try:
            return max(0, self._free() - self.reserve)
        except OSError as error:
            if error.errno == errno.EROFS:
                return 0
            raise

    def require(self, size: int) -> None:
        """Raise `StoreFull` if `size` more bytes (or one, for 0) would reach into the reserve, OSError if the file
        system is read-only.
        """
        free = self._free()
        if free - max(size, 1) < self.reserve:
            raise StoreFull(
                f"Store {self.store!r} has {free} bytes free and keeps {self.reserve} of them in reserve "
                f"({self.option}), so {size} more do not fit; nothing was stored. Retry after its operator has "
                "made room."
            )

    def _free(self) -> int:
        state = os.statvfs(self.directory)
        if state.f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return state.f_bavail * state.f_frsize
