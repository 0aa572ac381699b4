"""Checked blocks of a content, from whichever of its locations delivers them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from glare.context import PARTY
from glare.digest import BLOCK
from glare.domain.blob import Blob, External, Managed
from glare.egress.cancellation import Cancellation
from glare.errors import Blocked, Cause, GlareError, OriginFailed, OutboundBusy, Unavailable
from glare.operations import damage
from glare.operations.reading.asking_order import AskingOrder, Turn
from glare.operations.reading.block_digests import BlockDigests, NoBlockDigests
from glare.operations.reading.check_soon import check_soon
from glare.operations.reading.checked_object import CheckedObject, Recorded
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
        self._source: OriginBlocks | _Stored | None = None
        self._digests = BlockDigests(services, self._sha256, self._size)
        self.cancellation = Cancellation()
        self.charged = True
        self.earned = 0

    def read(self, block: int) -> bytes:
        """The block from the source at hand, or from whoever is next to deliver it."""
        self._require_wanted()
        reason, cause, taken_down, wait = "no location is left", Cause.PROTOCOL, None, None
        busy: int | None = None  # When to come back, where one of them was not asked for want of room.
        unknown, unrecorded = False, False
        doubtful: list[_Stored] = []
        while self._source is not None or self._next_turn():
            turn = self._turn
            try:
                data = self._checked(turn, block)
                self._order.delivered(turn.blob)
                self._condemn(doubtful, block)
                return data
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
                if isinstance(error, NoBlockDigests):
                    unrecorded = True  # That is no fault of an origin's.
                    continue
                if isinstance(source, _Stored):
                    doubtful += self._suspect(source, error, block)
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
        if (settled := self._settled(doubtful, block)) is not None:
            return settled
        # A new one: an error that is kept holds its frames, which hold it, and with them the connection of the reader.
        if taken_down is not None:
            raise Blocked(taken_down, reason=reason)
        if busy is not None:
            raise OutboundBusy(retry_after=busy)
        if unknown:
            raise RangesUnknown(MESSAGE, reason="no location is left that knows ranges")
        if unrecorded:
            raise NoBlockDigests("Block digests of a recorded content are missing from the database.")
        raise OriginFailed(MESSAGE, reason=reason, cause=cause, retry_after=wait)

    def _checked(self, turn: Turn, block: int) -> bytes:
        """The block, from who has its turn. Raises `Doubtful` for one of a store that differs, `OriginFailed` for one
        of an origin.
        """
        if self._source is None:
            self._source = self._open(turn, block)
        if isinstance(self._source, _Stored):
            return self._source.read(block)
        data = self._source.read(min(BLOCK, self._size - block * BLOCK))
        if self._digests.fit(block, data):
            return data
        raise OriginFailed(MESSAGE, reason=f"block {block} of sha256 {self._sha256} differs")

    def _suspect(self, stored: _Stored, failed: GlareError, block: int) -> list[_Stored]:
        """Tell of an object that did not deliver; it is returned where it may be right all the same."""
        if isinstance(failed, damage.Doubtful):
            return [stored]
        damage.seen(self._services, stored.location, failed, f"block {block}: {failed.message}")
        return []

    def _condemn(self, doubtful: Sequence[_Stored], block: int) -> None:
        """Somebody has the block as it was recorded, so these are wrong."""
        for stored in doubtful:
            wrong = damage.not_as_recorded(stored.blob.slot.path)
            damage.seen(self._services, stored.location, wrong, f"block {block}: {wrong.message}")

    def _settled(self, doubtful: Sequence[_Stored], block: int) -> bytes | None:
        """Nobody has the block as it was recorded: the first of these that is right as a whole shows that the record is
        wrong. None where none is.
        """
        for stored in doubtful:
            try:
                data = stored.settled(block)
            except GlareError as failed:
                stored.close()
                if self.cancellation.cancelled:
                    raise
                damage.seen(self._services, stored.location, failed, f"block {block}: {failed.message}")
            else:
                self._source, self._turn = stored, Turn(stored.blob, hurried=False)
                return data
        return None

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

    def _open(self, turn: Turn, block: int) -> OriginBlocks | _Stored:
        location = turn.blob.location
        if isinstance(location, Managed):
            recorded = Recorded(self._size, self._last, turn.blob.slot.path, self._digests)
            return _Stored(turn.blob, location, CheckedObject(self._services, location, recorded, self._pace))
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

    def _pace(self, _size: int) -> None:
        self._require_wanted()

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


class _Stored:
    """An equal replica in a store of ours."""

    def __init__(self, blob: Blob, location: Managed, checked: CheckedObject) -> None:
        self.blob = blob
        self.location = location
        self._checked = checked

    def read(self, block: int) -> bytes:
        return self._checked.block(block)

    def settled(self, block: int) -> bytes:
        return self._checked.settled(block)

    def close(self) -> None:
        self._checked.close()
