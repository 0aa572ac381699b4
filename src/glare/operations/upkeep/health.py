"""Whether this process can do its work now."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from glare.db.artifacts import require_schema
from glare.errors import GlareError, StoreFull, StoreMistaken, StoreReadOnly
from glare.operations.services import Services

_log = logging.getLogger(__name__)

_FULL: Final = "it is full: uploads are refused, everything else works; make room"
_READ_ONLY: Final = "its file system is read-only: uploads are refused, everything else works; make it writable"
_MISTAKEN: Final = (
    "its place is another store's than the database knows; mount the right volume, or see what "
    "`glare-server stores list` says"
)
_UNUSABLE: Final = "the store cannot be used"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What keeps this process from working (`problems`), and what it can do without (`limits`), by part, in words that
    tell nothing inside.

    A store that is full or read-only is a limit: it is so for all nodes, and none of them is to be kept from its
    readers for it.
    """

    problems: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)


def readiness(services: Services) -> Readiness:
    """Look at the database and the stores. Causes go to the log."""
    problems: dict[str, str] = {}
    limits: dict[str, str] = {}
    try:
        with services.aside.read() as connection:
            require_schema(connection)
        for database in (services.db, services.aside):
            database.require_file()
    except Exception:  # noqa: BLE001 - whatever it is, the database is not ready
        _log.warning("database is not ready", exc_info=True)
        problems["database"] = "the database does not answer"
    for name, store in services.stores.items():
        try:
            store.check()
        except StoreFull as failed:
            _tell("store is full", name, failed)
            limits[f"store {name}"] = _FULL
        except StoreReadOnly as failed:
            _tell("store is read-only", name, failed)
            limits[f"store {name}"] = _READ_ONLY
        except GlareError as failed:
            _tell("store is not ready", name, failed)
            problems[f"store {name}"] = _MISTAKEN if isinstance(failed, StoreMistaken) else _UNUSABLE
    return Readiness(problems, limits)


def _tell(what: str, store: str, failed: GlareError) -> None:
    _log.warning(what, extra={"store": store, "reason": failed.message})
