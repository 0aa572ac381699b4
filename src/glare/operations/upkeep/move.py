"""Moving blobs from one store to another, while they are read, written and deleted.

A blob moves in three steps: a new object is named and doomed, written with the bytes of the old one once these are
proven, and then named by the blob's row in one transaction, which dooms the old one. Nothing is kept of what was done:
what still names the source is what is left. `docs/explanation/moving-bytes.md` says what happens to whoever is killed,
and to two at once.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from glare.db import artifacts as artifact_rows
from glare.db import audit as audit_rows
from glare.db import blobs as blob_rows
from glare.db import fsck as rows
from glare.db import stores as store_rows
from glare.db.fsck import StoredBlob
from glare.db.stores import Chosen
from glare.digest import BLOCK
from glare.domain.audit import AuditEntry
from glare.domain.blob import Damage, Managed
from glare.domain.moment import HOUR
from glare.errors import GlareError, InvalidParameterValue, NotFound, StoreFull, StoreReadOnly, Unavailable
from glare.operations import damage
from glare.operations.damage import Unreadable
from glare.operations.slots.objects import remove_doomed
from glare.operations.upkeep.fsck import Stopped, Throttle
from glare.operations.upkeep.repair import repair

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from glare.domain.actor import Actor
    from glare.operations.services import Services
    from glare.stores.base import Store

_log = logging.getLogger(__name__)

_PAGE: Final = 64
_SMALL: Final = 8 << 20
"""Blobs up to this size (bytes) are named and swapped in one transaction with others."""
_TOGETHER: Final = 64 << 20
_TOGETHER_SECONDS: Final = 60
"""What is swapped together has so many bytes at most, and takes so long at the rate that is allowed."""
_ABANDONED_AFTER: Final = HOUR
"""What is being written is doomed from then on (microseconds), so that a process that dies leaves nothing. It is put
off while it is written."""
_REPORT_EVERY: Final = 1.0
_FAILING: Final = 16
"""So many blobs in a row that fail, none of them proven to be damaged, end the move: it is not the blobs' fault."""


class Kind(StrEnum):
    """What may come of a blob."""

    MOVED = "moved"
    REPAIRED = "repaired"
    CHANGED = "changed"
    DIFFERS = "differs"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be moved to the store `target`, and whose wish it is. `drain` goes on until nothing is left."""

    chosen: Chosen
    target: str
    actor: Actor
    drain: bool = False

    @property
    def source(self) -> str:
        return self.chosen.store


@dataclass(frozen=True, slots=True)
class Pace:
    """`rate` in bytes a second, 0 for no limit; `parallel` blobs are on their way at once."""

    rate: int
    parallel: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A blob that was not simply moved. `blob` is `type/artifact/path`; `detail` a sentence without a full stop."""

    kind: Kind
    location: Managed
    blob: str
    detail: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a move has come, of what there was as it began. `bytes` were read so far."""

    blobs: int
    bytes: int
    all_blobs: int
    all_bytes: int


@dataclass(slots=True)
class Summary:
    """What came of it. `done` is false for one that was stopped. `left` are the blobs that were wished and are still in
    the source, `uploads` those under way to it, `waiting` its objects that wait for their removal.
    """

    done: bool = True
    counts: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    left: int = 0
    uploads: int = 0
    waiting: int = 0


class _OtherBytes(GlareError):
    """The object has not the bytes that were recorded."""


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A blob, and the object that it is to have."""

    blob: StoredBlob
    to: Managed


@dataclass(frozen=True, slots=True)
class _Batch:
    """Blobs that are being written together. Large ones are swapped by those who write them."""

    parcels: Sequence[_Parcel]
    work: Sequence[Future[bool]]
    large: bool


class Move:
    """A move of blobs. `found` is called with each finding, `progress` now and then. `stop` ends it at the next block;
    what was not swapped by then is as it was.
    """

    def __init__(
        self,
        services: Services,
        wish: Wish,
        pace: Pace,
        found: Callable[[Finding], None],
        progress: Callable[[Progress], None],
        stop: threading.Event,
    ) -> None:
        self._services = services
        self._wish = wish
        self._parallel = pace.parallel
        self._found = found
        self._tell = progress
        self._throttle = Throttle(pace.rate, stop)
        self._together = min(_TOGETHER, pace.rate * _TOGETHER_SECONDS) if pace.rate else _TOGETHER
        self._summary = Summary()
        self._lock = threading.Lock()
        self._told_at = time.monotonic()
        self._all = (0, 0)
        self._passed: set[str] = set()  # Slots of blobs that stay where they are; none is tried twice.
        self._failed_in_row = 0

    def run(self) -> Summary:
        """Do it. Raises `NotFound` and `InvalidParameterValue` for stores and types that cannot be meant, and what a
        store raises that fails as a whole: what was moved by then is moved.
        """
        self._require()
        services, wish, summary = self._services, self._wish, self._summary
        with services.db.look() as connection:
            self._all = store_rows.totals(connection, wish.chosen)
        if wish.chosen.type_name is not None and not self._all[0]:
            services.types.get(wish.chosen.type_name)  # A misspelt one would have been moved without a word.
        self._note("begun")
        try:
            self._go_round()
        except Stopped:
            summary.done = False
        finally:
            self._report()
            self._note("ended")
        with services.db.look() as connection:
            summary.left = store_rows.totals(connection, wish.chosen)[0]
            found = store_rows.left(connection, wish.source)
        summary.uploads, summary.waiting = found.uploads, found.waiting
        return summary

    def _require(self) -> None:
        wish, stores = self._wish, self._services.stores
        read_only = self._services.rules.placing.read_only
        for name in (wish.source, wish.target):
            if name not in stores:
                raise NotFound(f"There is no store '{name}'; the stores are {', '.join(stores)}.")
        if wish.source == wish.target:
            raise InvalidParameterValue(f"Store '{wish.source}' cannot be moved to itself; name another store.")
        if wish.target in read_only:
            raise InvalidParameterValue(
                f"Store '{wish.target}' takes no new bytes ([store:{wish.target}] read_only); name another store."
            )
        if wish.drain and wish.source not in read_only:
            raise InvalidParameterValue(
                f"Store '{wish.source}' takes new bytes, so it would not stay empty; set read_only = true in "
                f"[store:{wish.source}] on all nodes, restart them, and drain it then."
            )
        with suppress(StoreFull, StoreReadOnly):  # It can be read, which is all that is needed.
            stores[wish.source].check()
        stores[wish.target].check()

    def _note(self, state: str) -> None:
        """Record in the audit log that it has begun, or how it has ended."""
        wish = self._wish
        detail = {
            "to": wish.target,
            "state": state,
            "type": wish.chosen.type_name,
            "project": wish.chosen.project,
            **({"bytes": self._summary.bytes, **self._summary.counts} if state == "ended" else {}),
        }
        action = "store_drain" if wish.drain else "store_move"
        entry = AuditEntry(self._services.clock(), action, wish.actor, target=wish.source, detail=detail)
        self._services.db.transact(lambda connection: audit_rows.record(connection, [entry]))

    def _go_round(self) -> None:
        """All blobs once, from a place that is chosen by chance: two who do so at once share the work. To drain a store
        is to do it again until nothing new is found.
        """
        begin = f"{int(self._services.chance() * 16**8):08x}"
        with ThreadPoolExecutor(self._parallel, "move") as pool:
            while True:
                found = sum(self._stretch(pool, after, until) for after, until in ((begin, None), ("", begin)))
                if not self._wish.drain or not found:
                    return

    def _stretch(self, pool: ThreadPoolExecutor, after: str, until: str | None) -> int:
        """Move what lies between two places; returns how many blobs were looked at. While one batch is swapped, the
        next one is written.
        """
        looked_at = 0
        begun: deque[_Batch] = deque()
        try:
            while True:
                with self._services.db.look() as connection:
                    page = store_rows.page(connection, self._wish.chosen, after, until, _PAGE)
                fresh = [blob for blob in page if blob.slot_id not in self._passed]
                looked_at += len(fresh)
                for batch in self._batches(fresh):
                    begun.append(self._begin(pool, batch))
                    if len(begun) > 1:
                        self._end(begun.popleft())
                if len(page) < _PAGE:
                    return looked_at
                after = page[-1].slot_id
        finally:
            self._end_all(begun)

    def _end_all(self, begun: deque[_Batch]) -> None:
        """What was begun comes to its end, also where the move ends with an error: nothing is left to be swept."""
        if begun:
            try:
                self._end(begun.popleft())
            finally:
                self._end_all(begun)

    def _batches(self, page: Sequence[StoredBlob]) -> Iterator[Sequence[StoredBlob]]:
        """Small blobs together; large ones after them, each on its own as far as its swap goes."""
        batch: list[StoredBlob] = []
        size = 0
        for blob in page:
            if self._is_large(blob):
                continue
            if batch and size + blob.size > self._together:
                yield batch
                batch, size = [], 0
            batch.append(blob)
            size += blob.size
        if batch:
            yield batch
        if large := [blob for blob in page if self._is_large(blob)]:
            yield large

    def _is_large(self, blob: StoredBlob) -> bool:
        return blob.size > min(_SMALL, self._together)

    def _begin(self, pool: ThreadPoolExecutor, batch: Sequence[StoredBlob]) -> _Batch:
        """Name new objects for these, and have them written side by side."""
        parcels = [_Parcel(blob, Managed(self._wish.target, uuid.uuid4().hex)) for blob in batch]
        if large := self._is_large(batch[0]):
            return _Batch(parcels, [pool.submit(self._alone, parcel) for parcel in parcels], large)
        self._name(parcels)
        return _Batch(parcels, [pool.submit(self._written, parcel) for parcel in parcels], large)

    def _end(self, batch: _Batch) -> None:
        """Wait until they are written, and swap them."""
        failed: BaseException | None = None
        written: list[_Parcel] = []
        for parcel, work in zip(batch.parcels, batch.work, strict=True):
            try:
                if work.result():
                    written.append(parcel)
            except BaseException as one:  # noqa: BLE001 - what the others have written is swapped first
                failed = failed or one
        if not batch.large:
            self._finish(batch.parcels, written)
        if failed is not None:
            raise failed

    def _alone(self, parcel: _Parcel) -> bool:
        """Name, write and swap one. Its transactions do not wait for those of others."""
        self._name([parcel])
        written: list[_Parcel] = []
        try:
            if self._written(parcel):
                written.append(parcel)
        finally:
            self._finish([parcel], written)
        return False

    def _finish(self, parcels: Sequence[_Parcel], written: Sequence[_Parcel]) -> None:
        """Swap what was written, and let go of the other names, which else wait for an hour."""
        if written:
            self._swap(written)
        unused = [parcel.to for parcel in parcels if parcel not in written]
        if unused:
            self._services.db.transact(lambda connection: blob_rows.hurry_objects(connection, unused))
            remove_doomed(self._services, unused)

    def _name(self, parcels: Sequence[_Parcel]) -> None:
        until = self._services.clock() + _ABANDONED_AFTER
        objects = [parcel.to for parcel in parcels]
        self._services.db.transact(lambda connection: blob_rows.doom(connection, objects, until))

    def _written(self, parcel: _Parcel) -> bool:
        """Whether the new object has the right bytes, durably. Raises what a store raises that fails as a whole."""
        blob = parcel.blob
        self._throttle.spend(0)
        try:
            try:
                self._copy(parcel)
            except _OtherBytes:  # Once more: what went wrong on its way through memory is no damage.
                self._copy(parcel)
        except (Unavailable, StoreFull, StoreReadOnly):
            raise
        except _OtherBytes as failed:
            return self._damaged(blob, Damage.DIFFERS, failed.message)
        except NotFound:
            return self._damaged(blob, Damage.MISSING, "the store does not have it")
        except Unreadable as failed:
            return self._damaged(blob, Damage.UNREADABLE, failed.reason)
        except GlareError as failed:
            self._leave(Kind.FAILED, blob, failed.message)
            self._failed_in_row += 1
            if self._failed_in_row >= _FAILING:
                raise
            return False
        self._failed_in_row = 0
        if blob.damage is not None:
            damage.mark(self._services, blob, None, "it is as it was recorded again")
        return True

    def _copy(self, parcel: _Parcel) -> None:
        location, path = parcel.blob.location, parcel.blob.slot.path
        damage.read_again(self._services, location, path, partial(self._copy_once, parcel))

    def _copy_once(self, parcel: _Parcel) -> None:
        """Write the new object with the bytes of the old one, which are hashed as they go by; commit it only if they
        are the recorded ones.
        """
        blob, digest, put_off_at = parcel.blob, hashlib.sha256(), self._services.clock()
        with (
            self._store(blob.location).open(blob.location.object) as reader,
            self._store(parcel.to).create(parcel.to.object, blob.size) as writer,
        ):
            while reader.size <= blob.size and (data := reader.read(BLOCK)):
                digest.update(data)
                writer.write(data)
                self._pace(len(data))
                now = self._services.clock()
                if now - put_off_at > _ABANDONED_AFTER // 4:
                    put_off_at = now
                    self._hold(parcel, now + _ABANDONED_AFTER)
            if reader.size > blob.size:
                raise _OtherBytes(f"it has more than the {blob.size} bytes that were recorded")
            if reader.size != blob.size:
                raise _OtherBytes(f"it has {reader.size} bytes, and {blob.size} were recorded")
            if digest.hexdigest() != blob.sha256:
                raise _OtherBytes(f"its sha256 is {digest.hexdigest()}, and {blob.sha256} was recorded")
            writer.commit()

    def _store(self, location: Managed) -> Store:
        return self._services.stores[location.store]

    def _hold(self, parcel: _Parcel, until: int) -> None:
        self._services.db.transact(partial(blob_rows.hold, location=parcel.to, until=until))

    def _pace(self, size: int) -> None:
        with self._lock:
            self._summary.bytes += size
            due = time.monotonic() - self._told_at >= _REPORT_EVERY
            if due:
                self._told_at = time.monotonic()
        if due:
            self._report()
        self._throttle.spend(size)

    def _damaged(self, blob: StoredBlob, what: Damage, detail: str) -> bool:
        """Mark what is damaged, and move equal bytes where some blob has them. Always False: it is no copy of these."""
        with self._services.db.look() as connection:
            still = rows.blob_with(connection, blob.location)
        if still is None:
            self._count(Kind.CHANGED)
            return False
        if blob.damage is not what and not damage.mark(self._services, blob, what, detail):
            self._count(Kind.CHANGED)
            return False
        try:
            if repair(self._services, blob, self._pace, self._wish.target):
                self._tell_of(Kind.REPAIRED, blob, detail)
                return False
        except (Unavailable, StoreFull, StoreReadOnly):
            raise
        except GlareError as failed:
            _log.warning("damaged bytes could not be repaired", extra={"reason": failed.message})
        self._leave(Kind(what.value), blob, detail)
        return False

    def _leave(self, kind: Kind, blob: StoredBlob, detail: str) -> None:
        with self._lock:
            self._passed.add(blob.slot_id)
        self._tell_of(kind, blob, detail)

    def _tell_of(self, kind: Kind, blob: StoredBlob, detail: str) -> None:
        self._count(kind)
        with self._lock:
            self._found(Finding(kind, blob.location, f"{blob.type_name}/{blob.artifact_id}/{blob.slot.path}", detail))

    def _count(self, kind: Kind) -> None:
        with self._lock:
            self._summary.counts[kind] = self._summary.counts.get(kind, 0) + 1

    def _swap(self, parcels: Sequence[_Parcel]) -> None:
        """Let the rows name the new objects, where they still name the old ones. What lost a race is removed."""
        swapped = self._services.db.transact(partial(_swap_in, self._services, parcels))
        for kind in swapped.values():
            self._count(kind)
        remove_doomed(
            self._services,
            [each for parcel in parcels for each in (parcel.to, parcel.blob.location)]
            if not self._services.rules.removal_delay
            else [parcel.to for parcel in parcels if swapped[parcel.to] is not Kind.MOVED],
        )

    def _report(self) -> None:
        counts = self._summary.counts
        done = counts.get(Kind.MOVED, 0) + counts.get(Kind.REPAIRED, 0)
        self._tell(Progress(done, self._summary.bytes, *self._all))


def _swap_in(services: Services, parcels: Sequence[_Parcel], connection: Connection) -> dict[Managed, Kind]:
    """What came of each, by its new object."""
    keep_until = services.clock() + services.rules.removal_delay
    # Nobody lets go of the old objects while they are exchanged.
    artifact_rows.lock_all(connection, [parcel.blob.artifact_id for parcel in parcels])
    ours = blob_rows.take_back(connection, parcels[0].to.store, [parcel.to.object for parcel in parcels])
    # One that is not ours any more took so long that it was taken for abandoned.
    replaced = rows.replace_objects(
        connection, [(parcel.blob, parcel.to) for parcel in parcels if parcel.to.object in ours]
    )
    swapped = {parcel.to: Kind.MOVED if parcel.blob.slot_id in replaced else Kind.CHANGED for parcel in parcels}
    blob_rows.doom(
        connection,
        [each.to for each in parcels if each.to.object in ours and each.blob.slot_id not in replaced],
    )
    old = [parcel.blob.location for parcel in parcels if parcel.blob.slot_id in replaced]
    blob_rows.doom(connection, old, keep_until)
    return swapped
