"""The operator's record of one outbound request: one log line, written when it is over."""

from __future__ import annotations

import logging
import time

from glare.egress.cause import cause
from glare.egress.decision import Address
from glare.egress.url import Url

_LEVELS = {"refused": logging.WARNING, "failed": logging.WARNING}


class Attempt:
    """One hop to one origin. `addresses` are those that were decided on; `end` writes the line, once.

    It belongs to the request of ours that its thread works for when the hop begins.
    """

    def __init__(self, log: logging.Logger, method: str, url: Url, hop: int) -> None:
        self.addresses: tuple[Address, ...] = ()
        self._log = log
        self._method = method
        self._url = url
        self._hop = hop
        self._cause = cause()
        self._began = time.monotonic()
        self._ended = False

    def end(self, outcome: str, reason: str, size: int) -> None:
        """Log the attempt: `outcome` is ok, redirected, refused, failed or abandoned; `size` the bytes of body read.

        The fields are the record's `egress` attribute, which formatters write escaped: nothing that an origin sent can look
        like another line.
        """
        if self._ended:
            return
        self._ended = True
        fields = {
            "event": "egress",
            "method": self._method,
            "url": self._url.redacted,
            "hop": self._hop,
            "outcome": outcome,
            "reason": reason,
            "addresses": [str(address) for address in self.addresses],
            "seconds": round(time.monotonic() - self._began, 3),
            "bytes": size,
        }
        extra = {"egress": fields} | ({"request_id": self._cause} if self._cause else {})
        self._log.log(_LEVELS.get(outcome, logging.INFO), "egress %s", outcome, extra=extra)
