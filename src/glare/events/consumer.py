"""The consumer of the outbox: claims recorded events with a lease and hands them to a sink, in order."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from glare.domain.events import RecordedEvent, notification_type
from glare.domain.moment import MINUTE, SECOND

_BATCH: Final = 100
_LEASE: Final = MINUTE
_WORK: Final = 30 * SECOND
"""Microseconds of a lease in which a delivery may begin, so that it ends before somebody else has the events."""

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where events go. `deliver` returns when the event is delivered, or raises; it then comes again."""

    def deliver(self, recorded: RecordedEvent) -> None: ...

    def close(self) -> None: ...


class Outbox(Protocol):
    """The part of the database that the consumer needs. Times in microseconds."""

    def claim(self, consumer: str, now: int, until: int, limit: int) -> list[RecordedEvent]: ...

    def consumed(self, consumer: str, ids: Sequence[int], now: int) -> None: ...

    def put_back(self, consumer: str, ids: Sequence[int], until: int, *, failed: Sequence[int]) -> None: ...

    def set_aside(self, consumer: str, event_id: int, until: int) -> None: ...


class NoSink:
    """Events are recorded and retired, and nobody is told."""

    def deliver(self, recorded: RecordedEvent) -> None:
        """Done."""

    def close(self) -> None:
        """Done."""


class LogSink:
    """Each event as a log record of the logger ``glare.notifications``, level INFO, in the words of notifications."""

    def __init__(self, publisher: str) -> None:
        self._publisher = publisher
        self._log = logging.getLogger("glare.notifications")

    def deliver(self, recorded: RecordedEvent) -> None:
        """Write a record."""
        name = notification_type(recorded.event.type)
        self._log.info(
            "%s",
            name,
            extra={
                "event_type": name,
                "publisher_id": self._publisher,
                "message_id": recorded.event_id,
                "payload": recorded.event.payload,
            },
        )

    def close(self) -> None:
        """Done."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long events wait after deliveries that failed, in seconds: `first`, then twice as long each time, up to
    `last`.

    One that has failed `patience` times does not hold up those behind it any more, where they can be delivered: then it
    comes again after waits of its own, up to `aside`.
    """

    first: float = 1.0
    last: float = 60.0
    patience: int = 10
    aside: float = 3600.0

    def after(self, failures: int) -> float:
        """The wait after so many failures."""
        return min(self.first * 2.0 ** min(failures - 1, 64), self.last)

    def beside(self, failures: int) -> float:
        """The wait of an event that has let others pass."""
        return min(self.last * 2.0 ** min(max(0, failures - self.patience), 64), self.aside)


class Consumer:
    """Delivers what is recorded. Any number may run on any number of nodes; each event goes to the sink at least once.

    One of them has the oldest events at a time, so that events come in the order in which they were recorded.
    """

    def __init__(
        self,
        outbox: Outbox,
        sink: Sink,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        backoff: Backoff = Backoff(),
        put_off: Callable[[], None] = lambda: None,
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._backoff = backoff
        self._put_off = put_off
        self._name = uuid.uuid4().hex

    def run_once(self) -> int:
        """Deliver up to a batch of events; returns how many were.

        A failure ends the batch: that event and those behind it wait, and come again in the same order. Only one that
        has failed often lets the next one have a try: if that is delivered, the fault is not the receiver's, and the
        first one waits beside the line.
        """
        begin = self._clock()
        events = self._outbox.claim(self._name, begin, begin + _LEASE, _BATCH)
        delivered: list[int] = []
        failed: list[RecordedEvent] = []
        failure: Exception | None = None
        for recorded in events:
            if self._clock() - begin > _WORK:
                break
            try:
                self._sink.deliver(recorded)
                delivered.append(recorded.id)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the receiver, its events wait
                failure = error
                failed.append(recorded)
                self._put_off()
                if not recorded.aside and recorded.failures + 1 < self._backoff.patience:
                    break
        now = self._clock()
        if delivered:
            self._outbox.consumed(self._name, delivered, now)
        last = delivered[-1] if delivered else 0
        aside = [recorded for recorded in failed if recorded.aside or recorded.id < last]
        for recorded in aside:
            self._set_aside(recorded, now)
        done = {*delivered, *(recorded.id for recorded in aside)}
        if left := [recorded for recorded in events if recorded.id not in done]:
            waits = [recorded for recorded in failed if recorded not in aside]
            self._put_back(left, waits, now, failure)
        return len(delivered)

    def _set_aside(self, recorded: RecordedEvent, now: int) -> None:
        """Let younger events pass one that cannot be delivered while they can."""
        wait = self._backoff.beside(recorded.failures + 1)
        _log.error(
            "event %s cannot be delivered although others can; it waits %g s beside the line after %d deliveries "
            "that failed",
            *(recorded.event_id, wait, recorded.failures + 1),
        )
        self._outbox.set_aside(self._name, recorded.id, now + int(wait * SECOND))

    def _put_back(
        self, left: Sequence[RecordedEvent], failed: Sequence[RecordedEvent], now: int, failure: Exception | None
    ) -> None:
        """Let the rest of a batch come again: at once if only the time was over."""
        head, until = left[0], now - 1
        if failure is not None and head in failed:
            wait = self._backoff.after(head.failures + 1)
            until = now + int(wait * SECOND)
            _log.warning(
                "events wait %g s, because delivery %d of event %s has failed: %s",
                *(wait, head.failures + 1, head.event_id, _one_line(failure)),
            )
        ids = [recorded.id for recorded in left]
        self._outbox.put_back(self._name, ids, until, failed=[recorded.id for recorded in failed])


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
