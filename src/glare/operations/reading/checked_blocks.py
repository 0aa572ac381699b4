"""Checked blocks of a content, from whichever of its locations delivers them."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Sequence
from typing import Protocol

from glare.context import PARTY
from glare.db import contents
from glare.digest import BLOCK, DIGEST_LENGTH, block_count
from glare.domain.blob import Blob, External, Managed
from glare.egress.cancellation import Cancellation
from glare.errors import Blocked, Cause, GlareError, OriginFailed, OutboundBusy, Unavailable
from glare.operations import damage
from glare.operations.reading.asking_order import AskingOrder, Turn
from glare.operations.reading.check_soon import check_soon
from glare.operations.reading.origin_blocks import Asking, OriginBlocks, RangesUnknown
from glare.operations.services import Services
from glare.operations.shared_fetch import MESSAGE

_log = logging.getLogger(__name__)


class CheckedBlocks:
    """The blocks `first` to `last` of the content that all `candidates` have, from the first of them that delivers.

    Whatever fails is followed by the next candidate, at the same block; see `AskingOrder`. One thread at a time reads.
    `earned` bytes of what comes before were sent to the reader from elsewhere: so many may be read once more. What is
    `charged` belongs to whoever reads; a job charges by itself.
    """

    def __init__(
        self, services: Services, candidates: Sequence[Blob], first: int, last: int, cdn_loop: str = ""
    ) -> None:
        blob = candidates[0]
        if blob.digests is None or blob.size is None:
            raise AssertionError("only what was measured can be checked")
        self._services = services
        self._order = AskingOrder(services.egress, candidates)
        self._turn = Turn(blob, hurried=False)
        self._sha256 = blob.digests.sha256
        self._size = blob.size
        self._first = first
        self._last = last
        self._cdn_loop = cdn_loop
        self._source: _Source | None = None
        self._digests = b""
        self._digests_from = first
        self.cancellation = Cancellation()
        self.charged = True
        self.earned = 0

    def read(self, block: int) -> bytes:
        """The block from the source at hand, or from whoever is next to deliver it."""
        self._require_wanted()
        reason, cause, taken_down, wait = "no location is left", Cause.PROTOCOL, None, None
        busy: int | None = None  # When to come back, where one of them was not asked for want of room.
        unknown = False
        while self._source is not None or self._next_turn():
            turn = self._turn
            try:
                if self._source is None:
                    self._source = self._open(turn, block)
                data = self._source.read(min(BLOCK, self._size - block * BLOCK))
                if hmac.compare_digest(hashlib.sha256(data).digest(), self._digest(block)):
                    self._order.delivered(turn.blob)
                    return data
                blob = turn.blob
                if isinstance(blob.location, Managed):
                    damage.seen(
                        self._services, blob.location, damage.not_as_recorded(blob.slot.path), f"block {block} differs"
                    )
                raise OriginFailed(MESSAGE, reason=f"block {block} of sha256 {self._sha256} differs")
            except GlareError as error:
                source = self._source
                self.close()
                if isinstance(error, OutboundBusy):
                    busy = error.retry_after or 1
                    continue
                if isinstance(error, RangesUnknown):
                    unknown = True
                    continue
                if self.cancellation.cancelled or (turn.blob.external and isinstance(error, Unavailable)):
                    raise  # It is our database that does not answer: no other location would help.
                remote = source if isinstance(source, OriginBlocks) else None
                self._order.failed(
                    turn,
                    error,
                    elsewhere=remote is not None and remote.elsewhere,
                    whole=remote is not None and remote.whole,
                )
                reason, cause = self._note(turn, error, block), getattr(error, "cause", Cause.PROTOCOL)
                taken_down = error.message if isinstance(error, Blocked) else None
                wait = error.retry_after
        # A new one: an error that is kept holds its frames, which hold it, and with them the connection of the reader.
        if taken_down is not None:
            raise Blocked(taken_down, reason=reason)
        if busy is not None:
            raise OutboundBusy(retry_after=busy)
        if unknown:
            raise RangesUnknown(MESSAGE, reason="no location is left that knows ranges")
        raise OriginFailed(MESSAGE, reason=reason, cause=cause, retry_after=wait)

    def close(self) -> None:
        """Let go of the source; what is read after that opens it again."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _require_wanted(self) -> None:
        if self.cancellation.cancelled:
            raise OriginFailed(MESSAGE, reason="the reader has gone")

    def _next_turn(self) -> bool:
        turn = self._order.next()
        if turn is not None:
            self._turn = turn
        return turn is not None

    def _open(self, turn: Turn, block: int) -> _Source:
        location = turn.blob.location
        if isinstance(location, Managed):
            return _Stored(self._services, turn.blob, location, block)
        if not isinstance(location, External):
            raise AssertionError("a candidate is stored or has an origin")  # noqa: TRY004 - a defect of ours
        span = block * BLOCK, min(self._size, (self._last + 1) * BLOCK)
        return OriginBlocks(self._services.egress, turn, span, self._size, self._asking(location, block))

    def _asking(self, location: External, block: int) -> Asking:
        """How this reader may ask an origin for the blocks from `block` on. Raises `RangesUnknown`, `OutboundBusy`."""
        reads, party = self._services.reads, PARTY.get()
        if not self.charged:
            return Asking(self._cdn_loop, self.cancellation)
        skip = max(reads.limits.skip, self.earned + (block - self._first) * BLOCK)
        if block * BLOCK > skip and reads.rangeless.has_failed(location.id):
            raise RangesUnknown(MESSAGE, reason="origin was seen to know no ranges")
        host = self._services.egress.parse(location.url).host
        reads.begin(party, host)
        return Asking(
            self._cdn_loop,
            self.cancellation,
            lambda size: reads.fetched(PARTY.get(), host, size),
            skip,
            lambda: reads.rangeless.failed(location.id),
        )

    def _note(self, turn: Turn, error: GlareError, block: int) -> str:
        """What failed is looked at soon, and why it failed. The reader may never notice, where another one delivers.

        Who was only not given much time has shown nothing that would be worth the whole download of a check.
        """
        reason: str = getattr(error, "reason", error.message)
        location = turn.blob.location
        _log.warning(
            "a location did not deliver a block",
            extra={"location": getattr(location, "id", None), "block": block, "reason": reason},
        )
        slow = turn.hurried and getattr(error, "cause", None) is Cause.TIMEOUT
        if (
            isinstance(location, External)
            and location.id
            and not slow
            and not isinstance(error, (Blocked, OutboundBusy))
        ):
            check_soon(self._services, location.id)
        return reason

    def _digest(self, block: int) -> bytes:
        """The recorded sha256 of a block. They are read as they are needed: a large content has many."""
        offset = (block - self._digests_from) * DIGEST_LENGTH
        if not 0 <= offset < len(self._digests):
            last = min(block_count(self._size), block + contents.BLOCKS_PER_ROW) - 1
            with self._services.db.look() as connection:
                self._digests = contents.block_digests(connection, self._sha256, block, last)
            self._digests_from, offset = block, 0
            if len(self._digests) != (last - block + 1) * DIGEST_LENGTH:
                raise GlareError("Block digests of a recorded content are missing from the database.")
        return self._digests[offset : offset + DIGEST_LENGTH]


class _Source(Protocol):
    """Where blocks come from, one after the other."""

    blob: Blob

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class _Stored:
    """An equal replica in a store of ours."""

    def __init__(self, services: Services, blob: Blob, location: Managed, block: int) -> None:
        self.blob = blob
        self._reader = services.store_with(location).open(location.object, block * BLOCK)

    def read(self, size: int, /) -> bytes:
        data = b""
        while len(data) < size and (piece := self._reader.read(size - len(data))):
            data += piece
        return data

    def close(self) -> None:
        self._reader.close()
