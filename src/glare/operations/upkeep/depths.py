"""How much work waits, read at the moment when somebody asks."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping

from glare import __version__
from glare.db.depths import read_depths
from glare.errors import GlareError
from glare.metrics import Depths
from glare.operations.services import Services

_log = logging.getLogger(__name__)


def depths(services: Services) -> Depths:
    """Gauges by name. Each walks an index, and counts to 10000 at most: that many say enough, and cost little.

    A database that does not answer leaves its own out, but for the one that says so.
    """
    found: dict[str, float | Mapping[tuple[str, ...], float]] = {"glare_build_info": {_build(services): 1}}
    found |= _stores(services)
    try:
        with services.aside.read() as connection:
            found |= read_depths(connection, services.clock(), services.rules.attempt_timeout)
    except Exception:  # noqa: BLE001 - the numbers that need no database are wanted most when it is down
        _log.warning("the database does not answer for metrics", exc_info=True)
        found["glare_database_up"] = 0
    return found


def _build(services: Services) -> tuple[str, ...]:
    return __version__, platform.python_version(), services.db.engine.dialect.name


def _stores(services: Services) -> dict[str, dict[tuple[str, ...], float]]:
    up: dict[tuple[str, ...], float] = {}
    free: dict[tuple[str, ...], float] = {}
    for name, store in services.stores.items():
        try:
            left = store.free_space()
        except GlareError:
            up[(name,)] = 0
            continue
        up[(name,)] = 1
        if left is not None:
            free[(name,)] = left
    return {"glare_store_up": up, "glare_store_free_bytes": free}
