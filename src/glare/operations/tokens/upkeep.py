"""What workers do for API tokens: tell their projects before they expire, and forget those that are long over."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from glare.db.callers import tokens as rows
from glare.documents.tokens import EXPIRING
from glare.operations.services import Services
from glare.operations.tokens.events import tell

_BATCH: Final = 100


def tell_expiring(services: Services) -> int:
    """Tell the projects of tokens that expire soon, once of each, whatever number of workers there are; returns of how
    many.
    """

    def work(connection: Connection) -> tuple[int, int]:
        now = services.clock()
        due = rows.expiring(connection, now, _BATCH)
        if due:
            rows.told(connection, [token.id for token in due])
            soon = [token for token in due if not token.ends_by(now)]
            tell(connection, None, EXPIRING, soon, now)
            return len(due), len(soon)
        return 0, 0

    told = 0
    while True:
        due, soon = services.db.transact(work)
        told += soon
        if due < _BATCH:
            return told


def retire_tokens(services: Services) -> None:
    """Forget tokens that were revoked, or expired, longer ago than the operator wants them listed."""
    before = services.clock() - services.rules.tokens.retention
    while services.db.transact(lambda connection: rows.retire(connection, before, _BATCH)) == _BATCH:
        pass
