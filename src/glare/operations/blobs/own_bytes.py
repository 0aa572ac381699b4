"""Reading what stores keep so that no wrong byte leaves: only blocks whose sha256 was checked come out.

What one object does not deliver comes from the next equal one: replicas of the same folder first, then other blobs of
the same content that the caller may read, then origins of the folder. An object that is marked as damaged is asked
last.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from glare.db import blobs as blob_rows
from glare.digest import BLOCK
from glare.domain.blob import Blob, Managed
from glare.errors import ClientDisconnected, GlareError
from glare.operations.blobs.download import copies_of
from glare.operations.reading.block_digests import BlockDigests
from glare.operations.reading.checked_object import CheckedObject, Recorded
from glare.operations.reading.equal_objects import EqualObjects
from glare.operations.reading.verified_stream import VerifiedStream

if TYPE_CHECKING:
    from glare.operations.blobs.download import Download
    from glare.operations.services import Services


_log = logging.getLogger(__name__)


class OwnBytes:
    """The bytes `first` to `last` (both included) of a stored content, in checked pieces of up to 1 MiB.

    `open` reads and checks the first piece's block, so that what is damaged is known before anything is answered.
    Everything runs in one worker thread at a time, but `cancel`, which ends a wait for an origin. Raises `BlobDamaged`,
    `NotFound`, `Unavailable` or another error of the store where nothing delivers a block, and `OriginFailed` or
    `Blocked` where origins were asked too.
    """

    def __init__(self, services: Services, found: Download, first: int, last: int, cdn_loop: str = "") -> None:
        self._services = services
        self._found = found
        self._first, self._last = first, last
        self._block, self._last_block = first // BLOCK, last // BLOCK
        self._cdn_loop = cdn_loop
        digests = BlockDigests(services, found.digests.sha256, found.size)
        self._recorded = Recorded(found.size, self._last_block, found.slot.path, digests)
        stored = [blob for blob in (*found.candidates, *found.copies) if isinstance(blob.location, Managed)]
        marked = [blob for blob in stored if blob.damage is not None]
        sound = [blob for blob in stored if blob.damage is None]
        outside = [blob for blob in found.candidates if blob.external]
        asked = [self._object(blob) for blob in (sound if outside else [*sound, *marked])]
        self._objects = EqualObjects(services, found.slot.path, asked)
        self._looked_elsewhere = bool(found.copies)
        self._others = [*outside, *marked] if outside else []
        self._outside: VerifiedStream | None = None
        self._ready: bytes | None = None
        self._cancelled = False
        self._held_at = services.clock()

    def open(self) -> None:
        """Read and check the first block."""
        if self._found.size:
            self._ready = self._piece()

    def read(self) -> bytes:
        """The next checked piece, empty at the end."""
        if self._ready is not None:
            piece, self._ready = self._ready, None
            return piece
        self._hold()
        return self._piece() if self._found.size and self._block <= self._last_block else b""

    def cancel(self) -> None:
        """End it from another thread: the reader has gone. Files are read without waiting for anybody, origins are
        not.
        """
        self._cancelled = True
        if self._outside is not None:
            self._outside.cancel()

    def close(self) -> None:
        """Let go of what is open."""
        self._objects.close()
        if self._outside is not None:
            self._outside.close()

    def _piece(self) -> bytes:
        if self._outside is not None:
            return self._outside.read()
        block = self._block
        data = self._checked(block)
        if data is None:
            return self._go_outside(block)
        self._block += 1
        start = block * BLOCK
        begin, end = max(self._first - start, 0), min(self._last + 1 - start, len(data))
        return data if begin == 0 and end == len(data) else data[begin:end]

    def _checked(self, block: int) -> bytes | None:
        """The block from the first object that delivers it; None where origins have to."""
        data = self._objects.block(block, self._elsewhere)
        try:
            if isinstance(data, bytes):
                return data
            if self._others:
                return None
            raise data
        finally:
            del data  # An error holds its frames, which must not hold it.

    def _elsewhere(self) -> list[CheckedObject]:
        """Other blobs of the same content that the caller may read. They are looked for once, and stay."""
        if self._looked_elsewhere:
            return []
        self._looked_elsewhere = True
        return [self._object(blob) for blob in copies_of(self._services, self._found)]

    def _go_outside(self, block: int) -> bytes:
        begin = max(self._first, block * BLOCK)
        self._outside = outside = VerifiedStream(self._services, self._others, begin, self._last, self._cdn_loop)
        outside.earned = begin - self._first
        if self._cancelled:
            outside.cancel()
        outside.open()
        return outside.read()

    def _object(self, blob: Blob) -> CheckedObject:
        if not isinstance(blob.location, Managed):
            raise AssertionError("only what a store has is read from it")  # noqa: TRY004 - a defect of ours
        trusted = blob.damage is None and blob.location.store in self._services.rules.trusted_stores
        return CheckedObject(self._services, blob.location, self._recorded, self._require_wanted, trusted=trusted)

    def _require_wanted(self, _size: int) -> None:
        """An object that has to be proven is read whole, for as long as somebody waits for it."""
        if self._cancelled:
            raise ClientDisconnected

    def _hold(self) -> None:
        """Keep what is being read from its removal, where it takes long. Each object that was let go of meanwhile stays
        a while already.
        """
        delay = self._services.rules.removal_delay
        now = self._services.clock()
        if not delay or now - self._held_at < delay // 3:
            return
        self._held_at = now
        location = self._objects.first().location
        try:
            self._services.db.transact(lambda connection: blob_rows.hold(connection, location, now + delay))
        except GlareError:  # There is time for two more tries, and what is read may not be doomed at all.
            _log.warning("an object that is read could not be held", extra={"object": location.object}, exc_info=True)
