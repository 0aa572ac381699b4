"""Reading an external location so that no wrong byte gets through: only blocks whose sha256 was checked come out."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from glare.db import contents
from glare.digest import BLOCK, DIGEST_LENGTH
from glare.domain.blob import Blob, External
from glare.egress.cancellation import Cancellation
from glare.egress.response import Response
from glare.errors import GlareError, OriginFailed
from glare.operations.services import Services

_PIECE: Final = 256 << 10
MESSAGE: Final = (
    "The external location of this blob does not deliver the bytes that were recorded; no wrong byte was sent."
)


class VerifiedStream:
    """The bytes `first` to `last` (both included) of an external blob, in checked pieces of up to 1 MiB.

    `open` fetches and checks the first piece's block, so that a broken origin is known before anything is answered.
    Everything runs in worker threads, but `cancel`, which may be called anywhere and ends a read that waits. At most
    two blocks are in memory. Raises `OriginFailed`.
    """

    def __init__(self, services: Services, blob: Blob, first: int, last: int, cdn_loop: str = "") -> None:
        if not isinstance(blob.location, External) or blob.digests is None or blob.size is None:
            raise AssertionError("only a published external blob has a verified stream")
        self._services = services
        self._url = blob.location.url
        self._sha256 = blob.digests.sha256
        self._size = blob.size
        self._first, self._last = first, last
        self._block = first // BLOCK
        self._last_block = last // BLOCK
        self._digests = b""
        self._response: Response | None = None
        self._cdn_loop = cdn_loop
        self._first_digest = self._block
        self._cancellation = Cancellation()
        self._ready: bytes | None = None

    def open(self) -> None:
        """Connect, and check the first block."""
        if not self._size:
            return  # Nothing is proven by asking for nothing.
        with self._services.db.read() as connection:
            self._digests = contents.block_digests(connection, self._sha256, self._block, self._last_block)
        if len(self._digests) != (self._last_block - self._block + 1) * DIGEST_LENGTH:
            raise GlareError("Block digests of a recorded content are missing from the database.")
        start, end = self._block * BLOCK, min(self._size, (self._last_block + 1) * BLOCK)
        whole = start == 0 and end == self._size
        try:
            url = self._services.egress.parse(self._url)
            self._response = self._services.egress.open(
                url,
                byte_range=None if whole else (start, end - 1),
                whole_for_range=True,
                cdn_loop=self._cdn_loop,
                cancellation=self._cancellation,
            )
            self._skip_to(start, end)
            self._ready = self._checked_block()
        except GlareError as failed:
            self.close()
            raise self._failure(failed) from failed

    def read(self) -> bytes:
        """The next checked piece, empty at the end."""
        if self._ready is not None:
            piece, self._ready = self._ready, None
            return piece
        if self._block > self._last_block:
            return b""
        try:
            return self._checked_block()
        except GlareError as failed:
            self.close()
            raise self._failure(failed) from failed

    def cancel(self) -> None:
        """End it from another thread: the reader has gone."""
        self._cancellation.cancel()

    def close(self) -> None:
        """Let go of the connection."""
        if self._response is not None:
            self._response.close()

    def _skip_to(self, start: int, end: int) -> None:
        """An origin may answer a range with the whole; then what comes before is read and dropped."""
        response = self._opened()
        if response.status == 206:
            expected = end - start
        else:
            expected = self._size
            self._read_exactly(start, keep=False)
        if response.length is not None and response.length != expected:
            raise OriginFailed(MESSAGE, reason=f"origin announces {response.length} bytes instead of {expected}")

    def _checked_block(self) -> bytes:
        start = self._block * BLOCK
        data = self._read_exactly(min(BLOCK, self._size - start))
        offset = (self._block - self._first_digest) * DIGEST_LENGTH
        if not hmac.compare_digest(hashlib.sha256(data).digest(), self._digests[offset : offset + DIGEST_LENGTH]):
            raise OriginFailed(MESSAGE, reason=f"block {self._block} of sha256 {self._sha256} differs")
        self._block += 1
        begin, end = max(self._first - start, 0), min(self._last + 1 - start, len(data))
        return data if begin == 0 and end == len(data) else data[begin:end]

    def _read_exactly(self, size: int, *, keep: bool = True) -> bytes:
        response = self._opened()
        pieces = []
        left = size
        while left:
            piece = response.read(min(left, _PIECE))
            if not piece:
                raise OriginFailed(MESSAGE, reason=f"origin ended {left} bytes early")
            left -= len(piece)
            if keep:
                pieces.append(piece)
        return b"".join(pieces)

    def _opened(self) -> Response:
        if self._response is None:
            raise AssertionError("read before open")
        return self._response

    def _failure(self, failed: GlareError) -> OriginFailed:
        """Whatever went wrong, the reader learns the same; the reason is for the log."""
        if not self._cancellation.cancelled:
            self._services.metrics.verified_download_failed()
        return OriginFailed(MESSAGE, reason=getattr(failed, "reason", failed.message))
