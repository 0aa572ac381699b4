"""The connections of one process to its database: as many as the server grants, given out in the order of asking.

A server grants fewer than are wanted where its own bound, or that of the role, is reached. Whoever is refused a
connection for that reason waits in line for one that is given back. How many there are is learned that way, and asked
again now and then.

A server that falls silent costs everybody who waits for it a time-out. From then on one at a time tries whether it
answers, and the others are told soon that it does not. It answers again when the trial, or anybody's work on another
connection, ends well.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from glare.db.dialects.failures import Failure, Sizes

_log = logging.getLogger(__name__)

_PROBE_AFTER: Final = 5.0
"""Seconds until one more connection is asked for again than the server has granted."""

_AGAIN_AFTER: Final = 0.2
"""Likewise, where it has granted none."""

_TRUSTED: Final = 30.0
"""Seconds for which a connection that nobody used is taken to be as it was. Routers forget those that are silent for
longer."""

_KEPT: Final = 120.0
"""Seconds after which a connection is closed that was not needed: another process may be refused one."""

_HOPE: Final = 0.25
"""Seconds for which those who find the server silent wait for better news: it may have been one connection that was."""

_SINCE: Final = "glare.idle_since"


class Silent(Exception):
    """The database answers nobody, and somebody else is trying it."""


class NoneGranted(PoolTimeoutError):
    """No connection became free in time, and the server grants no more than `granted`."""

    def __init__(self, granted: int) -> None:
        super().__init__(f"the server grants {granted} connections")
        self.granted = granted


class Rules(Protocol):
    """What the pool must know of a kind of database."""

    def failure(self, error: BaseException | None) -> Failure | None:
        """What an error of the driver means."""

    def descriptor(self, connection: Any) -> int | None:
        """The file descriptor of a connection of the driver; None where it has none."""


Observer = Callable[[int, int], None]
"""Takes how many connections are in use, and how many there may be. Called under a lock: it must not wait."""


@dataclass(slots=True, eq=False)
class _Waiter:
    woken: threading.Event = field(default_factory=threading.Event)
    given: ConnectionPoolEntry | None = None
    refused: bool = False


class Connections(Pool):
    """A pool of at most `sizes.connections`, which works with fewer. `clock` gives seconds."""

    def __init__(
        self,
        creator: Any,
        rules: Rules,
        sizes: Sizes,
        clock: Callable[[], float] = time.monotonic,
        **of_the_library: Any,
    ) -> None:
        super().__init__(creator, **of_the_library)
        self._rules = rules
        self._sizes = sizes
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[ConnectionPoolEntry] = []
        self._line: deque[_Waiter] = deque()
        self._open = 0
        self._limit = sizes.connections
        self._is_refused = False
        self._probe_at = 0.0
        self._suspect_before = float("-inf")
        self._answers = threading.Event()
        self._answers.set()
        self._trying = threading.Lock()
        self._disposed = False
        self.observe: Observer = _nobody

    @property
    def in_use(self) -> int:
        """Connections that somebody has, or that are being opened for somebody."""
        return self._open - len(self._idle)

    @property
    def limit(self) -> int:
        """How many connections there may be, as far as is known."""
        return self._limit

    def fell_silent(self) -> None:
        """Somebody has waited for an answer in vain: so would those who got the other connections."""
        self._answers.clear()
        self._drop_idle()

    def suspect(self) -> None:
        """A connection has broken, so the others are tried before they are used."""
        with self._lock:
            self._suspect_before = self._clock()

    def status(self) -> str:
        return f"{self._open} connections of {self._limit}, {len(self._idle)} idle, {len(self._line)} in line"

    def recreate(self) -> Connections:
        again = Connections(
            self._creator,
            self._rules,
            self._sizes,
            self._clock,
            reset_on_return=self._reset_on_return,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )
        again.observe = self.observe
        return again

    def dispose(self) -> None:
        self._disposed = True
        self._drop_idle()

    def _do_get(self) -> ConnectionPoolEntry:
        if self._answers.is_set():
            return self._get()
        if not self._trying.acquire(blocking=False):
            if not self._answers.wait(_HOPE):
                raise Silent
            return self._get()
        try:
            record = self._get()
            self._answers.set()
            return record
        finally:
            self._trying.release()

    def _get(self) -> ConnectionPoolEntry:
        until = self._clock() + self._sizes.patience
        waiter = _Waiter()
        while True:
            found, may_open = self._next(waiter)
            opened = self._opened() if may_open else None
            waiter.refused |= may_open and opened is None
            record = found or opened
            if record is not None and self._is_well(record):
                return record
            if record is None and not may_open:
                if self._clock() >= until:
                    return self._at_last(waiter)
                self._wait(waiter, until)

    def _next(self, waiter: _Waiter) -> tuple[ConnectionPoolEntry | None, bool]:
        """A connection, or whether one may be opened, or neither: then the waiter stands in line."""
        with self._lock:
            if waiter.given is not None:
                given, waiter.given = waiter.given, None
                return given, False
            if not self._line or self._line[0] is waiter:
                record = self._idle.pop() if self._idle else None
                may_open = record is None and self._may_open()
                if record is not None or may_open:
                    if self._line:
                        self._line.popleft()
                    if may_open:
                        self._open += 1
                    self._changed()
                    return record, may_open
            if waiter not in self._line:
                # Who was refused by the server was the first in line when it asked.
                (self._line.appendleft if waiter.refused else self._line.append)(waiter)
            waiter.woken.clear()
            return None, False

    def _may_open(self) -> bool:
        if self._open < self._limit:
            return True
        if self._open >= self._sizes.connections or self._clock() < self._probe_at:
            return False
        self._probe_at = self._clock() + _PROBE_AFTER  # Nobody else asks meanwhile.
        return True

    def _opened(self) -> ConnectionPoolEntry | None:
        """A new connection, for which there is room; None where the server grants no more."""
        try:
            record = self._create_connection()
        except BaseException as error:
            crowded, fewer = self._rules.failure(error) is Failure.CROWDED, False
            with self._lock:
                self._open -= 1
                if crowded:
                    fewer = self._open < self._limit
                    self._limit = self._open
                    self._is_refused = True
                    self._probe_at = self._clock() + (_PROBE_AFTER if self._open else _AGAIN_AFTER)
                self._changed()
            if not crowded:
                raise
            if fewer:
                extra = {
                    "granted": self._limit,
                    "wanted": self._sizes.connections,
                    "reason": " ".join(str(error).split()),
                }
                _log.warning("the database grants no further connection", extra=extra)
            return None
        with self._lock:
            record.info[_SINCE] = self._clock()
            if self._open > self._limit:
                self._limit = self._open
                self._probe_at = self._clock()
            if self._limit == self._sizes.connections:
                self._is_refused = False
            self._changed()
        return record

    def _wait(self, waiter: _Waiter, until: float) -> None:
        with self._lock:
            first = bool(self._line) and self._line[0] is waiter
            wake_at = min(until, self._probe_at) if first and self._open < self._sizes.connections else until
        waiter.woken.wait(max(0.0, wake_at - self._clock()))

    def _at_last(self, waiter: _Waiter) -> ConnectionPoolEntry:
        """What a waiter was given at the last moment. Raises `TimeoutError` of the library."""
        with self._lock:
            if waiter in self._line:
                self._line.remove(waiter)
                self._changed()
        if waiter.given is not None:
            return waiter.given
        if self._is_refused:
            raise NoneGranted(self._limit)
        raise PoolTimeoutError(self.status())

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        with self._lock:
            unused = None
            if self._disposed or record.dbapi_connection is None:
                self._open -= 1
                unused = record
            else:
                self._answers.set()  # Whoever had it would have closed it, had no answer come.
                record.info[_SINCE] = self._clock()
                if self._line:
                    waiter = self._line.popleft()
                    waiter.given = record
                    waiter.woken.set()
                else:
                    self._idle.append(record)
                    if self._clock() - self._idle[0].info[_SINCE] > _KEPT:
                        unused = self._idle.pop(0)
                        self._open -= 1
            self._changed()
        if unused is not None:
            unused.close()

    def _invalidate(self, connection: Any, exception: BaseException | None = None, _checkin: bool = True) -> None:
        """What the library calls where a connection has broken. By itself it would open all of them anew."""
        self.suspect()
        if _checkin and getattr(connection, "is_valid", False):
            connection.invalidate(exception)

    def _is_well(self, record: ConnectionPoolEntry) -> bool:
        """Whether a connection still works; one that does not is closed."""
        since = record.info[_SINCE]
        trusted = since > self._suspect_before and self._clock() - since < _TRUSTED
        connection: Any = record.dbapi_connection
        with suppress(Exception):  # Whatever it is, the connection is of no use.
            if (trusted and not _has_news(self._rules.descriptor(connection))) or self._ping(connection):
                return True
        self._close(record)
        return False

    def _ping(self, connection: Any) -> bool:
        dialect: Any = self._dialect
        return bool(dialect.do_ping(connection))

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
            self._open -= len(idle)
            self._changed()
        for record in idle:
            record.close()

    def _close(self, record: ConnectionPoolEntry) -> None:
        record.close()
        with self._lock:
            self._open -= 1
            self._changed()

    def _changed(self) -> None:
        """Let the first in line look again, and tell the numbers."""
        if self._line:
            self._line[0].woken.set()
        self.observe(self._open - len(self._idle), self._limit)


def _nobody(_: int, __: int) -> None:
    return None


def _has_news(descriptor: int | None) -> bool:
    """Whether something came on a connection on which nobody waits for anything: most likely that it was closed."""
    if descriptor is None:
        return False
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))
