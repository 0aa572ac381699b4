"""How fast a client is, seen from the time in which somebody waited for it."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """How fast a peer sends or takes, over the time in which it was waited for. What is longer ago counts less and
    less.

    `window` is in seconds of waiting; `clock` gives seconds.
    """

    __slots__ = ("_bytes", "_clock", "_since", "_waited", "_window")

    def __init__(self, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._since: float | None = None
        self._waited = 0.0
        self._bytes = 0.0

    def wait(self) -> None:
        """The peer is waited for from now on."""
        self._since = self._clock()

    def moved(self, size: int) -> None:
        """It has sent or taken so many bytes, and is not waited for any more."""
        self._waited, self._since = self._so_far(), None
        self._bytes += size
        if self._waited > 2 * self._window:
            self._waited /= 2
            self._bytes /= 2

    def is_below(self, rate: float) -> bool:
        """Whether it was waited for longer than the window, and has moved less than `rate` bytes a second meanwhile."""
        waited = self._so_far()
        return waited > self._window and self._bytes < rate * waited

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self._bytes / max(self._so_far(), 1e-9)

    def _so_far(self) -> float:
        return self._waited + (0.0 if self._since is None else self._clock() - self._since)
