"""Fetching checked blocks of a content from whichever of its locations delivers them, for all who read it at the same time.

A `Fetch` is one pass over the blocks. Whichever reader needs the next block first reads it, for all; a reader that is slow delays nobody,
and when it has fallen behind what is kept it begins a fetch of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from glare.context import PARTY
from glare.db import contents
from glare.digest import BLOCK, DIGEST_LENGTH, block_count
from glare.domain.blob import Blob, External, Managed
from glare.egress.cancellation import Cancellation
from glare.errors import Blocked, Cause, GlareError, OriginFailed, OutboundBusy, Unavailable
from glare.operations import damage
from glare.operations.reading.asking_order import AskingOrder, Turn
from glare.operations.reading.check_soon import check_soon
from glare.operations.reading.origin_blocks import MESSAGE, Asking, OriginBlocks, RangesUnknown

if TYPE_CHECKING:
    from glare.operations.services import Services

_log = logging.getLogger(__name__)

_LEAST: Final = 2
_ALONE: Final = 4  # While one reader takes part: enough for another one that begins at the same time to join.
_MOST: Final = 8
_LOOK_UP: Final = (
    0.1  # Seconds after which a reader that waits for another one's block sees whether it is still wanted.
)


class Behind(Exception):
    """The block is not kept any more."""


class Fetch:
    """One pass over the blocks `first` to `last` of a content, from the first of `candidates` that delivers.

    Whatever fails is followed by the next candidate, at the same block; see `AskingOrder`. Methods may be called by any thread.
    """

    def __init__(
        self, services: Services, fetches: Fetches, candidates: Sequence[Blob], first: int, last: int, cdn_loop: str
    ) -> None:
        blob = candidates[0]
        if blob.digests is None or blob.size is None:
            raise AssertionError("only what was measured can be checked")
        self._services = services
        self._fetches = fetches
        self._order = AskingOrder(services.egress, candidates)
        self._turn = Turn(blob, hurried=False)
        self._sha256 = blob.digests.sha256
        self._size = blob.size
        self._last = last
        self._cdn_loop = cdn_loop
        self._first = first
        self._next = first
        self._kept: dict[int, bytes] = {}
        self._source: _Source | None = None
        self._digests = b""
        self._digests_from = first
        self._ready = threading.Condition()
        self._reading = False
        self._failure: str | None = None
        self.cancellation = Cancellation()
        self.charged = True  # To whoever reads; a job charges by itself.
        self.earned = 0  # Bytes of what comes before, which the reader was sent: so many may be read once more.
        self.readers = 0  # Who takes part, also where the client has gone and a thread is not back yet.
        self.wanted_by: set[object] = set()

    def covers(self, block: int, last: int) -> bool:
        """Whether a reader that wants the blocks `block` to `last` can take part."""
        with self._ready:
            usable = self._failure is None and not self.cancellation.cancelled and last <= self._last
            return usable and (block in self._kept or block == self._next)

    def take(self, block: int, wanted: Cancellation) -> bytes:
        """The checked block. Raises `Behind`, and `OriginFailed` where no candidate delivers it, or it is `wanted` no more."""
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
        if self._source is not None:
            self._source.close()
            self._source = None

    def _read_next(self) -> bytes:
        """Read the next block, which this thread alone does, and keep it for the others."""
        try:
            data = self._checked(self._next)
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

    def _checked(self, block: int) -> bytes:
        """The block from the source at hand, or from whoever is next to deliver it."""
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
        """A reader has gone: once nobody wants it, nobody waits for the origin any longer. May be called anywhere, and again."""
        with self._lock:
            fetch.wanted_by.discard(reader)
            if not fetch.wanted_by:
                fetch.cancellation.cancel()

    @property
    def live(self) -> int:
        """How many fetches are under way."""
        return self._live


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
