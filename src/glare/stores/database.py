"""The store that keeps bytes in the database, beside the metadata: nothing else to run, share or back up.

An object is a row and chunks of 1 MiB. Each chunk comes and goes in a transaction of its own, so that no lock is held
while a client sends or receives, and memory holds one chunk a stream, whatever the object's size.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from glare.db import stored_objects as rows
from glare.db.engine import Database
from glare.db.stored_objects import StoredObject
from glare.domain.moment import SECOND
from glare.errors import NotFound, Unavailable
from glare.stores.contract import Entry, ObjectFailed
from glare.stores.room import Room

CHUNK: Final = 1 << 20
"""Bytes of a chunk of new objects. Those of older ones stand in their rows."""

_CHUNKS_AT_ONCE: Final = 16
_OBJECTS_AT_ONCE: Final = 100
_PAGE: Final = 1000
_LEAST_PACKET: Final = 4 * CHUNK  # A driver that writes bytes as quoted text needs up to twice their size.


class DatabaseDriver:
    """A `Driver` over the tables `stored_objects` and `stored_chunks`.

    `reserve` is the free space in bytes that uploads leave on the file system of a SQLite database; nobody knows that
    of a server. `aside` is the same database by connections of their own, for the check.
    """

    def __init__(self, db: Database, *, name: str, reserve: int = 0, aside: Database | None = None) -> None:
        self.name = name
        self._db = db
        self._aside = aside or db
        file = db.engine.url.database if db.is_sqlite else None
        self._room = Room(Path(file).absolute().parent, store=name, reserve=reserve) if file else None

    def initialise(self, known: Sequence[str], identity: str | None) -> None:
        """Nothing to make: migrations make the tables, and the service does not start without them."""

    def identity(self) -> str | None:
        return None

    def check(self) -> None:
        with self._aside.read() as connection:
            rows.find(connection, "")
            if connection.dialect.name in ("mysql", "mariadb"):
                _require_packets(connection, self.name)
        self.require_room(0)

    def create(self, object_name: str, expected_size: int | None) -> DatabaseWriter:
        self.require_room(expected_size or 0)
        return DatabaseWriter(self._db, object_name, self.require_room)

    def open(self, object_name: str, offset: int, length: int | None) -> DatabaseReader:
        found = self._find(object_name)
        end = found.size if length is None else min(found.size, offset + length)
        return DatabaseReader(self._db, self.name, found, offset, end)

    def delete(self, object_name: str) -> bool:
        def hide(connection: Connection) -> bool:
            return rows.hide(connection, object_name, _now())

        stored = self._db.transact(hide)
        with self._db.look() as connection:
            given_up = rows.given_up(connection, object_name)
        for object_id in given_up:
            _remove(self._db, object_id)
        return stored

    def size(self, object_name: str) -> int:
        return self._find(object_name).size

    def path(self, object_name: str) -> Path | None:
        return None

    def free_space(self) -> int | None:
        return None if self._room is None else self._room.left()

    def entries(self, after: str) -> Iterator[Entry]:
        while True:
            with self._db.read() as connection:
                page = rows.page(connection, after, _PAGE)
            for found in page:
                yield Entry(found.name, found.size, found.stored_at / SECOND)
            if len(page) < _PAGE:
                return
            after = page[-1].name

    def sweep_temporaries(self, older_than: float) -> int:
        before = _now() - int(older_than * SECOND)
        removed = 0
        while True:
            left = self._db.transact(
                lambda connection: rows.give_up_abandoned(connection, before, _OBJECTS_AT_ONCE, _now())
            )
            for object_id in left:
                _remove(self._db, object_id)
            removed += len(left)
            if len(left) < _OBJECTS_AT_ONCE:
                return removed

    def require_room(self, size: int) -> None:
        """Raise `StoreFull` if `size` more bytes would reach into the reserve, as far as anybody knows."""
        if self._room is not None:
            self._room.require(size)

    def _find(self, object_name: str) -> StoredObject:
        with self._db.look() as connection:
            found = rows.find(connection, object_name)
        if found is None:
            raise _lost(self.name)
        return found


class DatabaseWriter:
    """Collects a chunk, writes it, collects the next."""

    def __init__(self, db: Database, name: str, require_room: Callable[[int], None]) -> None:
        self._db = db
        self._name = name
        self._require_room = require_room
        self._id = uuid.uuid4().hex
        self._chunk = bytearray()
        self._sequence = 0
        self._begun = False

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            part = view[: CHUNK - len(self._chunk)]
            self._chunk += part
            view = view[len(part) :]
            if len(self._chunk) == CHUNK:
                self._flush()

    def commit(self) -> None:
        size = self._sequence * CHUNK + len(self._chunk)
        self._begin()
        if self._chunk:
            self._flush()

        def publish(connection: Connection) -> bool:
            return rows.commit(connection, self._id, self._name, size, _now())

        def published(connection: Connection) -> bool | None:
            found = rows.find(connection, self._name)
            return True if found is not None and found.id == self._id else None

        self._require(self._db.transact(publish, done=published))

    def cancel(self) -> None:
        self._chunk.clear()
        if self._begun:
            self._db.transact(lambda connection: rows.give_up(connection, self._id, _now()))
            _remove(self._db, self._id)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._db.transact(lambda connection: rows.begin(connection, self._id, self._name, CHUNK, _now()))

    def _flush(self) -> None:
        self._begin()
        self._require_room(len(self._chunk))
        data, sequence = bytes(self._chunk), self._sequence

        def add(connection: Connection) -> bool:
            return rows.add_chunk(connection, self._id, sequence, data, _now())

        def added(connection: Connection) -> bool | None:
            return rows.has_chunk(connection, self._id, sequence) or None

        self._require(self._db.transact(add, done=added))
        self._sequence += 1
        self._chunk.clear()

    def _require(self, done: bool) -> None:
        if not done:
            raise Unavailable("The data was not written on for so long that it was given up; retry the request.")


class DatabaseReader:
    """Reads a range, a chunk at a time; each in a transaction of its own."""

    def __init__(self, db: Database, store: str, found: StoredObject, start: int, end: int) -> None:
        self._db = db
        self._store = store
        self._object = found
        self._at = start
        self._end = end
        self._chunk = b""
        self._chunk_start = 0

    def read(self, n: int) -> bytes:
        if self._at >= self._end:
            return b""
        if not self._chunk_start <= self._at < self._chunk_start + len(self._chunk):
            self._fetch()
        begin = self._at - self._chunk_start
        data = self._chunk[begin : begin + min(n, self._end - self._at)]
        self._at += len(data)
        return data

    def close(self) -> None:
        self._chunk = b""

    def _fetch(self) -> None:
        """The rest of the chunk at hand, as far as the range goes."""
        sequence, skip = divmod(self._at, self._object.chunk_size)
        wanted = min(self._object.chunk_size - skip, self._end - self._at)
        with self._db.look() as connection:
            data = rows.chunk(connection, self._object.id, sequence, skip, wanted)
        if data is None:
            raise _lost(self._store)
        if len(data) != wanted:
            raise ObjectFailed(
                f"Store {self._store!r} has a chunk of another length than it was given; tell its operator, who may "
                "have a copy."
            )
        self._chunk, self._chunk_start = data, self._at


def _remove(db: Database, object_id: str) -> None:
    """Remove an object that was given up. Each transaction takes some chunks, so that none is long."""
    while not db.transact(lambda connection: rows.remove_chunks(connection, object_id, _CHUNKS_AT_ONCE, _now())):
        pass


def _require_packets(connection: Connection, store: str) -> None:
    most = int(connection.execute(text("SELECT @@max_allowed_packet")).scalar_one())
    if most < _LEAST_PACKET:
        raise Unavailable(
            f"Store {store!r} writes chunks of 1 MiB, but the database server takes statements of {most} bytes at "
            f"most; set its max_allowed_packet to {_LEAST_PACKET} or more."
        )


def _lost(store: str) -> NotFound:
    return NotFound(f"Store {store!r} does not have these bytes; tell its operator, who may have a copy of them.")


def _now() -> int:
    return time.time_ns() // 1000
