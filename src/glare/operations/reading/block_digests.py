"""The recorded sha256 of each block of a content, read as they are needed: a large content has many."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from glare.db import contents
from glare.digest import BLOCK, DIGEST_LENGTH, block_count
from glare.errors import GlareError

if TYPE_CHECKING:
    from glare.operations.services import Services


class NoBlockDigests(GlareError):
    """Nothing, or not enough, is recorded of the blocks of a content."""


class BlockDigests:
    """The block digests of the content with this sha256 (hex) and `size` (bytes). One block has the digest of the
    whole.
    """

    def __init__(self, services: Services, sha256: str, size: int) -> None:
        self._services = services
        self._sha256 = sha256
        self._size = size
        self._kept = bytes.fromhex(sha256) if size <= BLOCK else b""
        self._first = 0

    def fit(self, block: int, data: bytes) -> bool:
        """Whether these are the bytes of the block. Raises `NoBlockDigests`, and `Unavailable` for a database that does
        not answer.
        """
        offset = (block - self._first) * DIGEST_LENGTH
        if not 0 <= offset < len(self._kept):
            self._read(block)
            offset = 0
        return hmac.compare_digest(hashlib.sha256(data).digest(), self._kept[offset : offset + DIGEST_LENGTH])

    def are_of(self, sha256: str, size: int) -> bool:
        """Whether that is what the whole content has."""
        return (sha256, size) == (self._sha256, self._size)

    def record(self, blocks: bytes) -> None:
        """Keep digests that were computed from bytes whose whole sha256 is right."""
        now = self._services.clock()
        self._services.db.transact(
            lambda connection: contents.restore(connection, self._sha256, self._size, blocks, now)
        )
        self._kept = b""

    def _read(self, block: int) -> None:
        # To the end of the row that the first one is in: the rows after it are read when their turn comes.
        last = min(block_count(self._size), (block // contents.BLOCKS_PER_ROW + 1) * contents.BLOCKS_PER_ROW) - 1
        with self._services.db.look() as connection:
            found = contents.block_digests(connection, self._sha256, block, last)
        if len(found) != (last - block + 1) * DIGEST_LENGTH:
            raise NoBlockDigests("Block digests of a recorded content are missing from the database.")
        self._kept, self._first = found, block
