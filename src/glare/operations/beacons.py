"""URLs of the operator's own choice that answer whenever we can reach the world."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from glare.domain.verification import is_cut_off
from glare.egress.asked import Asked
from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient
from glare.errors import LocationRefused, OriginFailed, OutboundBusy

_log = logging.getLogger(__name__)

_ERRORS: Final = 500
_ANY_ANSWER: Final = Asked(statuses=None, provable=True)


class Beacons:
    """URLs of the operator's own choice that answer whenever we can reach the world. What they said is good for `keep`
    microseconds.

    It may be shared by threads, one of which asks while the others wait for what it finds.
    """

    def __init__(self, client: EgressClient, urls: Sequence[str], keep: int, clock: Callable[[], int]) -> None:
        self._client = client
        self._urls = tuple(urls)
        self._keep = keep
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at: int | None = None
        self._cut_off = False

    def cut_off(self, cancellation: Cancellation) -> bool | None:
        """Whether fewer than half of them answer; None where there are none."""
        if not self._urls:
            return None
        with self._lock:
            now = self._clock()
            if self._asked_at is None or now - self._asked_at >= self._keep or now < self._asked_at:
                reached = sum(self._answers(url, cancellation) for url in self._urls)
                self._cut_off = is_cut_off(reached, len(self._urls))
                self._asked_at = self._clock()
                if self._cut_off:
                    _log.warning("beacons are out of reach", extra={"reached": reached, "asked": len(self._urls)})
            return self._cut_off

    def _answers(self, text: str, cancellation: Cancellation) -> bool:
        """Whether the beacon itself answers, and without an error: not a portal that it is redirected to."""
        try:
            url = self._client.parse(text)
            with self._client.open(url, _ANY_ANSWER, cancellation) as response:
                response.dismiss()
                return response.url.host == url.host and response.status < _ERRORS
        except OutboundBusy:
            return True  # It was not asked, so it has not failed.
        except (LocationRefused, OriginFailed):
            return False
