"""Digest values, and one hashing pass over a stream with a hard limit.

The pass computes md5, sha1 and sha256 of the whole, and the sha256 of every block of `BLOCK` bytes (the last one may be
shorter), in threads: `hashlib` releases the interpreter lock, so the four run beside each other and beside the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final

from glare.errors import RequestEntityTooLarge

BLOCK: Final = 1 << 20
"""Bytes in a block whose sha256 is kept: 1 MiB."""

DIGEST_LENGTH: Final = 32
"""Bytes of one block's sha256."""

_INLINE: Final = 32 << 10  # Below this a hand-over to a thread costs more than the hashing.


@dataclass(frozen=True, slots=True)
class Digests:
    """Lower-case hex digests of one content. Only sha256 decides anything; md5 and sha1 are for old clients."""

    md5: str
    sha1: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Content:
    """What was measured of one content.

    `size` is in bytes; `blocks` is the concatenation of the raw sha256 (32 bytes) of each `BLOCK`, empty for empty
    content.
    """

    size: int
    digests: Digests
    blocks: bytes


def block_count(size: int) -> int:
    """The number of blocks of a content of `size` bytes."""
    return -(-size // BLOCK)


class HashingPass:
    """Feed it a stream in pieces of any size; it refuses the first byte over `limit`.

    `update` returns while the digests of the piece are still being computed, so the caller may use (but not change) it
    meanwhile; the next call waits for them. `limit` is in bytes, None for no limit; `over` makes the error that is
    raised beyond it.
    """

    def __init__(
        self,
        pool: Executor,
        limit: int | None = None,
        over: Callable[[], Exception] = RequestEntityTooLarge,
    ) -> None:
        self._pool = pool
        self._limit = limit
        self._over = over
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._block = hashlib.sha256()
        self._in_block = 0
        self._blocks = bytearray()
        self._running: list[Future[None]] = []
        self.size = 0

    def update(self, data: bytes) -> None:
        """Add a piece. Raises `over()` before anything of a piece that crosses the limit is counted."""
        if self._limit is not None and self.size + len(data) > self._limit:
            raise self._over()
        self.settle()
        self.size += len(data)
        tasks = (self._md5.update, self._sha1.update, self._sha256.update, self._update_blocks)
        if len(data) < _INLINE:
            for task in tasks:
                task(data)
        else:
            self._running = [self._pool.submit(task, data) for task in tasks]

    def settle(self) -> None:
        """Wait until every piece given so far is hashed."""
        running, self._running = self._running, []
        for future in running:
            future.result()

    def finish(self) -> Content:
        """The measurement of everything that was given."""
        self.settle()
        if self._in_block:
            self._close_block()
        digests = Digests(self._md5.hexdigest(), self._sha1.hexdigest(), self._sha256.hexdigest())
        return Content(self.size, digests, bytes(self._blocks))

    def _update_blocks(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            part = view[: BLOCK - self._in_block]
            self._block.update(part)
            self._in_block += len(part)
            if self._in_block == BLOCK:
                self._close_block()
            view = view[len(part) :]

    def _close_block(self) -> None:
        self._blocks += self._block.digest()
        self._block = hashlib.sha256()
        self._in_block = 0
