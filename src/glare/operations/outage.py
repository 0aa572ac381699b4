"""Whether the fault is ours: many unrelated hosts fail together, or the operator's beacons are out of reach.

A state that waits for the end of an outage is a state that does not tell of a change, so nobody but the operator may bring an outage about.
Where there are beacons they decide alone. Else hosts are witnesses, which tenants choose: they are counted by network and by project, and a
finding waits only for so long.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from glare.db import checks
from glare.domain.verification import Finding, Outcome, Standing, is_cut_off, is_outage
from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient
from glare.errors import LocationRefused, OriginFailed, OutboundBusy

if TYPE_CHECKING:
    from glare.operations.services import Services

_log = logging.getLogger(__name__)

_SECOND: Final = 1_000_000
_MOST_HOSTS: Final = 1000
_NETWORK_AUTHENTICATION: Final = 511
_ERRORS: Final = 500

BAD: Final = (Outcome.FAILED, Outcome.CHANGED)
"""Outcomes that an outage of ours may be the reason of."""


class Beacons:
    """URLs of the operator's own choice that answer whenever we can reach the world. What they said is good for `keep` microseconds.

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
            with self._client.open(url, statuses=None, cancellation=cancellation, provable=True) as response:
                response.dismiss()
                return response.url.host == url.host and response.status < _ERRORS
        except OutboundBusy:
            return True  # It was not asked, so it has not failed.
        except (LocationRefused, OriginFailed):
            return False


def is_ours(
    services: Services, connection: Connection, host: str, project: str, standing: Standing, finding: Finding, now: int
) -> bool:
    """Whether so many unrelated hosts failed lately that this finding is no word about the location.

    Errors are no witnesses for a mismatch: a body that differs came from somebody who answered, so only others that changed at the same time make
    a portal likely. What has waited for `outage_patience` waits no longer.
    """
    rules = services.rules.verification
    if finding.outcome not in BAD:
        return False
    patience = int(rules.outage_patience * _SECOND)
    if standing.withheld_at is not None and now - standing.withheld_at >= patience:
        return False
    failed, changed, reached = checks.lately(connection, now - int(rules.outage_window * _SECOND), _MOST_HOSTS)
    bad = changed if finding.outcome is Outcome.CHANGED else [*failed, *changed]
    return is_outage(
        host,
        project,
        bad,
        reached,
        hosts=rules.outage_hosts,
        projects=rules.outage_projects,
        share=rules.outage_share,
    )
