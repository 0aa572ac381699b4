"""What is remembered of tokens in one process: bounded, and never longer than it may be."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from glare.domain.actor import Actor

_OF_AN_ENTRY: Final = 200
"""Bytes that an entry takes besides its value, about."""


@dataclass(slots=True)
class Seen:
    """When the first of what was looked at ends, by the monotonic clock; infinite where nothing was."""

    until: float = float("inf")


class TokenMemory:
    """What Keystone has said of tokens, in place of memcached: the library asks it for its cache.

    It holds `size` bytes; what was used least goes first. Any number of threads use it.
    """

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._held = 0
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._thread = threading.local()

    def get(self, key: str) -> bytes | None:
        """The value, None where there is none."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry[0] <= self._clock():
                self._drop(key)
                entry = None
            if entry is None:
                return None
            self._entries.move_to_end(key)
        self._note(entry[0])
        return entry[1]

    def set(self, key: str, value: bytes, time: float = 0) -> None:
        """Keep a value for `time` seconds, if that is more than none."""
        until = self._clock() + time
        self._note(until)
        with self._lock:
            if key in self._entries:
                self._drop(key)
            if time <= 0:
                return
            self._entries[key] = (until, value)
            self._held += len(value) + _OF_AN_ENTRY
            while self._held > self._size:
                self._drop(next(iter(self._entries)))

    @contextmanager
    def watched(self) -> Iterator[Seen]:
        """Within the block, when the first of what this thread looks at or keeps ends."""
        seen = self._thread.seen = Seen()
        try:
            yield seen
        finally:
            self._thread.seen = None

    @property
    def held(self) -> int:
        """Bytes that it holds."""
        return self._held

    def _note(self, until: float) -> None:
        seen: Seen | None = getattr(self._thread, "seen", None)
        if seen is not None:
            seen.until = min(seen.until, until)

    def _drop(self, key: str) -> None:
        _, value = self._entries.pop(key)
        self._held -= len(value) + _OF_AN_ENTRY


class ActorMemory:
    """Callers by the digest of what they sent, at most `size` of them; who was put in first goes first.

    `get` is called on the event loop, and `put` in threads.
    """

    def __init__(self, size: int, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._entries: dict[bytes, tuple[float, float, Actor]] = {}

    def get(self, digest: bytes) -> Actor | None:
        """The caller, None where it is not known any more."""
        entry = self._entries.get(digest)
        if entry is None or entry[0] <= self._clock() or entry[1] <= self._wall_clock():
            return None
        return entry[2]

    def put(self, digest: bytes, actor: Actor, until: float, expires: float) -> None:
        """Know a caller until a moment of the monotonic clock or one of the wall clock, whichever comes first."""
        with self._lock:
            self._entries.pop(digest, None)
            self._entries[digest] = (until, expires, actor)
            while len(self._entries) > self._size:
                del self._entries[next(iter(self._entries))]
