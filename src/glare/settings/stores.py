"""What options of stores have to do with one another."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from glare.db.counters import ALL_TYPES
from glare.settings.declare import STORE_NAME
from glare.settings.options.objects import S3Settings
from glare.settings.options.stores import NamedStoreSettings
from glare.settings.rules import placing_of
from glare.settings.units import show_duration
from glare.settings.values import Settings
from glare.stores.drivers import DRIVERS, name_of, own_places


def stores_problem(settings: Settings) -> str | None:
    """The first thing that is wrong with the stores, in a sentence; None where all is right."""
    return next(_problems(settings), None)


def drivers_of(settings: Settings) -> Mapping[str, str]:
    """The driver of each store that is configured, by its name."""
    of_table = {name: name for name in DRIVERS if name != "s3" or settings.s3.bucket is not None}
    return of_table | {name: store.driver for name, store in settings.stores.items() if store.driver is not None}


def _problems(settings: Settings) -> Iterator[str]:
    for name, store in settings.stores.items():
        yield from _of_store(name, store)
    groups = {"s3": ("[s3]", settings.s3)} | {
        name: (f"[store:{name}]", store.own)
        for name, store in settings.stores.items()
        if isinstance(store.own, S3Settings)
    }
    for group, s3 in groups.values():
        yield from _of_bucket(group, s3, settings)
    yield from _shared_directories(settings)
    yield from _shared_buckets([(group, s3) for group, s3 in groups.values() if s3.bucket is not None])
    yield from _defaults(settings)
    yield from _unchecked(settings)


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
    if isinstance(store.own, S3Settings) and store.own.bucket is None:
        yield f"{group} driver is 's3', but no bucket is named; set bucket."


def _of_bucket(group: str, s3: S3Settings, settings: Settings) -> Iterator[str]:
    if s3.bucket is None:
        return
    if (s3.access_key_id is None) != (s3.secret_access_key is None):
        given, missing = "access_key_id", "secret_access_key"
        if s3.access_key_id is None:
            given, missing = missing, given
        yield f"{group} {given} is set, but {missing} is not; set both, or none."
    if s3.retry_time >= settings.uploads.store_timeout:
        yield (
            f"{group} retry_time is {show_duration(s3.retry_time)}, but it must be below [uploads] store_timeout, "
            f"which is {show_duration(settings.uploads.store_timeout)}, so that an upload outlives its retries; lower "
            "the one or raise the other."
        )
    if s3.max_transfers >= settings.uploads.max_concurrent:
        yield (
            f"{group} max_transfers is {s3.max_transfers}, but it must be below [uploads] max_concurrent, which is "
            f"{settings.uploads.max_concurrent}, so that readers of other stores have places left; lower the one or "
            "raise the other."
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
    for (one, first), (other, second) in combinations(places, 2):
        if first.is_relative_to(second) or second.is_relative_to(first):
            where = "the same place" if first == second else f"the place {str(first)!r} within or around it"
            yield (
                f"{other} is {str(second)!r}, but {one} is {where}; give each store a directory of its own, outside "
                "of the others."
            )


def _shared_buckets(buckets: Sequence[tuple[str, S3Settings]]) -> Iterator[str]:
    for (one, first), (other, second) in combinations(buckets, 2):
        if (first.endpoint, first.bucket, first.prefix) == (second.endpoint, second.bucket, second.prefix):
            yield (
                f"{other} bucket is {second.bucket!r}, but {one} is the same place; give each store a bucket or a "
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
    if name == "s3":
        return f"{title} is 's3', but no bucket is named; set [s3] bucket."
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"name one of {', '.join(known)}, or add a group [store:{name}]."
    return f"{title} is {name!r}, but there is no such store; {hint}"
