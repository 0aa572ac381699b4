"""What workers do for links: forget those that ended long ago."""

from __future__ import annotations

from typing import Final

from glare.db.callers import links as rows
from glare.operations.services import Services

_BATCH: Final = 100


def retire_links(services: Services) -> None:
    """Forget links that expired, or were used up, longer ago than the operator wants them listed."""
    before = services.clock() - services.rules.links.retention
    while services.db.transact(lambda connection: rows.retire(connection, before, _BATCH)) == _BATCH:
        pass
