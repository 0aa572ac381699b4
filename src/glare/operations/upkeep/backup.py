"""Compare the database with the stores, in both directions, and change nothing in either.

The names of a store's objects come in their order from the store and from the database, and the two are walked side by
side: one list of the store and a statement for each page, whatever there is, in bounded memory. It may run beside the
service. What the lists do not agree on is asked for once more, so that nothing counts that came or went meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from glare.db import fsck as rows
from glare.db.engine import Database
from glare.db.fsck import StoredBlob, Use
from glare.domain.blob import Managed
from glare.domain.wording import counted
from glare.errors import GlareError, NotFound
from glare.operations.upkeep.fsck import Stopped, Throttle, is_there, read_whole
from glare.operations.upkeep.prepare_stores import StoreState, read_stores
from glare.stores.base import Store
from glare.stores.contract import Entry, ObjectFailed

_PAGE: Final = 500
_REPORT_EVERY: Final = 5.0


class Kind(StrEnum):
    """What a comparison may find. The first four are what `glare-server fsck` calls so too."""

    MISSING = "missing"
    DIFFERS = "differs"
    UNREADABLE = "unreadable"
    ORPHAN = "orphan"
    IDENTITY = "identity"
    UNCONFIGURED = "unconfigured"
    UNAVAILABLE = "unavailable"


WRONG: Final = (Kind.MISSING, Kind.DIFFERS, Kind.UNREADABLE, Kind.IDENTITY, Kind.UNCONFIGURED)
"""Findings with which something that the database needs is not there. Objects that nothing needs do no harm."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not agree. `object` is None for what is said of a whole store, `blob` where no blob is
    concerned; `detail` is a sentence without a full stop.
    """

    kind: Kind
    store: str
    object: str | None
    blob: StoredBlob | None
    detail: str


@dataclass(frozen=True, slots=True)
class Options:
    """`read` reads all bytes, `rate` of them a second at most, 0 for no limit."""

    read: bool = False
    rate: int = 0


@dataclass(slots=True)
class StoreReport:
    """One store: the identity that the database knows and the one that is here, what the database has in it, and what
    was counted. `done` is false where it could not be compared to the end.
    """

    name: str
    known: str | None
    found: str | None
    blobs: int
    bytes: int
    objects: int = 0
    compared: int = 0
    read: int = 0
    under_way: int = 0
    due_for_removal: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    done: bool = False


@dataclass(slots=True)
class Report:
    """What was compared. `done`: all of it, to the end; `whole`: all that the database needs was there."""

    stores: list[StoreReport] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not any(store.counts.get(kind) for store in self.stores for kind in WRONG)

    @property
    def done(self) -> bool:
        return all(store.done for store in self.stores)


@dataclass(slots=True)
class Comparison:
    """A comparison of a database with stores. `stores` must not compare identities themselves.

    `found` is called with each finding, `progress` now and then with how far a store is. `stop` ends it after the piece
    that is being read.
    """

    db: Database
    stores: Mapping[str, Store]
    options: Options
    found: Callable[[Finding], None]
    progress: Callable[[StoreReport], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, names: Sequence[str] = ()) -> Report:
        """Compare these stores, or all, and look for blobs in stores that nobody has configured. Raises `NotFound` for
        a store that does not exist.
        """
        for name in names:
            if name not in self.stores:
                raise NotFound(f"There is no store '{name}'; the stores are {', '.join(self.stores)}.")
        with self.db.read() as connection:
            needed = rows.blobs_by_store(connection)
        report = Report()
        wanted = {name: store for name, store in self.stores.items() if not names or name in names}
        for state in read_stores(self.db, wanted):
            one = StoreReport(
                state.name,
                None if state.known is None else state.known.identity,
                state.found,
                *needed.get(state.name, (0, 0)),
            )
            report.stores.append(one)
            _OneStore(self, self.stores[state.name], one).compare(state)
        for name in sorted(set() if names else set(needed) - set(self.stores)):
            one = StoreReport(name, None, None, *needed[name], done=True)
            report.stores.append(one)
            one.counts[Kind.UNCONFIGURED] = 1
            blobs = counted(one.blobs, "blob")
            self.found(Finding(Kind.UNCONFIGURED, name, None, None, f"{blobs} in a store of no configuration"))
        return report


class _OneStore:
    """The comparison of one store."""

    def __init__(self, comparison: Comparison, store: Store, report: StoreReport) -> None:
        self._comparison = comparison
        self._db = comparison.db
        self._store = store
        self._report = report
        self._throttle = Throttle(comparison.options.rate, comparison.stop)
        self._told_at = time.monotonic()
        self._strange: list[Entry] = []

    def compare(self, state: StoreState) -> None:
        """All of it, unless it is stopped or the store is not there."""
        if state.found is None and state.problem is None:
            pass  # It is in the database itself, and cannot be another one.
        elif state.found is None:
            if state.known is None and not self._report.blobs:
                self._report.done = True  # It was never used.
            else:
                blobs = counted(self._report.blobs, "blob")
                self._find(Kind.UNAVAILABLE, None, None, f"needed by {blobs}: {state.problem}")
            return
        elif state.known is not None and state.known.identity != state.found:
            self._find(
                Kind.IDENTITY,
                None,
                None,
                f"its place here is {state.found}, and the database knows {state.known.identity}; if it was moved or "
                f"restored on purpose, run `glare-server stores adopt {state.name}`",
            )
        try:
            self._walk()
        except Stopped:
            return
        except GlareError as failed:
            self._find(Kind.UNAVAILABLE, None, None, f"it could not be compared to the end: {failed.message}")
            return
        self._report.done = True

    def _walk(self) -> None:
        """Walk through blobs and objects side by side, in the order of names."""
        entries = self._entries()
        entry = next(entries, None)
        for blob in self._blobs():
            name = blob.location.object
            while entry is not None and entry.name < name:
                self._add_strange(entry)
                entry = next(entries, None)
            if entry is not None and entry.name == name:
                self._compare(blob, entry.size)
                entry = next(entries, None)
            else:
                self._compare(blob, None)
            self._report.compared += 1
            self._tell_now_and_then()
        while entry is not None:
            self._add_strange(entry)
            entry = next(entries, None)
        self._look_at_strange()

    def _blobs(self) -> Iterator[StoredBlob]:
        after = ""
        while True:
            with self._db.read() as connection:
                page = rows.page_by_object(connection, self._store.name, after, _PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].location.object

    def _entries(self) -> Iterator[Entry]:
        for entry in self._store.entries():
            self._throttle.spend(0)
            self._report.objects += 1
            self._tell_now_and_then()
            yield entry

    def _compare(self, blob: StoredBlob, size: int | None) -> None:
        """One blob with its object, which has `size` bytes by the store's list, None where that has none."""
        if size != blob.size:
            try:
                size = self._store.size(blob.location.object)
            except NotFound:
                self._find_in(blob, Kind.MISSING, "the store does not have it")
                return
        if size != blob.size:
            self._find_in(blob, Kind.DIFFERS, f"it has {size} bytes, and {blob.size} were recorded")
        elif self._comparison.options.read:
            self._prove(blob)

    def _prove(self, blob: StoredBlob) -> None:
        try:
            size, sha256 = self._read(blob.location)
        except NotFound:
            self._find_in(blob, Kind.MISSING, "the store does not have it")
        except ObjectFailed as failed:
            self._find_in(blob, Kind.UNREADABLE, failed.message)
        else:
            if (size, sha256) != (blob.size, blob.sha256):
                self._find_in(
                    blob,
                    Kind.DIFFERS,
                    f"{size} bytes with sha256 {sha256} were read, and {blob.size} with {blob.sha256} recorded",
                )

    def _read(self, location: Managed) -> tuple[int, str]:
        """Size and sha256 of an object as it is; one that cannot be read at first may be at the second time."""
        try:
            return read_whole(self._store, location.object, self._passed)
        except ObjectFailed:
            self._store.check()
            return read_whole(self._store, location.object, self._passed)

    def _passed(self, size: int) -> None:
        self._report.read += size
        self._throttle.spend(size)
        self._tell_now_and_then()

    def _find_in(self, blob: StoredBlob, kind: Kind, detail: str) -> None:
        """Something is wrong with a blob's object, unless the blob has gone or got another one meanwhile."""
        with self._db.read() as connection:
            now = rows.blob_with(connection, blob.location)
        if now is not None:
            self._find(kind, blob.location.object, blob, detail)

    def _add_strange(self, entry: Entry) -> None:
        self._strange.append(entry)
        if len(self._strange) >= _PAGE:
            self._look_at_strange()

    def _look_at_strange(self) -> None:
        """Objects that were no blob's when the database was asked: what are they there for?"""
        strange, self._strange = self._strange, []
        if not strange:
            return
        with self._db.read() as connection:
            uses = rows.uses(connection, self._store.name, [entry.name for entry in strange])
        self._report.under_way += sum(use is Use.UNDER_WAY for use in uses.values())
        self._report.due_for_removal += sum(use is Use.DUE_FOR_REMOVAL for use in uses.values())
        for entry in strange:
            if entry.name not in uses and is_there(self._store, entry.name):
                self._find(Kind.ORPHAN, entry.name, None, f"no blob has these {entry.size} bytes")

    def _find(self, kind: Kind, name: str | None, blob: StoredBlob | None, detail: str) -> None:
        self._report.counts[kind] = self._report.counts.get(kind, 0) + 1
        self._comparison.found(Finding(kind, self._report.name, name, blob, detail))

    def _tell_now_and_then(self) -> None:
        if time.monotonic() - self._told_at >= _REPORT_EVERY:
            self._told_at = time.monotonic()
            self._comparison.progress(self._report)
