"""The table of stores, for the composition root and the settings: another store is another entry of `DRIVERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from glare.db.engine import Database
from glare.stores.base import Observer, Store, log_call
from glare.stores.contract import Driver
from glare.stores.database import DatabaseDriver
from glare.stores.filesystem import FilesystemDriver


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """What drivers are made of; each takes what it needs.

    `reserve` bytes stay free. `db` and `aside` are the service's database by two sets of connections; probes use the
    second, where there is one. `recorded` says by which identity the database knows the store of a name, None where it
    is not to be asked.
    """

    directory: Path
    reserve: int
    db: Database
    aside: Database | None
    recorded: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class StoreKind:
    """How a driver is made for the name that it has in the table. `older_names` are other names that the configuration
    may use; `serves_files` says whether the server may send its files by itself (`Driver.path`).
    """

    make: Callable[[DriverSettings, str], Driver]
    older_names: tuple[str, ...] = ()
    serves_files: bool = False


def _file(settings: DriverSettings, name: str) -> Driver:
    return FilesystemDriver(
        settings.directory, name=name, reserve=settings.reserve, recorded=lambda: settings.recorded(name)
    )


def _database(settings: DriverSettings, name: str) -> Driver:
    return DatabaseDriver(settings.db, name=name, reserve=settings.reserve, aside=settings.aside)


DRIVERS: Final[Mapping[str, StoreKind]] = MappingProxyType(
    {
        "file": StoreKind(_file, older_names=("filesystem",), serves_files=True),
        "database": StoreKind(_database),
    }
)
"""Stores by the name that blobs remember: one that is in use never changes its name."""


def names(*, serving_files: bool = False) -> tuple[str, ...]:
    """Every name that the configuration may use, or of those that serve files."""
    kinds = ((name, kind) for name, kind in DRIVERS.items() if kind.serves_files or not serving_files)
    return tuple(each for name, kind in kinds for each in (name, *kind.older_names))


def name_of(configured: str) -> str:
    """The key of `DRIVERS` for one of `names`."""
    return next(name for name, kind in DRIVERS.items() if configured in (name, *kind.older_names))


def make_stores(settings: DriverSettings, observe: Observer = log_call) -> Mapping[str, Store]:
    """All stores by name, whichever is for new blobs now: another one was before, and has some."""
    return {name: Store(kind.make(settings, name), observe) for name, kind in DRIVERS.items()}
