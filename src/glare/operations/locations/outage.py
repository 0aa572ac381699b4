"""Whether the fault is ours: many unrelated hosts fail together, or the operator's beacons are out of reach.

A state that waits for the end of an outage is a state that does not tell of a change, so nobody but the operator may
bring an outage about. Where there are beacons they decide alone. Else hosts are witnesses, which tenants choose: they
are counted by network and by project, and a finding waits only for so long.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from glare.db import location_hosts
from glare.db.checks import Target
from glare.domain.moment import SECOND
from glare.domain.verification import Finding, OutageRule, Outcome, is_outage

if TYPE_CHECKING:
    from glare.operations.services import Services

_log = logging.getLogger(__name__)

_MOST_HOSTS: Final = 1000
_NETWORK_AUTHENTICATION: Final = 511
_ERRORS: Final = 500

BAD: Final = (Outcome.FAILED, Outcome.CHANGED)
"""Outcomes that an outage of ours may be the reason of."""


def is_ours(services: Services, connection: Connection, target: Target, finding: Finding, now: int) -> bool:
    """Whether so many unrelated hosts failed lately that this finding is no word about the location.

    Errors are no witnesses for a mismatch: a body that differs came from somebody who answered, so only others that
    changed at the same time make a portal likely. What has waited for `outage_patience` waits no longer.
    """
    rules = services.rules.verification
    if finding.outcome not in BAD:
        return False
    patience = int(rules.outage_patience * SECOND)
    withheld_at = target.standing.withheld_at
    if withheld_at is not None and now - withheld_at >= patience:
        return False
    failed, changed, reached = location_hosts.last_words(
        connection, now - int(rules.outage_window * SECOND), _MOST_HOSTS
    )
    bad = changed if finding.outcome is Outcome.CHANGED else [*failed, *changed]
    rule = OutageRule(rules.outage_hosts, rules.outage_projects, rules.outage_share)
    return is_outage(target.host, target.project, bad, reached, rule)
