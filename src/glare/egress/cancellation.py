"""A word from another thread that nobody waits for the outcome any longer."""

from __future__ import annotations

import threading


class Cancellation:
    """Given to a request; whoever learns that it is not wanted any more calls `cancel`, from any thread.

    What waits for an origin asks a few times a second, so that a silent origin does not hold a worker.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def cancel(self) -> None:
        self._event.set()
