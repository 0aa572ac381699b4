"""The one wrapper that stands around every driver of a store.

A driver (`glare.stores.contract`) keeps bytes under names that it is given. `Store` wraps it once: it validates names,
keeps the order of a writer's life, turns operating system errors into Glare's, and reports every call. Operations only
ever see `Store`.

All of it is synchronous and runs in worker threads. One writer or reader belongs to one thread at a time; a store and
its driver are used by many threads and processes at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from glare.errors import GlareError, NotFound
from glare.stores import failures
from glare.stores.contract import OBJECT_NAME, Driver, DriverReader, DriverWriter, Entry, ObjectFailed

LOG = logging.getLogger(__name__)

_FAILING: Final = 3
"""So many objects that cannot be read, and none in between that can, are the store's fault until one can be read."""


@dataclass(frozen=True, slots=True)
class StoreCall:
    """One finished call, for metrics and logs. `failed` is the code of the error, None for success."""

    store: str
    action: str
    object: str | None
    seconds: float
    bytes: int
    failed: str | None


Observer = Callable[[StoreCall], None]


def log_call(call: StoreCall) -> None:
    """The observer that a store has unless it is given another one: a line at debug level."""
    LOG.debug(
        "store %s: %s %s, %d bytes in %.3f s%s",
        call.store,
        call.action,
        call.object or "",
        call.bytes,
        call.seconds,
        f", failed: {call.failed}" if call.failed else "",
    )


class CallsUnderWay:
    """Which threads are inside of a driver, and since when. Each thread is inside of one call at a time."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Count the block as a call."""
        thread = threading.get_ident()
        self._since[thread] = time.monotonic()
        try:
            yield
        finally:
            self._since.pop(thread, None)

    @property
    def now(self) -> int:
        """How many threads are inside of a call."""
        return len(self._since)

    def longer_than(self, seconds: float) -> set[int]:
        """The threads (`threading.get_ident`) whose call has lasted longer."""
        now = time.monotonic()
        return {thread for thread, since in tuple(self._since.items()) if now - since > seconds}


class Store:
    """A driver behind its contract. See `Driver` for what the methods mean. `calls` are those that its driver is at.

    `remote` says that its bytes come over a network from somebody who may be slow: its users wait in places that are no
    other store's.
    """

    def __init__(self, driver: Driver, observe: Observer = log_call, *, remote: bool = False) -> None:
        self._driver = driver
        self.remote = remote
        self.observe = observe
        self.name = driver.name
        self.calls = CallsUnderWay()
        self._failing: dict[str, None] = {}  # Objects that could not be read, since the last one that could.

    def initialise(self, known: Sequence[str] = (), identity: str | None = None) -> None:
        """Make a new store's place ready; `known` and `identity` are what the database knows of one that is not new.
        Raises `Unavailable`.
        """
        with self._call("initialise"):
            self._driver.initialise(known, identity)

    def identity(self) -> str | None:
        with self._call("identity"):
            return self._driver.identity()

    def check(self) -> None:
        """Raises `StoreFull` and `StoreReadOnly` where the store can be read, and another `GlareError` where it cannot
        be used: also where one object after the other could not be read, and the last one still cannot.

        A file system serves the little that a driver's check needs out of memory, long after its disk has failed.
        """
        self._require_reading()
        with self._call("check"):
            self._driver.check()

    def create(self, object_name: str, expected_size: int | None = None) -> Writer:
        """Start an object of `expected_size` bytes (None: unknown). Raises `StoreFull`; the bytes are readable after
        commit.
        """
        _validate(object_name)
        with self._call("create", object_name), self.calls.inside():
            return Writer(self, object_name, self._driver.create(object_name, expected_size))

    def open(self, object_name: str, offset: int = 0, length: int | None = None) -> Reader:
        """Read a range; one that reaches beyond the end stops there. Raises `NotFound` when the object is missing."""
        _validate(object_name)
        if offset < 0 or (length is not None and length < 0):
            raise ValueError(f"offset {offset} and length {length} of a read may not be negative")
        with self._call("open", object_name), self.calls.inside():
            return Reader(self, object_name, self._driver.open(object_name, offset, length))

    def delete(self, object_name: str) -> bool:
        """Remove an object; False when it is gone already."""
        _validate(object_name)
        with self._call("delete", object_name), self.calls.inside():
            return self._driver.delete(object_name)

    def size(self, object_name: str) -> int:
        _validate(object_name)
        with self._call("size", object_name):
            return self._driver.size(object_name)

    def path(self, object_name: str) -> Path | None:
        """The object's file where there is one. Raises `NotFound` when the store has files, but not this one."""
        _validate(object_name)
        with self._call("path", object_name):
            return self._driver.path(object_name)

    def free_space(self) -> int | None:
        with self._call("free_space"):
            return self._driver.free_space()

    def entries(self, after: str = "") -> Generator[Entry, None, None]:
        """All committed objects in the order of their names, those after the name `after`."""
        with self._call("list"):
            yield from self._driver.entries(after)

    def sweep_temporaries(self, older_than: float) -> int:
        """Remove what crashed writers left `older_than` seconds ago or earlier. Give it more than a live writer may
        pause.
        """
        with self._call("sweep"):
            return self._driver.sweep_temporaries(older_than)

    def note(self, object_name: str, *, failed: bool) -> None:
        """An object could be read, or could not."""
        if not failed:
            self._failing.clear()
        elif len(self._failing) < _FAILING:
            self._failing[object_name] = None

    def _require_reading(self) -> None:
        names = tuple(self._failing)
        if len(names) < _FAILING:
            return
        try:
            with self.open(names[-1], 0, 1) as reader:
                reader.read(1)
        except NotFound:  # It was removed meanwhile.
            self._failing.clear()

    def _call(self, action: str, object_name: str | None = None) -> _Call:
        """What stands around one call of the driver; `Writer` and `Reader` use it too."""
        return _Call(self, action, object_name)


class Writer:
    """Bytes on their way into a store. A context manager that cancels unless it was committed.

    A `write` or `commit` that raises has cancelled the writer: its space is free again when the error arrives.
    """

    def __init__(self, store: Store, object_name: str, driver: DriverWriter) -> None:
        self._call = store._call
        self._inside = store.calls.inside
        self._object = object_name
        self._driver = driver
        self._started = time.perf_counter()
        self._open = True
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add all of `data`. Raises `StoreFull` or another `GlareError`."""
        self._must_be_open()
        try:
            with self._inside():
                self._driver.write(data)
        except BaseException:
            self.cancel()
            with self._call("write", self._object) as call:
                call.bytes = self.size
                raise
        self.size += len(data)

    def commit(self) -> None:
        """Make the object durable and readable, or raise and leave nothing."""
        self._must_be_open()
        try:
            with self._inside():
                self._driver.commit()
        except BaseException:
            self.cancel()
            with self._call("commit", self._object) as call:
                call.bytes = self.size
                raise
        self._open = False
        self._call("write", self._object).report(self.size, since=self._started)

    def cancel(self) -> None:
        """Leave nothing. Harmless after `commit` and after `cancel`."""
        if not self._open:
            return
        self._open = False
        try:
            with self._inside():
                self._driver.cancel()
        except (OSError, GlareError) as error:
            # What could not be removed is a temporary, which the sweep finds; the first error matters more to the
            # caller.
            LOG.warning("An unfinished write of object %s could not be removed: %s", self._object, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def _must_be_open(self) -> None:
        if not self._open:
            raise ValueError(f"the writer of object {self._object} is committed or cancelled already")


class Reader:
    """A stream out of a store: `read(n)` until it answers b"". Close it, or use it as a context manager."""

    def __init__(self, store: Store, object_name: str, driver: DriverReader) -> None:
        self._call = store._call
        self._note = store.note
        self._inside = store.calls.inside
        self._object = object_name
        self._driver = driver
        self._started = time.perf_counter()
        self._open = True
        self.size = 0
        """Bytes read so far."""

    def read(self, n: int) -> bytes:
        """At most `n` bytes, b"" at the end. Raises a `GlareError` when the store fails."""
        if not self._open:
            # The driver may have given its descriptor back, and the number may be somebody else's by now.
            raise ValueError(f"the reader of object {self._object} is closed already")
        try:
            with self._inside():
                data = self._driver.read(n)
        except (OSError, ObjectFailed):
            with self._call("read", self._object):
                raise
        self._note(self._object, failed=False)
        self.size += len(data)
        return data

    def close(self) -> None:
        """Harmless the second time."""
        if self._open:
            self._open = False
            try:
                with self._inside():
                    self._driver.close()
            except (OSError, GlareError) as error:
                # What was read was right, and there is nothing that the caller could do.
                LOG.warning("A read of object %s could not be closed: %s", self._object, error)
            self._call("read", self._object).report(self.size, since=self._started)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Call:
    """Stands around one call of a driver: gives its error a name, and reports it when it is over."""

    def __init__(self, store: Store, action: str, object_name: str | None) -> None:
        self._store = store
        self._action = action
        self._object = object_name
        self._started = time.perf_counter()
        self.bytes = 0

    def report(self, size: int, since: float, failed: str | None = None) -> None:
        seconds = time.perf_counter() - since
        self._store.observe(StoreCall(self._store.name, self._action, self._object, seconds, size, failed))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GeneratorExit):
            error = None  # Whoever lists needs no more of it.
        named = failures.named(error, self._store.name, self._action) if isinstance(error, OSError) else error
        failed = None if named is None else named.code if isinstance(named, GlareError) else type(named).__name__
        if isinstance(named, ObjectFailed) and self._object is not None:
            self._store.note(self._object, failed=True)
        # Creating and opening are reported by the writer and the reader that they return, once these are done.
        if failed or self._action not in ("create", "open"):
            self.report(self.bytes, self._started, failed)
        if named is not error and named is not None:
            raise named from error


def _validate(object_name: str) -> None:
    if not OBJECT_NAME.fullmatch(object_name):
        raise ValueError(
            f"{object_name!r} cannot name an object of a store: it must be 8 lower-case hex digits, and up to 120 "
            "more or dashes"
        )
