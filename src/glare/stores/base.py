"""What a store of blobs is, and the one wrapper that stands around every driver.

A *driver* (`Driver`, `DriverWriter`, `DriverReader`) keeps bytes under names that it is given. `Store` wraps a driver
once: it validates names, keeps the order of a writer's life, turns operating system errors into Glare's, and reports
every call. Operations only ever see `Store`; who writes a driver runs `glare.stores.conformance` on it.

All of it is synchronous and runs in worker threads. One writer or reader belongs to one thread at a time; a store and
its driver are used by many threads and processes at once.
"""

from __future__ import annotations

import errno
import logging
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from glare.errors import Conflict, GlareError, NotFound, StoreFailed, StoreFull, StoreReadOnly

LOG = logging.getLogger(__name__)

OBJECT_NAME: Final = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,120}")
"""Names of objects: lower-case hex, dashes allowed after the eighth, up to 128 characters. None can leave a
directory."""


class ObjectFailed(GlareError):
    """An object could not be read, and what went wrong says nothing yet about the store: a bad sector, perhaps."""


class DriverWriter(Protocol):
    """One object being written. `Store` calls `write` any number of times, then `commit` or `cancel`, once."""

    def write(self, data: bytes) -> None:
        """Add all of `data`. Raises `OSError` or a `GlareError`; the writer is cancelled afterwards."""

    def commit(self) -> None:
        """Make the bytes durable and readable under the object's name, all or nothing, and never over an object that
        exists.
        """

    def cancel(self) -> None:
        """Forget everything that was written. Called after a failed `write` or `commit` too."""


class DriverReader(Protocol):
    """A stream out of one object."""

    def read(self, n: int) -> bytes:
        """At most `n` bytes, at least one unless the end is reached: then b"" for ever."""

    def close(self) -> None:
        """Let go of what the reader holds. Called once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A committed object: its size in bytes, and when it was committed, in seconds since the epoch."""

    name: str
    size: int
    stored_at: float


class Driver(Protocol):
    """Keeps the bytes of objects. Raises `OSError` (named by `Store`) or a `GlareError` with a sentence of its own:
    `ObjectFailed` where it is one object that cannot be read.
    """

    @property
    def name(self) -> str:
        """The store's name in the configuration; blobs remember it."""

    def initialise(self, known: Sequence[str], identity: str | None) -> None:
        """Make the store's place ready, once in its life; harmless afterwards, and in several processes at once.

        `known` are some objects that the store has by what the database says, and `identity` is what its place is known
        by; none and None for a new store. Raises `Unavailable` where the place is not ready and has none of these
        objects, though the store is not new: it is not the store's.
        """

    def identity(self) -> str | None:
        """What the store's place is known by, 1 to 128 printable ASCII characters: another place has another, a moved
        one the same.

        Asked once it is initialised. None for a store whose place cannot be mistaken, as that in the database itself.
        """

    def check(self) -> None:
        """Raise `OSError` or `GlareError` when the store cannot be used; `StoreFull` and `StoreReadOnly` where only new
        data is refused.
        """

    def create(self, object_name: str, expected_size: int | None) -> DriverWriter:
        """Start an object. `expected_size` is in bytes, None when unknown; `StoreFull` when it cannot fit."""

    def open(self, object_name: str, offset: int, length: int | None) -> DriverReader:
        """Read from `offset` at most `length` bytes (None: to the end). `FileNotFoundError` or `NotFound` without the
        object.
        """

    def delete(self, object_name: str) -> bool:
        """Remove the object durably; False when there is none."""

    def size(self, object_name: str) -> int:
        """The object's bytes. `FileNotFoundError` or `NotFound` without the object."""

    def path(self, object_name: str) -> Path | None:
        """The file that is exactly the object, for sending it whole; None when the store has no such files."""

    def free_space(self) -> int | None:
        """The bytes that the store still takes, after its reserve; None when it cannot tell."""

    def entries(self, after: str) -> Iterator[Entry]:
        """Committed objects in the order of their names, those after `after`, with bounded memory.

        Objects that come or go meanwhile may be among them or not.
        """

    def sweep_temporaries(self, older_than: float) -> int:
        """Remove what crashed writers left and nobody touched for `older_than` seconds; the number of things
        removed.
        """


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

    def longer_than(self, seconds: float) -> set[int]:
        """The threads (`threading.get_ident`) whose call has lasted longer."""
        now = time.monotonic()
        return {thread for thread, since in tuple(self._since.items()) if now - since > seconds}


class Store:
    """A driver behind its contract. See `Driver` for what the methods mean. `calls` are those that its driver is at."""

    def __init__(self, driver: Driver, observe: Observer = log_call) -> None:
        self._driver = driver
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
        named = _named(error, self._store.name, self._action) if isinstance(error, OSError) else error
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


def _named(error: OSError, store: str, action: str) -> GlareError:
    """The error of the tree for one of the operating system's. It names the store, and no path: the log has that.

    None of them is the client's fault, except that what was asked for may have been deleted meanwhile.
    """
    reason = _reason(error)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreFull(
                f"Store {store!r} is full ({reason}); nothing was stored. Retry after its operator has made room."
            )
        case errno.EFBIG:
            return StoreFull(
                f"Store {store!r} takes no object this large ({reason}); nothing was stored. Its operator may "
                "raise the limit on file sizes."
            )
        case errno.ENOENT if action in ("open", "size", "path", "read"):
            # A download may lose a race with a deletion; more than that is bytes that are lost.
            LOG.warning("Store %s does not have what was asked of it: %s", store, error)
            return NotFound(
                f"Store {store!r} does not have these bytes; tell its operator, who may have a copy of them."
            )
        case errno.EEXIST:
            return Conflict(f"Store {store!r} has an object of this name already; retry the request.")
    LOG.error("Store %s fails at %s: %s", store, action, error)
    if error.errno == errno.EROFS:
        return StoreReadOnly(
            f"Store {store!r} takes no data now ({reason}); nothing was stored. Retry after its operator has made its "
            "file system writable again."
        )
    if error.errno in _REFUSED:
        return StoreFailed(
            f"Store {store!r} denies this to the service ({reason}). Retry after its operator has given the service's "
            "user the right to read and write there."
        )
    if error.errno in _SHORT:
        return StoreFailed(
            f"The server is short of what it needs for store {store!r} ({reason}); retry. Its operator may raise the "
            "limits of the process on open files and memory."
        )
    if error.errno in _AWAY:
        return StoreFailed(
            f"Store {store!r} is out of reach ({reason}). Retry after its operator has mounted its volume again."
        )
    kind = ObjectFailed if action in _OF_ONE_OBJECT else GlareError
    return kind(
        f"Store {store!r} failed ({reason}). Tell its operator, who has to look at its disk and at the service's log."
    )


_FAILING: Final = 3
"""So many objects that cannot be read, and none in between that can, are the store's fault until one can be read."""

_OF_ONE_OBJECT: Final = frozenset({"open", "size", "read"})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})
_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN})
_AWAY: Final = frozenset(
    {errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH}
    | {
        errno.ENOTCONN,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENODEV,
        errno.ENXIO,
        errno.ESHUTDOWN,
    }
)
"""What network file systems say when their server is away, and others when their device is."""


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
