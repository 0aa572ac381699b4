"""Keeping the attempts of this process alive: one thread, one statement every few seconds, however many attempts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager

_log = logging.getLogger(__name__)

Beat = Callable[[list[str]], None]


class Heartbeats:
    """Calls `beat` with the ids of all live attempts every `interval` seconds.

    It does so whether or not bytes arrive: what ends a stalled attempt is the stream's own time limit. Attempts of
    threads that are `stuck` are left out: nothing can end their thread, so they are undone as those of a process that
    died. The thread runs from the first attempt until `stop`.
    """

    def __init__(self, beat: Beat, interval: float, stuck: Callable[[], Set[int]] = frozenset) -> None:
        self._beat = beat
        self._interval = interval
        self._stuck = stuck
        self._alive: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keep(self, attempt_id: str) -> Iterator[None]:
        """Keep the attempt alive inside the block, in which this thread works on it."""
        with self._lock:
            self._alive[attempt_id] = threading.get_ident()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._alive.pop(attempt_id, None)

    def stop(self) -> None:
        """End the thread; attempts that go on are no longer kept alive."""
        self._stopping.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            try:
                stuck = self._stuck()
                with self._lock:
                    alive = sorted(attempt for attempt, thread in self._alive.items() if thread not in stuck)
                if alive:
                    self._beat(alive)
            except Exception:  # noqa: BLE001 - the next beat may succeed where this one did not
                _log.exception("heartbeat failed")
