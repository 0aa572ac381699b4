"""A reader was not served what was recorded: the location is looked at soon."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from glare.db import checks
from glare.domain.verification import AT_ONCE
from glare.errors import GlareError

if TYPE_CHECKING:
    from glare.operations.services import Services

_log = logging.getLogger(__name__)

_SECOND: Final = 1_000_000


def check_soon(services: Services, location_id: str) -> None:
    """Have the location checked whole, unless its last proof is younger than `[verification] hint_interval`.

    It never raises for a database that does not answer: the reader's own error says more.
    """

    def hint(connection: Connection) -> None:
        proven_before = services.clock() - int(services.rules.verification.hint_interval * _SECOND)
        host = checks.suspect(connection, location_id, proven_before)
        if host is not None:
            checks.expect(connection, host, AT_ONCE)

    try:
        services.db.transact(hint)
    except GlareError:
        _log.exception("a failed download could not be followed up", extra={"location": location_id})
