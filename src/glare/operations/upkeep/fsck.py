"""Check stored bytes: read every blob of a store again, then look for objects that no blob has.

A check is resumable: how far it has come is kept in the database, blob by blob, and whoever starts the next one goes on
there. It runs beside the service, on any node; a mark is set only on the object that was read, never on one that has
taken its place.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from glare.db import blobs as blob_rows
from glare.db import contents
from glare.db import fsck as rows
from glare.db.fsck import Run, StoredBlob
from glare.digest import BLOCK, DIGEST_LENGTH, block_count
from glare.domain.blob import Damage, Managed
from glare.domain.moment import MINUTE, SECOND
from glare.errors import Conflict, GlareError, NotFound, StoreFull, StoreReadOnly, Unavailable
from glare.operations.damage import Unreadable, mark, read_again
from glare.operations.services import Services
from glare.operations.slots.objects import remove_doomed
from glare.stores.base import Store
from glare.stores.contract import Entry

_log = logging.getLogger(__name__)

_PAGE: Final = 100
_OBJECTS: Final = 500
_SAVE_EVERY: Final = 5.0
_DEAD_AFTER: Final = MINUTE
_MOST_REMEMBERED: Final = 0.5
"""So many seconds of unused rate may be caught up with: a check that waited for a store must not then run at full
speed."""


class Kind(StrEnum):
    """What a check may find."""

    MISSING = "missing"
    DIFFERS = "differs"
    UNREADABLE = "unreadable"
    RECOVERED = "recovered"
    ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has found. `blob` is `type/artifact/path`, None for an orphan; `detail` a sentence without
    a full stop.
    """

    kind: Kind
    location: Managed
    blob: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Options:
    """`rate` in bytes a second, 0 for no limit; `orphan_age` in seconds; `restart` forgets what an interrupted check
    has done.
    """

    rate: int
    orphan_age: float
    restart: bool = False
    remove_orphans: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check has come, with what the store has in all. Sizes in bytes."""

    store: str
    phase: str
    blobs: int
    bytes: int
    all_blobs: int
    all_bytes: int
    objects: int


@dataclass(slots=True)
class Summary:
    """What checks have counted. `done` is false for one that was stopped."""

    done: bool = True
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong that was not repaired."""
        wrong = (Kind.MISSING, Kind.DIFFERS, Kind.UNREADABLE, Kind.ORPHAN)
        return self.done and not any(self.counts.get(kind) for kind in wrong)


class Stopped(Exception):
    """The check was told to stop."""


class Throttle:
    """Lets `rate` bytes a second pass, 0 for any number, of all threads together. Raises `Stopped` when it is told to
    stop.
    """

    def __init__(self, rate: int, stop: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._stop = stop
        self._clock = clock
        self._due = clock()
        self._lock = threading.Lock()

    def spend(self, size: int) -> None:
        """`size` bytes were read: wait until more may be."""
        if self._rate:
            with self._lock:
                now = self._clock()
                self._due = due = max(self._due, now - _MOST_REMEMBERED) + size / self._rate
            if due > now:
                self._stop.wait(due - now)
        if self._stop.is_set():
            raise Stopped


def read_whole(store: Store, name: str, passed: Callable[[int], None]) -> tuple[int, str]:
    """Size and sha256 of an object as it is; `passed` is called with the size of each piece that was read."""
    digest = hashlib.sha256()
    with store.open(name) as reader:
        while data := reader.read(BLOCK):
            digest.update(data)
            passed(len(data))
    return reader.size, digest.hexdigest()


def is_there(store: Store, name: str) -> bool:
    """Whether an object was not just on its way out while a list was read."""
    try:
        store.size(name)
    except NotFound:
        return False
    return True


@dataclass(slots=True)
class Check:
    """A check of all that is in some stores.

    `found` is called with each finding, `progress` now and then with how far it is. `stop` ends it after the piece that
    is being read.
    """

    services: Services
    options: Options
    found: Callable[[Finding], None]
    progress: Callable[[Progress], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, stores: Sequence[str]) -> Summary:
        """Check these stores, one after the other.

        Raises `NotFound` for a store that does not exist, `Unavailable` for one that is not at its place (nothing is
        marked then), `Conflict` where somebody else checks it.
        """
        summary = Summary()
        for name in stores:
            store = self.services.stores.get(name)
            if store is None:
                known = ", ".join(self.services.stores)
                raise NotFound(f"There is no store '{name}'; the stores are {known}.")
            run = _StoreCheck(self, store)
            summary.done = run.to_the_end() and summary.done
            for kind, count in run.counts.items():
                summary.counts[kind] = summary.counts.get(kind, 0) + count
            if self.stop.is_set():
                break
        return summary


class _StoreCheck:
    """The check of one store."""

    def __init__(self, check: Check, store: Store) -> None:
        self._check = check
        self._services = check.services
        self._store = store
        self._throttle = Throttle(check.options.rate, check.stop)
        self._saved_at = time.monotonic()
        with suppress(StoreFull, StoreReadOnly):  # It can be read, which is all that is needed.
            store.check()
        now = self._services.clock()
        mine = Run(store.name, uuid.uuid4().hex, now)
        self._run = self._services.db.transact(
            lambda connection: rows.claim(connection, mine, now, now - _DEAD_AFTER, restart=check.options.restart)
        )
        with self._services.db.read() as connection:
            self._all = rows.totals(connection, store.name)

    @property
    def counts(self) -> dict[str, int]:
        return self._run.counts

    def to_the_end(self) -> bool:
        """Do all that is left; False when it was told to stop."""
        try:
            if self._run.phase == rows.BLOBS:
                self._check_blobs()
                self._run.phase, self._run.position = rows.OBJECTS, ""
                self._save()
            self._check_objects()
        except Stopped:
            self._save()
            self._services.db.transact(lambda connection: rows.release(connection, self._run))
            return False
        self._report()
        self._services.db.transact(lambda connection: rows.finish(connection, self._run))
        return True

    def _check_blobs(self) -> None:
        while True:
            with self._services.db.read() as connection:
                page = rows.page(connection, self._store.name, self._run.position, _PAGE)
            for blob in page:
                self._check_blob(blob)
                self._count("blobs")
                self._count("bytes", blob.size)
                self._run.position = blob.slot_id
                self._save_now_and_then()
            if len(page) < _PAGE:
                return

    def _check_blob(self, blob: StoredBlob) -> None:
        try:
            size, sha256 = read_again(self._services, blob.location, blob.slot.path, lambda: self._read(blob.location))
        except NotFound:
            self._mark(blob, Damage.MISSING, "the store does not have it")
            return
        except Unavailable:
            raise  # The store, or the database, is not there: that says nothing about any blob.
        except Unreadable as failed:
            self._mark(blob, Damage.UNREADABLE, failed.reason)
            return
        except GlareError as failed:
            self._find(Kind.UNREADABLE, blob.location, blob, failed.message)
            return
        if (size, sha256) == (blob.size, blob.sha256):
            self._mark(blob, None, "it is as it was recorded again")
        elif size != blob.size:
            self._mark(blob, Damage.DIFFERS, f"it has {size} bytes, and {blob.size} were recorded")
        else:
            self._mark(
                blob, Damage.DIFFERS, f"its sha256 is {sha256}, and {blob.sha256} was recorded{self._where(blob)}"
            )

    def _read(self, location: Managed) -> tuple[int, str]:
        """Size and sha256 of an object as it is."""

        def passed(size: int) -> None:
            self._throttle.spend(size)
            self._save_now_and_then()

        return read_whole(self._store, location.object, passed)

    def _where(self, blob: StoredBlob) -> str:
        """Where the first byte that differs is, to a block, for whoever repairs it."""
        try:
            return self._first_difference(blob)
        except Unavailable:
            raise
        except GlareError:
            return ""  # It went meanwhile, perhaps; whether that is right, the mark finds out.

    def _first_difference(self, blob: StoredBlob) -> str:
        last = block_count(blob.size) - 1
        with self._services.db.read() as connection:
            recorded = contents.block_digests(connection, blob.sha256, 0, last)
        if len(recorded) != (last + 1) * DIGEST_LENGTH:
            return ""
        for block in range(last + 1):
            start = block * BLOCK
            data = self._block(blob.location, start)
            if hashlib.sha256(data).digest() != recorded[block * DIGEST_LENGTH : (block + 1) * DIGEST_LENGTH]:
                return f"; the first difference is within bytes {start} to {start + len(data) - 1}"
        return ""

    def _block(self, location: Managed, start: int) -> bytes:
        """The block of an object that begins at `start`."""
        parts = []
        with self._store.open(location.object, start, BLOCK) as reader:
            while data := reader.read(BLOCK):
                parts.append(data)
                self._throttle.spend(len(data))
        return b"".join(parts)

    def _mark(self, blob: StoredBlob, damage: Damage | None, detail: str) -> None:
        """Mark what was found where it is news, and tell it. What is no longer the object that was read is left
        alone.
        """
        kind = Kind(damage.value) if damage is not None else Kind.RECOVERED
        if damage is not blob.damage:
            if not mark(self._services, blob, damage, detail):
                return
        elif damage is None:
            return
        self._find(kind, blob.location, blob, detail)

    def _check_objects(self) -> None:
        entries = self._store.entries(self._run.position)
        oldest = self._services.clock() / SECOND - self._check.options.orphan_age
        while batch := list(islice(entries, _OBJECTS)):
            self._throttle.spend(0)
            self._check_entries([entry for entry in batch if entry.stored_at <= oldest])
            self._count("objects", len(batch))
            self._run.position = batch[-1].name
            self._save_now_and_then()

    def _check_entries(self, entries: Sequence[Entry]) -> None:
        sizes = {entry.name: entry.size for entry in entries}
        with self._services.db.read() as connection:
            unknown = rows.unknown(connection, self._store.name, list(sizes))
        orphans = [Managed(self._store.name, name) for name in unknown if is_there(self._store, name)]
        remove = self._check.options.remove_orphans
        if remove and orphans:
            orphans = self._services.db.transact(lambda connection: self._doom(connection, orphans))
            remove_doomed(self._services, orphans)
        for location in orphans:
            size = sizes[location.object]
            detail = f"no blob has these {size} bytes" + ("; removed" if remove else "; --remove-orphans removes them")
            self._find(Kind.ORPHAN, location, None, detail, counted=not remove)
            if remove:
                self._count("removed")

    def _doom(self, connection: Connection, orphans: Sequence[Managed]) -> list[Managed]:
        """Hand those that are still orphans to their removal."""
        names = rows.unknown(connection, self._store.name, [orphan.object for orphan in orphans])
        doomed = [Managed(self._store.name, name) for name in names]
        blob_rows.doom(connection, doomed)
        return doomed

    def _find(
        self, kind: Kind, location: Managed, blob: StoredBlob | None, detail: str, *, counted: bool = True
    ) -> None:
        if counted:
            self._count(kind)
        path = f"{blob.type_name}/{blob.artifact_id}/{blob.slot.path}" if blob is not None else None
        self._check.found(Finding(kind, location, path, detail))

    def _count(self, what: str, by: int = 1) -> None:
        self._run.counts[what] = self._run.counts.get(what, 0) + by

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved_at >= _SAVE_EVERY:
            self._save()
            self._report()

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        now = self._services.clock()
        if not self._services.db.transact(lambda connection: rows.save(connection, self._run, now)):
            raise Conflict(f"Another check of store '{self._store.name}' has taken over from this one.")

    def _report(self) -> None:
        counts = self._run.counts
        done = (counts.get("blobs", 0), counts.get("bytes", 0))
        self._check.progress(Progress(self._store.name, self._run.phase, *done, *self._all, counts.get("objects", 0)))
