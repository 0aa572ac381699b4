"""The table of stores, for the composition root and the settings: another store is another entry of `DRIVERS`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Final

from glare.db.engine import Database
from glare.errors import Unavailable
from glare.stores.base import Observer, Store, log_call
from glare.stores.contract import Driver
from glare.stores.database import DatabaseDriver
from glare.stores.filesystem import FilesystemDriver
from glare.stores.objects.options import EXTRA, S3Options


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """What drivers are made of; each takes what it needs.

    `reserve` bytes stay free. `db` and `aside` are the service's database by two sets of connections; probes use the
    second, where there is one. `recorded` says by which identity the database knows the store of a name, None where it
    is not to be asked. `s3` is None where no bucket is named.
    """

    directory: Path
    reserve: int
    db: Database
    aside: Database | None
    recorded: Callable[[str], str | None]
    s3: S3Options | None = None


def _always(_: DriverSettings) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class StoreKind:
    """How a driver is made for the name that it has in the table. `older_names` are other names that the configuration
    may use; `serves_files` says whether the server may send its files by itself (`Driver.path`), and `remote` whether
    its bytes come over a network from somebody who may be slow. A store that is not `configured` is not there. Of one
    that has `several` places, more stores may be made under other names.
    """

    make: Callable[[DriverSettings, str], Driver]
    older_names: tuple[str, ...] = ()
    serves_files: bool = False
    remote: bool = False
    configured: Callable[[DriverSettings], bool] = _always
    several: bool = True


def _file(settings: DriverSettings, name: str) -> Driver:
    return FilesystemDriver(
        settings.directory, name=name, reserve=settings.reserve, recorded=lambda: settings.recorded(name)
    )


def _database(settings: DriverSettings, name: str) -> Driver:
    return DatabaseDriver(settings.db, name=name, reserve=settings.reserve, aside=settings.aside)


def _s3(settings: DriverSettings, name: str) -> Driver:
    assert settings.s3 is not None  # noqa: S101 - `make_stores` makes what is configured
    driver: Driver = _library(name).make_driver(settings.s3, name, lambda: settings.recorded(name))
    return driver


def _library(name: str) -> ModuleType:
    """The module for S3: its library is an extra, which takes a while to import. Raises `Unavailable`."""
    try:
        return importlib.import_module("glare.stores.objects.s3")
    except ModuleNotFoundError:
        raise Unavailable(f"Store {name!r} needs obstore, which is not installed; install '{EXTRA}'.") from None


def survey(buckets: Mapping[str, S3Options]) -> tuple[Sequence[str], Sequence[str]]:
    """What is wrong with the places of remote stores, by name, and what their operator may want to know, in
    sentences.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for name, s3 in buckets.items():
        try:
            found = _library(name).survey(s3, name)
        except Unavailable as error:
            problems.append(error.message)
        else:
            problems += found.problems
            warnings += found.warnings
    return problems, warnings


DRIVERS: Final[Mapping[str, StoreKind]] = MappingProxyType(
    {
        "file": StoreKind(_file, older_names=("filesystem",), serves_files=True),
        "database": StoreKind(_database, several=False),
        "s3": StoreKind(_s3, remote=True, configured=lambda settings: settings.s3 is not None),
    }
)
"""Stores by the name that blobs remember: one that is in use never changes its name."""


def names(*, serving_files: bool = False) -> tuple[str, ...]:
    """Every name that the configuration may use, or of those that serve files."""
    kinds = ((name, kind) for name, kind in DRIVERS.items() if kind.serves_files or not serving_files)
    return tuple(each for name, kind in kinds for each in (name, *kind.older_names))


def name_of(configured: str) -> str:
    """The name that blobs remember: the key of `DRIVERS` for one of `names`, and any other name itself."""
    return next((name for name, kind in DRIVERS.items() if configured in (name, *kind.older_names)), configured)


def own_places() -> tuple[str, ...]:
    """The drivers of which there may be several stores."""
    return tuple(name for name, kind in DRIVERS.items() if kind.several)


@dataclass(frozen=True, slots=True)
class NamedStore:
    """A store that is declared by its name: a key of `DRIVERS`, and what its driver is made of."""

    driver: str
    settings: DriverSettings


_NONE_NAMED: Final[Mapping[str, NamedStore]] = MappingProxyType({})


def make_stores(
    settings: DriverSettings, observe: Observer = log_call, named: Mapping[str, NamedStore] = _NONE_NAMED
) -> Mapping[str, Store]:
    """All stores by name that are configured, whichever is for new blobs now: another one was before, and has some.
    `named` are those that are declared besides the ones of the table.

    Raises `Unavailable` for one that cannot be made here.
    """
    of_table = {name: NamedStore(name, settings) for name, kind in DRIVERS.items() if kind.configured(settings)}
    return {
        name: Store(DRIVERS[one.driver].make(one.settings, name), observe, remote=DRIVERS[one.driver].remote)
        for name, one in {**of_table, **named}.items()
    }
