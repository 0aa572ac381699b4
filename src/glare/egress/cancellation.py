"""A word from another thread that nobody waits for the outcome any longer."""

from __future__ import annotations

import threading
from typing import Final

from glare.errors import ClientDisconnected, GlareError

CANCELLED: Final = "The request to the origin was cancelled."


class Cancellation:
    """Given to a request; whoever learns that it is not wanted any more calls `cancel`, from any thread.

    What waits for an origin asks a few times a second, so that a silent origin does not hold a worker.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reason: GlareError | None = None

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    @property
    def reason(self) -> GlareError:
        """The error that whoever waits gets."""
        return self._reason or ClientDisconnected()

    def cancel(self, reason: GlareError | None = None) -> None:
        """`reason` is why, where it is not that the client has gone away."""
        self._reason = self._reason or reason
        self._event.set()
