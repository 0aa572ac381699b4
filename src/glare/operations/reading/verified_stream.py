"""Reading a content so that no wrong byte gets through: only blocks whose sha256 was checked come out."""

from __future__ import annotations

from collections.abc import Sequence

from glare.context import PARTY
from glare.digest import BLOCK
from glare.domain.blob import Blob
from glare.egress.cancellation import Cancellation
from glare.errors import Blocked, GlareError, OriginFailed, Unavailable
from glare.operations.reading.checked_blocks import CheckedBlocks
from glare.operations.reading.origin_blocks import RangesUnknown
from glare.operations.services import Services
from glare.operations.shared_fetch import MESSAGE, Behind, Fetch


class VerifiedStream:
    """The bytes `first` to `last` (both included) of the content that all `candidates` have, in checked pieces of up to
    1 MiB.

    `open` fetches and checks the first piece's block, so that broken origins are known before anything is answered.
    Everything runs in worker threads, but `cancel`, which may be called anywhere and ends a read that waits. What was
    fetched is shared with whoever reads the same content at the same time. Raises `OriginFailed`, `Blocked` where
    redirects lead to what is taken down, and `Unavailable` where the fault is ours.
    """

    def __init__(
        self, services: Services, candidates: Sequence[Blob], first: int, last: int, cdn_loop: str = ""
    ) -> None:
        blob = candidates[0]
        if blob.digests is None or blob.size is None:
            raise AssertionError("only what was measured can be streamed")
        self._services = services
        self._candidates = candidates
        self._sha256 = blob.digests.sha256
        self._size = blob.size
        self._first, self._last = first, last
        self._block = first // BLOCK
        self._last_block = last // BLOCK
        self._from = self._block  # Where the fetch began that may still count what was sent before it.
        self.earned = 0  # Bytes before the first one that its reader was sent from elsewhere.
        self._cdn_loop = cdn_loop
        self._cancellation = Cancellation()
        self._fetch: Fetch | None = None
        self._own = False
        self._ready: bytes | None = None

    def open(self) -> None:
        """Connect, and check the first block."""
        self._services.reads.admit(PARTY.get())
        if self._size:  # Nothing is proven by asking for nothing.
            self._ready = self._piece()

    def read(self) -> bytes:
        """The next checked piece, empty at the end."""
        if self._ready is not None:
            piece, self._ready = self._ready, None
            return piece
        return self._piece() if self._size and self._block <= self._last_block else b""

    def cancel(self) -> None:
        """End it from another thread: the reader has gone."""
        self._cancellation.cancel()
        fetch = self._fetch
        if fetch is not None:
            self._services.fetches.abandon(self, fetch)

    def close(self) -> None:
        """Let go of what is shared."""
        if self._fetch is not None:
            self._services.fetches.leave(self, self._sha256, self._fetch)
            self._fetch = None

    def _piece(self) -> bytes:
        """What is wanted of the next block."""
        try:
            data = self._checked_block()
        except GlareError as failed:
            self.close()
            if isinstance(failed, (Blocked, RangesUnknown, Unavailable)):
                raise  # What is wrong with us is reported as such, and counts against no origin.
            if not self._cancellation.cancelled:
                self._services.metrics.verified_download_failed()
            reason = getattr(failed, "reason", failed.message)
            raise OriginFailed(MESSAGE, reason=reason, retry_after=failed.retry_after) from failed
        except BaseException:  # A defect of ours must not leave others waiting in a fetch that nobody ends.
            self.close()
            raise
        start = self._block * BLOCK
        self._block += 1
        begin, end = max(self._first - start, 0), min(self._last + 1 - start, len(data))
        self._services.reads.sent(PARTY.get(), end - begin)
        return data if begin == 0 and end == len(data) else data[begin:end]

    def _checked_block(self) -> bytes:
        while True:
            fetch = self._fetch or self._attach()
            try:
                return fetch.take(self._block, self._cancellation)
            except Behind:
                self.close()
            except GlareError:
                if self._own or self._cancellation.cancelled:
                    raise
                self.close()  # Somebody else's origins failed; ours may not.
                self._begin()

    def _attach(self) -> Fetch:
        self._fetch = self._services.fetches.join(self, self._sha256, self._block, self._last_block)
        self._own = False
        if self._fetch is None:
            return self._begin()
        self._heed()
        return self._fetch

    def _begin(self) -> Fetch:
        fetches = self._services.fetches
        blocks = CheckedBlocks(self._services, self._candidates, self._block, self._last_block, self._cdn_loop)
        blocks.earned, self.earned = self.earned + (self._block - self._from) * BLOCK, 0
        self._from = self._block
        fetch = Fetch(fetches, blocks, self._block, self._last_block)
        self._fetch = fetches.begin(self, self._sha256, fetch)
        self._own = True
        self._heed()
        return fetch

    def _heed(self) -> None:
        """A reader that has gone before it took part wants nothing."""
        if self._cancellation.cancelled and self._fetch is not None:
            self._services.fetches.abandon(self, self._fetch)
