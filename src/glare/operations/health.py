"""Whether this process can do its work now."""

from __future__ import annotations

import logging

from sqlalchemy import text

from glare.errors import GlareError
from glare.operations.services import Services

_log = logging.getLogger(__name__)


def readiness(services: Services) -> dict[str, str]:
    """What keeps the service from working, by part; empty when nothing does. Causes go to the log."""
    problems = {}
    try:
        with services.aside.read() as connection:
            connection.execute(text("SELECT id FROM artifacts LIMIT 1"))
        for database in (services.db, services.aside):
            database.require_file()
    except Exception:  # noqa: BLE001 - whatever it is, the database is not ready
        _log.warning("database is not ready", exc_info=True)
        problems["database"] = "the database does not answer"
    for name, store in services.stores.items():
        try:
            store.check()
        except GlareError as failed:
            _log.warning("store is not ready", extra={"store": name, "reason": failed.message})
            problems[f"store {name}"] = "the store cannot be used"
    return problems
