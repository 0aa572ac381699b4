"""Keeping the attempts of this process alive: one thread, one statement every few seconds, however many attempts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)

Beat = Callable[[list[str]], None]


class Heartbeats:
    """Calls `beat` with the ids of all live attempts every `interval` seconds.

    It does so whether or not bytes arrive: what ends a stalled attempt is the stream's own time limit. The thread runs
    from the first attempt until `stop`.
    """

    def __init__(self, beat: Beat, interval: float) -> None:
        self._beat = beat
        self._interval = interval
        self._alive: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keep(self, attempt_id: str) -> Iterator[None]:
        """Keep the attempt alive inside the block."""
        with self._lock:
            self._alive.add(attempt_id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._alive.discard(attempt_id)

    def stop(self) -> None:
        """End the thread; attempts that go on are no longer kept alive."""
        self._stopping.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            with self._lock:
                alive = sorted(self._alive)
            if not alive:
                continue
            try:
                self._beat(alive)
            except Exception:  # noqa: BLE001 - the next beat may succeed where this one did not
                _log.exception("heartbeat failed", extra={"attempts": len(alive)})
