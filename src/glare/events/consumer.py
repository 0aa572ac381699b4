"""The consumer of the outbox: claims recorded events with a lease and hands them to a sink, in order."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from glare.domain.events import RecordedEvent

_BATCH: Final = 100
_LEASE: Final = 60_000_000


class Sink(Protocol):
    """Where events go. `deliver` returns when they are delivered, or raises; they then come again."""

    def deliver(self, events: Sequence[RecordedEvent]) -> None: ...


class Outbox(Protocol):
    """The part of the database that the consumer needs. Times in microseconds."""

    def claim(self, consumer: str, now: int, until: int, limit: int) -> list[RecordedEvent]: ...

    def consumed(self, consumer: str, ids: Sequence[int], now: int) -> None: ...


class NoSink:
    """Events are recorded and retired, and nobody is told."""

    def deliver(self, events: Sequence[RecordedEvent]) -> None:
        """Done."""


class LogSink:
    """Each event as a log record of the logger ``glare.notifications``, level INFO, in the words of notifications."""

    def __init__(self, publisher: str) -> None:
        self._publisher = publisher
        self._log = logging.getLogger("glare.notifications")

    def deliver(self, events: Sequence[RecordedEvent]) -> None:
        """Write one record an event."""
        for recorded in events:
            event = recorded.event
            self._log.info(
                "artifact.artifact:%s",
                event.type,
                extra={
                    "event_type": f"artifact.artifact:{event.type}",
                    "publisher_id": self._publisher,
                    "message_id": recorded.event_id,
                    "payload": event.payload,
                },
            )


SINKS: Final[dict[str, Callable[[str], Sink]]] = {"noop": lambda _: NoSink(), "log": LogSink}
"""Sinks by the name of their driver in the configuration; each is made with the publisher's id."""


class Consumer:
    """Delivers what is recorded. Any number may run on any number of nodes; each event goes to the sink at least once."""

    def __init__(self, outbox: Outbox, sink: Sink, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._name = uuid.uuid4().hex

    def run_once(self) -> int:
        """Deliver up to a batch of events; returns how many there were."""
        now = self._clock()
        events = self._outbox.claim(self._name, now, now + _LEASE, _BATCH)
        if not events:
            return 0
        self._sink.deliver(events)
        self._outbox.consumed(self._name, [event.id for event in events], self._clock())
        return len(events)
