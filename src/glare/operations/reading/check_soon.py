"""A reader was not served what was recorded: the location is looked at soon."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from glare.db import checks, location_hosts
from glare.errors import GlareError

if TYPE_CHECKING:
    from glare.operations.services import Services

_log = logging.getLogger(__name__)

_READER: Final = "reader"
"""What hinted at a change: somebody who was not served."""


def check_soon(services: Services, location_id: str) -> None:
    """Have the location checked whole, unless its last proof is younger than `[verification] hint_interval`.

    It never raises for a database that does not answer: the reader's own error says more.
    """

    def hint(connection: Connection) -> None:
        rhythm = services.rules.verification.rhythm
        now = services.clock()
        found = checks.follow_hint(connection, location_id, _READER, now, rhythm)
        if found is not None:
            location_hosts.schedule_host(connection, *found, now)

    try:
        services.db.transact(hint)
    except GlareError:
        _log.exception("a failed download could not be followed up", extra={"location": location_id})
