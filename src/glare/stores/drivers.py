"""The table of stores, for the composition root and the settings: another store is another entry of `DRIVERS`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Final

from glare.db.engine import Database
from glare.errors import Unavailable
from glare.stores.base import Observer, Store, log_call
from glare.stores.contract import Driver
from glare.stores.database import DatabaseDriver
from glare.stores.filesystem import FilesystemDriver
from glare.stores.objects.options import PlaceOptions


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """What drivers are made of; each takes what it needs.

    `reserve` bytes stay free. `db` and `aside` are the service's database by two sets of connections; probes use the
    second, where there is one. `recorded` says by which identity the database knows the store of a name, None where it
    is not to be asked. `places` are those of object stores, by the names of their stores.
    """

    directory: Path
    reserve: int
    db: Database
    aside: Database | None
    recorded: Callable[[str], str | None]
    places: Mapping[str, PlaceOptions] = field(default_factory=dict)


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


def _in_objects(driver: str) -> StoreKind:
    """A store in an object store; the module in `glare.stores.objects` has the driver's name."""
    return StoreKind(_placed, remote=True, configured=lambda settings: driver in settings.places)


def _placed(settings: DriverSettings, name: str) -> Driver:
    place = settings.places[name]
    driver: Driver = _library(place, name).make_driver(place, name, lambda: settings.recorded(name))
    return driver


def _library(place: PlaceOptions, name: str) -> ModuleType:
    """The module of a place: its library is an extra, which takes a while to import. Raises `Unavailable`."""
    try:
        return importlib.import_module(f"glare.stores.objects.{place.driver}")
    except ModuleNotFoundError:
        raise Unavailable(
            f"Store {name!r} needs a library that is not installed; install 'glare-server[{place.driver}]'."
        ) from None


def survey(places: Mapping[str, PlaceOptions]) -> tuple[Sequence[str], Sequence[str]]:
    """What is wrong with the places of object stores, by name, and what their operator may want to know, in
    sentences.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for name, place in places.items():
        try:
            found = _library(place, name).survey(place, name)
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
        "s3": _in_objects("s3"),
        "azure": _in_objects("azure"),
        "gcs": _in_objects("gcs"),
        "swift": _in_objects("swift"),
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
