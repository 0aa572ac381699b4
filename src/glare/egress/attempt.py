"""The operator's record of one outbound request: one log line, written when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from glare.egress.decision import Address
from glare.egress.url import Url

_LEVELS = {"refused": logging.WARNING, "failed": logging.WARNING}


Report = Callable[[str, float, int], None]
"""Takes the outcome, the seconds and the bytes of one attempt, for numbers that name nobody."""


def not_reported(outcome: str, seconds: float, size: int) -> None:
    """Where nobody keeps numbers."""


class Attempt:
    """One hop to one origin. `addresses` are those that were decided on; `end` writes the line, once."""

    def __init__(self, log: logging.Logger, method: str, url: Url, hop: int, report: Report = not_reported) -> None:
        self.addresses: tuple[Address, ...] = ()
        self._log = log
        self._method = method
        self._url = url
        self._hop = hop
        self._report = report
        self._began = time.monotonic()
        self._ended = False

    def end(self, outcome: str, reason: str, size: int) -> None:
        """Log the attempt: `outcome` is ok, redirected, refused, failed or abandoned; `size` the bytes of body read.

        The fields are the record's `egress` attribute, which formatters write escaped: nothing that an origin sent can
        look like another line.
        """
        if self._ended:
            return
        self._ended = True
        seconds = time.monotonic() - self._began
        self._report(outcome, seconds, size)
        fields = {
            "event": "egress",
            "method": self._method,
            "url": self._url.redacted,
            "hop": self._hop,
            "outcome": outcome,
            "reason": reason,
            "addresses": [str(address) for address in self.addresses],
            "seconds": round(seconds, 3),
            "bytes": size,
        }
        self._log.log(_LEVELS.get(outcome, logging.INFO), "egress %s", outcome, extra={"egress": fields})
