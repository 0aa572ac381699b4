"""One pass over the blocks of a content, for all who read it at the same time.

Whichever reader needs the next block first reads it, for all; a reader that is slow delays nobody, and when it has
fallen behind what is kept it begins a fetch of its own. Where blocks come from, and how they are checked, is no matter
here.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Final, Protocol

from glare.digest import BLOCK
from glare.egress.cancellation import Cancellation
from glare.errors import OriginFailed

MESSAGE: Final = (
    "The external location of this blob does not deliver the bytes that were recorded; no wrong byte was sent."
)

_LEAST: Final = 2
_ALONE: Final = 4  # While one reader takes part: enough for another one that begins at the same time to join.
_MOST: Final = 8
_LOOK_UP: Final = (
    0.1  # Seconds after which a reader that waits for another one's block sees whether it is still wanted.
)


class Behind(Exception):
    """The block is not kept any more."""


class Blocks(Protocol):
    """Where a fetch reads: checked blocks, one after the other, by one thread at a time. `cancellation` ends a read
    that waits.
    """

    cancellation: Cancellation

    def read(self, block: int, /) -> bytes: ...

    def close(self) -> None: ...


class Fetch:
    """One pass over the blocks `first` to `last` of a content, read from `blocks`. Methods may be called by any
    thread.
    """

    def __init__(self, fetches: Fetches, blocks: Blocks, first: int, last: int) -> None:
        self._fetches = fetches
        self._blocks = blocks
        self._next = first
        self._last = last
        self._kept: dict[int, bytes] = {}
        self._ready = threading.Condition()
        self._reading = False
        self._failure: str | None = None
        self.cancellation = blocks.cancellation
        self.readers = 0  # Who takes part, also where the client has gone and a thread is not back yet.
        self.wanted_by: set[object] = set()

    def covers(self, block: int, last: int) -> bool:
        """Whether a reader that wants the blocks `block` to `last` can take part."""
        with self._ready:
            usable = self._failure is None and not self.cancellation.cancelled and last <= self._last
            return usable and (block in self._kept or block == self._next)

    def take(self, block: int, wanted: Cancellation) -> bytes:
        """The checked block. Raises `Behind`, and `OriginFailed` where no candidate delivers it, or it is `wanted` no
        more.
        """
        with self._ready:
            while block not in self._kept:
                if block < self._next:
                    raise Behind
                if self._failure is not None:
                    raise OriginFailed(MESSAGE, reason=self._failure)
                if wanted.cancelled:
                    raise OriginFailed(MESSAGE, reason="the reader has gone")
                if not self._reading:
                    break
                self._ready.wait(_LOOK_UP)
            else:
                return self._kept[block]
            self._reading = True
        return self._read_next()

    def close(self) -> None:
        """Let go of the source. The last reader calls it."""
        self._blocks.close()

    def _read_next(self) -> bytes:
        """Read the next block, which this thread alone does, and keep it for the others."""
        try:
            data = self._blocks.read(self._next)
        except BaseException as error:
            self._ended(None, getattr(error, "reason", str(error)))
            raise
        self._ended(data, None)
        return data

    def _ended(self, data: bytes | None, failure: str | None) -> None:
        """The next block is there, or nothing more will be."""
        with self._ready:
            self._reading = False
            self._failure = failure
            if data is not None:
                self._kept[self._next] = data
                self._next += 1
                for old in sorted(self._kept)[: -self._fetches.share(self.readers)]:
                    del self._kept[old]
            self._ready.notify_all()


class Fetches:
    """The fetches under way in this process, which keep `memory` bytes of blocks together, and two each at least."""

    def __init__(self, memory: int) -> None:
        self._blocks = memory // BLOCK
        self._lock = threading.Lock()
        self._of: defaultdict[str, list[Fetch]] = defaultdict(list)
        self._live = 0

    def share(self, readers: int) -> int:
        """How many blocks a fetch with so many readers may keep now."""
        most = _MOST if readers > 1 else _ALONE
        return max(_LEAST, min(most, self._blocks // max(1, self._live)))

    def join(self, reader: object, sha256: str, block: int, last: int) -> Fetch | None:
        """Take part in a fetch that is under way; None where none fits."""
        with self._lock:
            for fetch in self._of.get(sha256, ()):
                if fetch.covers(block, last):
                    fetch.readers += 1
                    fetch.wanted_by.add(reader)
                    return fetch
        return None

    def begin(self, reader: object, sha256: str, fetch: Fetch) -> Fetch:
        """Offer a new fetch to others. Its maker is its first reader."""
        with self._lock:
            fetch.readers = 1
            fetch.wanted_by.add(reader)
            self._of[sha256].append(fetch)
            self._live += 1
        return fetch

    def leave(self, reader: object, sha256: str, fetch: Fetch) -> None:
        """End a part in a fetch."""
        self.abandon(reader, fetch)
        with self._lock:
            fetch.readers -= 1
            if fetch.readers:
                return
            fetches = self._of[sha256]
            fetches.remove(fetch)
            self._live -= 1
            if not fetches:
                del self._of[sha256]
        fetch.close()

    def abandon(self, reader: object, fetch: Fetch) -> None:
        """A reader has gone: once nobody wants it, nobody waits for the origin any longer. May be called anywhere, and
        again.
        """
        with self._lock:
            fetch.wanted_by.discard(reader)
            if not fetch.wanted_by:
                fetch.cancellation.cancel()

    @property
    def live(self) -> int:
        """How many fetches are under way."""
        return self._live
