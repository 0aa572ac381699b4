"""Whether a peer takes what waits for it: at all, and fast enough."""

from __future__ import annotations

from typing import Literal

from glare.server.limits import Limits

Verdict = Literal["stall", "slow"]


class Pace:
    """Judges one connection by the bytes that it has taken, and by the time in which bytes waited for it.

    Time in which there was nothing to take does not count. The rate is judged over windows of `stall_seconds` of
    waiting, so that what was taken fast an hour ago excuses nobody. `taken` is a count of bytes that never falls, `now`
    a clock in seconds.
    """

    __slots__ = ("_least_rate", "_moved_at", "_since", "_stall", "_taken", "_waited", "_window_taken")

    def __init__(self, stall_seconds: float, least_rate: int) -> None:
        self._stall = stall_seconds
        self._least_rate = least_rate
        self._since: float | None = None
        self._moved_at = 0.0
        self._taken = 0
        self._waited = 0.0
        self._window_taken = 0

    @property
    def waiting(self) -> bool:
        """Whether bytes wait to be taken."""
        return self._since is not None

    def wait(self, now: float) -> None:
        """From now on bytes wait."""
        self._since = self._moved_at = now

    def proceed(self, now: float) -> None:
        """All of them have been taken."""
        if self._since is not None:
            self._waited += now - self._since
            self._since = None

    def judge(self, now: float, taken: int) -> Verdict | None:
        """What is to be said against the peer. To be asked several times in `stall_seconds`."""
        if self._since is None:
            return None
        if taken != self._taken:
            self._taken = taken
            self._moved_at = now
        elif now - self._moved_at >= self._stall:
            return "stall"
        self._waited += now - self._since
        self._since = now
        if self._waited >= self._stall:
            if taken - self._window_taken < self._least_rate * self._waited:
                return "slow"
            self._waited = 0.0
            self._window_taken = taken
        return None


class Rest:
    """Judges how a peer takes what the kernel still `kept` for it at `now`, after the last byte of an answer was given
    to it.
    """

    __slots__ = ("_pace", "_whole")

    def __init__(self, limits: Limits, now: float, kept: int) -> None:
        self._whole = kept
        self._pace = Pace(limits.stall_seconds, limits.least_rate)
        self._pace.wait(now)

    def judge(self, now: float, kept: int) -> Verdict | None:
        """What is to be said against the peer, for which the kernel keeps so many bytes now."""
        # With TLS the kernel gets a few more from above, while the peer takes as many.
        self._whole = max(self._whole, kept)
        return self._pace.judge(now, self._whole - kept)
