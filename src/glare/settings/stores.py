"""What options of stores have to do with one another."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

from glare.db.counters import ALL_TYPES
from glare.settings.declare import STORE_NAME
from glare.settings.options.objects import AzureSettings, ObjectStoreSettings, S3Settings, SwiftSettings
from glare.settings.options.stores import DRIVER_SECTIONS, NamedStoreSettings
from glare.settings.rules import placing_of
from glare.settings.units import show_duration
from glare.settings.values import Settings
from glare.stores.drivers import DRIVERS, name_of, own_places


def stores_problem(settings: Settings) -> str | None:
    """The first thing that is wrong with the stores, in a sentence; None where all is right."""
    return next(_problems(settings), None)


def drivers_of(settings: Settings) -> Mapping[str, str]:
    """The driver of each store that is configured, by its name."""
    of_table = {name: name for name in DRIVERS if name not in DRIVER_SECTIONS or name in settings.places}
    return of_table | {name: store.driver for name, store in settings.stores.items() if store.driver is not None}


def _problems(settings: Settings) -> Iterator[str]:
    yield from _alike(settings)
    for name, store in settings.stores.items():
        yield from _of_store(name, store)
    groups = {
        f"[{name}]" if name in DRIVERS else f"[store:{name}]": store for name, store in settings.object_stores.items()
    }
    for group, store_in in groups.items():
        yield from _of_place(group, store_in, settings)
    yield from _shared_directories(settings)
    yield from _shared_places(groups)
    yield from _defaults(settings)
    yield from _unchecked(settings)


def _alike(settings: Settings) -> Iterator[str]:
    """Names of groups that differ in capitals only: their options are read as those of one."""
    for one, other in combinations(settings.stores, 2):
        if one.casefold() == other.casefold():
            yield f"[store:{other}] and [store:{one}] differ in capitals only, and are read as one; rename one of them."


def _of_store(name: str, store: NamedStoreSettings) -> Iterator[str]:
    group, drivers = f"[store:{name}]", " or ".join(own_places())
    if not STORE_NAME.fullmatch(name) or name_of(name) != name:
        yield (
            f"{group} names no store: a name has 1 to 32 letters, digits, dots, dashes and underscores, begins with a "
            "letter or digit, and is not 'filesystem', the older name of 'file'; choose another one."
        )
    if name in DRIVERS:
        if store.driver is not None or store.directory is not None:
            own = "driver" if store.driver is not None else "directory"
            yield (
                f"{group} {own} is set, but the store {name!r} has its place by other options; remove it, or choose "
                "another name for another store."
            )
    elif store.driver is None:
        yield f"{group} has no driver; set driver = {drivers}."
    if store.driver == "file" and store.directory is None:
        yield f"{group} driver is 'file', but no directory is named; set directory."
    if store.driver not in (None, "file") and store.directory is not None:
        yield f"{group} directory is {str(store.directory)!r}, but its driver is {store.driver!r}; remove directory."
    if isinstance(store.own, ObjectStoreSettings) and getattr(store.own, store.own.place_option) is None:
        wanted = store.own.place_option
        yield f"{group} driver is {store.driver!r}, but no {wanted} is named; set {wanted}."


def _of_place(group: str, store: ObjectStoreSettings, settings: Settings) -> Iterator[str]:
    if isinstance(store, AzureSettings):
        yield from _of_azure(group, store)
    if isinstance(store, SwiftSettings):
        yield from _of_swift(group, store)
    if store.place is None:
        return
    if isinstance(store, S3Settings) and (store.access_key_id is None) != (store.secret_access_key is None):
        given, missing = "access_key_id", "secret_access_key"
        if store.access_key_id is None:
            given, missing = missing, given
        yield f"{group} {given} is set, but {missing} is not; set both, or none."
    if store.retry_time >= settings.uploads.store_timeout:
        yield (
            f"{group} retry_time is {show_duration(store.retry_time)}, but it must be below [uploads] store_timeout, "
            f"which is {show_duration(settings.uploads.store_timeout)}, so that an upload outlives its retries; lower "
            "the one or raise the other."
        )
    if store.max_transfers >= settings.uploads.max_concurrent:
        yield (
            f"{group} max_transfers is {store.max_transfers}, but it must be below [uploads] max_concurrent, which is "
            f"{settings.uploads.max_concurrent}, so that readers of other stores have places left; lower the one or "
            "raise the other."
        )


def _of_azure(group: str, azure: AzureSettings) -> Iterator[str]:
    if (azure.container is None) != (azure.account is None):
        given, missing = ("account", "container") if azure.container is None else ("container", "account")
        yield f"{group} {given} is set, but {missing} is not; a container is found by both."
    if azure.account_key is not None and azure.sas_token is not None:
        yield f"{group} account_key and sas_token are both set; the service is one of them, so unset the other."


def _of_swift(group: str, swift: SwiftSettings) -> Iterator[str]:
    if (swift.container is None) != (swift.auth_url is None):
        given, other = ("auth_url", "container") if swift.container is None else ("container", "auth_url")
        yield f"{group} {given} is set, but {other} is not; a container is found by both."
    if swift.container is None:
        return
    by_credential = swift.application_credential_id is not None
    if by_credential != (swift.application_credential_secret is not None):
        yield f"{group} needs both application_credential_id and application_credential_secret, or neither; set both."
    if by_credential and (swift.auth_version == "1" or swift.username is not None):
        yield (
            f"{group} application_credential_id goes with auth_version = 3, and without username; remove one of them."
        )
    wanted = [] if by_credential else ["username", "password"]
    if not by_credential and swift.auth_version == "3":
        wanted.append("project_name")
    missing = [name for name in wanted if getattr(swift, name) is None]
    if missing:
        yield (
            f"{group} container is set, but {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not; set "
            f"{'it' if len(missing) == 1 else 'them'}, or application_credential_id and its secret."
        )


def _shared_directories(settings: Settings) -> Iterator[str]:
    places: list[tuple[str, Path]] = [
        ("[glance_store] filesystem_store_datadir", settings.glance_store.filesystem_store_datadir)
    ]
    places += [
        (f"[store:{name}] directory", store.directory)
        for name, store in settings.stores.items()
        if store.directory is not None
    ]
    for (one, named), (other, other_named) in combinations(places, 2):
        first, second = named.resolve(), other_named.resolve()  # One may be a link to the other.
        if first.is_relative_to(second) or second.is_relative_to(first):
            where = "the same place" if first == second else f"the place {str(named)!r} within or around it"
            yield (
                f"{other} is {str(other_named)!r}, but {one} is {where}; give each store a directory of its own, "
                "outside of the others."
            )


def _shared_places(groups: Mapping[str, ObjectStoreSettings]) -> Iterator[str]:
    places = {group: (store.place_option, store.place) for group, store in groups.items()}
    for (one, (_, first)), (other, (option, second)) in combinations(places.items(), 2):
        if first is not None and second is not None and first.whereabouts == second.whereabouts:
            yield (
                f"{other} {option} is {second.name!r}, but {one} is the same place; give each store a {option} or a "
                "prefix of its own."
            )


def _defaults(settings: Settings) -> Iterator[str]:
    known = drivers_of(settings)
    chosen = {"[glance_store]": settings.glance_store.default_store}
    chosen |= {f"[artifact_type:{name}]": section.default_store for name, section in settings.artifact_types.items()}
    chosen |= {f"[project:{name}]": section.default_store for name, section in settings.projects.items()}
    for group, names in chosen.items():
        yield from (_no_store(f"{group} default_store", name, known) for name in names if name_of(name) not in known)
    placing = placing_of(settings)
    for group, names in chosen.items():
        if not names:
            continue
        kind, project = _of_group(group)
        if not placing.open(kind, project):
            yield (
                f"{group} default_store is {', '.join(names)!r}, but no new data goes there, because of read_only or "
                "a weight of 0; name a store that takes it."
            )


def _of_group(group: str) -> tuple[str, str | None]:
    """The type and the project that such a group is of."""
    kind, _, name = group[1:-1].partition(":")
    return (name if kind == "artifact_type" else ALL_TYPES), (name if kind == "project" else None)


def _unchecked(settings: Settings) -> Iterator[str]:
    known = drivers_of(settings)
    for name in settings.store.unchecked_files:
        if name_of(name) not in known:
            yield _no_store("[store] unchecked_files", name, known)
        elif not DRIVERS[known[name_of(name)]].serves_files:
            yield f"[store] unchecked_files names {name!r}, but that store has no files that could be sent; remove it."


def _no_store(title: str, name: str, known: Mapping[str, str]) -> str:
    if name in DRIVER_SECTIONS:
        wanted = DRIVER_SECTIONS[name].place_option
        return f"{title} is {name!r}, but no {wanted} is named; set [{name}] {wanted}."
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"name one of {', '.join(known)}, or add a group [store:{name}]."
    return f"{title} is {name!r}, but there is no such store; {hint}"
