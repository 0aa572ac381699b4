"""The driver of object stores: S3 and what speaks it, and others that obstore knows.

docs/explanation/object-stores.md is its design. `glare.stores.objects.layout` says how objects lie in a bucket.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from glare.errors import Conflict, NotFound, StoreMistaken, Unavailable
from glare.stores.contract import Entry
from glare.stores.objects.layout import BYTES_TYPE, MARKER, OBJECTS, RECORD_SIZE, RECORD_TYPE, Keys, NoRecord, Record
from glare.stores.objects.reader import ObjectReader, Patience, Span, failing, lost
from glare.stores.objects.remote import Broken, Exists, Look, Missing, RemoteKeys
from glare.stores.objects.writer import ObjectWriter

_log = logging.getLogger(__name__)

_TRUSTED_SECONDS: Final = 60.0
"""How long a process believes that a bucket is the one that it was."""

_RECORDS: Final = 10_000
"""Records of large objects that a process remembers. They never change, and their names are never used twice."""

_MOST_MARKER: Final = 128


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is: a bucket, and the names of its keys. `words` name it for its operator."""

    bucket: RemoteKeys
    keys: Keys
    words: str


class ObjectStoreDriver:
    """A `Driver` for a place. `recorded` gives the identity that the database knows the store by, None where it knows
    none; it is asked at the first use, and now and then.
    """

    def __init__(
        self, place: Place, *, name: str, patience: Patience, recorded: Callable[[], str | None] = lambda: None
    ) -> None:
        self.name = name
        self._bucket = place.bucket
        self._keys = place.keys
        self._words = place.words
        self._patience = patience
        self._recorded = recorded
        self._seen: str | None = None
        self._ask_again = 0.0
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._lock = threading.Lock()

    def initialise(self, known: Sequence[str], identity: str | None) -> None:
        marker = self._read_marker()
        if marker is None:
            if (known or identity is not None) and not any(self._bucket.look(self._keys.object(one)) for one in known):
                raise Unavailable(
                    f"Store {self.name!r} {'has blobs' if known else 'was used before'}, but {self._words} has neither "
                    f"its marker ({MARKER}) nor their bytes. Correct the configuration, or restore the bucket from a "
                    f"copy. To go on without these bytes, run `glare-server stores adopt {self.name} --without-bytes`."
                )
            marker = identity or str(uuid.uuid4())
            try:
                self._bucket.make(self._keys.marker, f"{marker}\n".encode(), BYTES_TYPE, uuid.uuid4().hex)
            except Exists:
                marker = self._marker()
        self._require_abilities(marker)

    def identity(self) -> str:
        return self._marker()

    def check(self) -> None:
        self._require_own(self._marker(hurried=True))

    def create(self, object_name: str, expected_size: int | None) -> ObjectWriter:
        self.require_place()
        return ObjectWriter(self._bucket, self._keys, object_name, expected_size, self.conflict)

    def open(self, object_name: str, offset: int, length: int | None) -> ObjectReader:
        self.require_place()
        end = None if length is None else offset + length
        if length == 0:
            self.size(object_name)
            return ObjectReader(self._bucket, [], self._patience)
        record = self._remembered(object_name)
        try:
            if record is not None:
                with suppress(Missing):  # The object has gone, and there may be another of its name.
                    return self._large(object_name, record, offset, end)
            key = self._keys.object(object_name)
            found = self._bucket.get(key, offset, end)
            if found.look.content_type == RECORD_TYPE:
                return self._large(object_name, self._record(object_name), offset, end)
        except Missing:
            raise self._missing() from None
        except Broken as broken:
            raise failing(self.name, broken) from None
        return ObjectReader(self._bucket, [Span(key, found.start, found.end)], self._patience, found)

    def delete(self, object_name: str) -> bool:
        self.require_place()
        key = self._keys.object(object_name)
        look = self._bucket.look(key)
        if look is None:
            self.require_place(afresh=True)
        else:
            self._bucket.remove([key])
        with self._lock:
            self._records.pop(object_name, None)
        if look is None or look.content_type == RECORD_TYPE:
            # What writers that were killed have left goes too.
            self._remove_data(self._keys.data(object_name))
        return look is not None

    def size(self, object_name: str) -> int:
        self.require_place()
        look = self._bucket.look(self._keys.object(object_name))
        if look is None:
            raise self._missing()
        if look.content_type != RECORD_TYPE:
            return look.size
        record = self._remembered(object_name)
        return (record if record is not None and record.writer == look.writer else self._record(object_name)).size

    def path(self, object_name: str) -> Path | None:
        return None

    def free_space(self) -> int | None:
        self.check()
        return None

    def entries(self, after: str) -> Iterator[Entry]:
        self.require_place(afresh=True)
        folder = self._keys.objects
        try:
            for found in self._bucket.listed(folder, f"{folder}/{after}" if after else ""):
                name = found.key.removeprefix(f"{folder}/")
                size = found.size if found.size != RECORD_SIZE else self._listed_size(name)
                if size is not None and "/" not in name:
                    yield Entry(name, size, found.made_at)
        except Broken as broken:
            raise Unavailable(
                f"Store {self.name!r} cannot be listed: {broken}. Its objects can be read all the same."
            ) from None

    def sweep_temporaries(self, older_than: float) -> int:
        self.require_place(afresh=True)
        limit = time.time() - older_than
        removed = 0
        for note in self._bucket.listed(self._keys.unfinished):
            found = self._keys.noted(note.key)
            if found is None or note.made_at > limit:
                continue
            name, writer = found
            try:
                committed = self._committed(name, writer)
            except (NoRecord, Broken):
                # Whose data that is, nobody can tell: `glare-server fsck` reports the object.
                _log.warning("a record cannot be read", extra={"store": self.name, "object": name})
                continue
            if not committed:
                self._abort_uploads(self._keys.written(name, writer))
                self._remove_data(self._keys.written(name, writer))
                removed += 1
            self._bucket.remove([note.key])
        return removed

    def require_place(self, *, afresh: bool = False) -> None:
        """Raise `Unavailable` if the bucket has no marker, or is another store's than the database's: as of a minute
        ago where it need not be `afresh`.
        """
        if afresh or self._seen is None or time.monotonic() > self._ask_again:
            self._require_own(self._marker())

    def conflict(self) -> Conflict:
        """The error for a name that is taken."""
        return Conflict(f"Store {self.name!r} has an object of this name already; retry the request.")

    def _require_own(self, marker: str) -> None:
        expected = self._recorded() or self._seen
        if expected not in (None, marker):
            _log.error(
                "a store's bucket is another one than the database knows",
                extra={"store": self.name, "place": self._words, "found": marker, "expected": expected},
            )
            raise StoreMistaken(
                f"Store {self.name!r} is not at its place: its bucket has another store's marker ({MARKER}). Retry "
                "after its operator has named the right bucket."
            )
        self._seen, self._ask_again = marker, time.monotonic() + _TRUSTED_SECONDS

    def _marker(self, *, hurried: bool = False) -> str:
        marker = self._read_marker(hurried=hurried)
        if marker is None:
            raise Unavailable(
                f"Store {self.name!r} is not at its place: its bucket has no marker ({MARKER}). Retry after its "
                "operator has named the right bucket, or restored it."
            )
        return marker

    def _read_marker(self, *, hurried: bool = False) -> str | None:
        try:
            _, data = self._bucket.read(self._keys.marker, hurried=hurried)
        except Missing:
            return None
        except Broken:
            raise Unavailable(f"Store {self.name!r} does not send its marker ({MARKER}) whole; retry later.") from None
        marker = data.decode("ascii", "replace").strip()
        if not 0 < len(marker) <= _MOST_MARKER or not marker.isprintable() or " " in marker:
            raise Unavailable(
                f"Store {self.name!r} has a marker ({MARKER}) in its bucket that is none. Restore it; "
                "`glare-server stores list` says what the database knows."
            )
        return marker

    def _require_abilities(self, marker: str) -> None:
        """Raise `Unavailable` for a store that replaces what exists, or sends what was not asked for: no byte that it
        keeps would be safe.
        """
        wrong = [each for each in (self._wrong_making(marker), self._wrong_ranges(marker)) if each is not None]
        if wrong:
            raise Unavailable(
                f"Store {self.name!r} cannot be used: {self._words} {' and '.join(wrong)}. Name a store that does "
                "better; docs/explanation/object-stores.md says what is needed."
            )

    def _wrong_making(self, marker: str) -> str | None:
        try:
            self._bucket.make(self._keys.marker, f"{marker}\n".encode(), BYTES_TYPE, uuid.uuid4().hex)
        except Exists:
            return None
        return "replaces an object that must not be replaced (it does not know If-None-Match: *)"

    def _wrong_ranges(self, marker: str) -> str | None:
        try:
            coming = self._bucket.get(self._keys.marker, 1, 4)
            if b"".join(coming.pieces) != marker.encode()[1:4]:
                return "sends another range than it was asked for"
        except (Broken, Missing):
            return "does not send ranges of objects (it does not know Range)"
        return None

    def _remembered(self, object_name: str) -> Record | None:
        with self._lock:
            record = self._records.get(object_name)
            if record is not None:
                self._records.move_to_end(object_name)
            return record

    def _record(self, object_name: str) -> Record:
        """The record that was found to be there."""
        try:
            _, data = self._bucket.read(self._keys.object(object_name))
            record = Record.decode(data)
        except Missing:
            raise self._missing() from None
        except (NoRecord, Broken) as error:
            raise failing(self.name, error) from None
        with self._lock:
            self._records[object_name] = record
            if len(self._records) > _RECORDS:
                self._records.popitem(last=False)
        return record

    def _large(self, object_name: str, record: Record, offset: int, end: int | None) -> ObjectReader:
        """A reader that has begun. Raises `Missing` and `Broken`."""
        end = record.size if end is None else min(end, record.size)
        spans = []
        at = offset
        while at < end:
            number, start = divmod(at, record.segment)
            stop = min(record.segment, end - number * record.segment)
            spans.append(Span(self._keys.segment(object_name, record.writer, number), start, stop))
            at = number * record.segment + stop
        begun = self._bucket.get(spans[0].key, spans[0].start, spans[0].end) if spans else None
        return ObjectReader(self._bucket, spans, self._patience, begun)

    def _listed_size(self, object_name: str) -> int | None:
        """The size of what may be a record; None where it has gone meanwhile. What is no record is an object with the
        size of one, and one that is broken counts like that.
        """
        look: Look | None
        try:
            look, data = self._bucket.read(self._keys.object(object_name))
            return Record.decode(data).size if look.content_type == RECORD_TYPE else look.size
        except Missing:
            return None
        except (NoRecord, Broken):
            return RECORD_SIZE

    def _committed(self, name: str, writer: str) -> bool:
        """Whether the object is this writer's. Raises `NoRecord` and `Broken` where it does not say whose it is."""
        try:
            look, data = self._bucket.read(self._keys.object(name))
        except Missing:
            return False
        return look.content_type == RECORD_TYPE and Record.decode(data).writer == writer

    def _remove_data(self, folder: str) -> None:
        keys = []
        for found in self._bucket.listed(folder):
            keys.append(found.key)
            if len(keys) == _RECORDS:
                self._bucket.remove(keys)
                keys.clear()
        if keys:
            self._bucket.remove(keys)

    def _abort_uploads(self, folder: str) -> None:
        for upload in self._bucket.uploads.under(folder):
            self._bucket.uploads.abort(upload)

    def _missing(self) -> NotFound:
        """The error for an object that is not there, once it is sure that its bucket is. Raises `Unavailable`."""
        self.require_place(afresh=True)
        _log.warning("a store does not have what was asked of it", extra={"store": self.name, "folder": OBJECTS})
        return lost(self.name)
