"""Counts of what the server refuses and ends, for metrics and for a line in the log now and then."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

from glare.metrics import Metrics
from glare.server.answers import Refusal

_log = logging.getLogger(__name__)

_PERIOD: Final = 60.0


class Tally:
    """Used on the event loop only. `reason` is one of a few words, which the reference of the metrics lists."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counts: Counter[tuple[str, str]] = Counter()
        self._unreported: Counter[str] = Counter()
        self._reported_at: float | None = None

    def opened(self) -> None:
        self._metrics.client_connected()

    def closed(self) -> None:
        self._metrics.client_gone()

    def turned_away(self, reason: str) -> None:
        """A connection, or its request, was refused because of a bound."""
        self._counts["refused", reason] += 1
        self._unreported[reason] += 1

    def left(self) -> None:
        """A client had left before its connection was accepted. That is no fault of ours, and is counted only."""
        self._unreported["left"] += 1

    def cut_off(self, reason: str) -> None:
        """A connection was ended that its client would have kept."""
        self._counts["cut_off", reason] += 1
        self._metrics.client_cut_off(reason)

    def refused(self, refusal: Refusal) -> None:
        """A head was refused."""
        if refusal.reason in ("address", "total"):
            self.turned_away(refusal.reason)
        else:
            self.cut_off(refusal.reason)

    def tell(self, now: float) -> None:
        """Hand on what was counted, and log it at most once a minute: each of them can be had by anybody, as often as
        he likes.
        """
        for reason, count in self._unreported.items():
            self._metrics.client_refused(reason, count)
        self._unreported.clear()
        if not self._counts or (self._reported_at is not None and now - self._reported_at < _PERIOD):
            return
        found: dict[str, dict[str, int]] = {}
        for (what, reason), count in sorted(self._counts.items()):
            found.setdefault(what, {})[reason] = count
        _log.warning("connections refused or cut off", extra=found)
        self._counts.clear()
        self._reported_at = now
