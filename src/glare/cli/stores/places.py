"""`glare-server stores`: which place of bytes is which store of the database."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from glare.cli.configuration import read_settings, say
from glare.cli.database import require_migrated, somebody
from glare.cli.logs import configure_logging
from glare.cli.tables import print_json, print_table, table
from glare.db.blobs import stores_in_use
from glare.db.counters import ALL_TYPES
from glare.db.stores import Chosen, left, totals
from glare.domain import moment
from glare.errors import GlareError, NotFound
from glare.operations.upkeep.prepare_stores import Adoption, StoreState, read_stores
from glare.operations.upkeep.prepare_stores import adopt as adopt_store
from glare.settings import Settings
from glare.settings.rules import placing_of
from glare.settings.stores import drivers_of
from glare.stores.base import Store
from glare.stores.drivers import name_of

_COLUMNS = ("NAME", "KNOWN", "FOUND HERE", "SINCE")


def list_stores(args: Namespace) -> int:
    """`glare-server stores list`. 1 where a place is not the one that the database knows."""
    settings = read_settings(args)
    configure_logging(settings)
    require_migrated(settings)
    from glare.app import bare_stores

    with bare_stores(settings) as (db, stores):
        states = read_stores(db, stores)
    print_table(args, _COLUMNS, list(map(_row, states)), list(map(_document, states)))
    for state in states:
        if state.problem is not None:
            say(state.problem)
    return 0 if all(map(_in_order, states)) else 1


def show(args: Namespace) -> int:
    """`glare-server stores show`."""
    settings = read_settings(args)
    configure_logging(settings)
    require_migrated(settings)
    from glare.app import bare_stores

    name = name_of(args.name)
    with bare_stores(settings) as (db, stores):
        with db.read() as connection:
            in_use = stores_in_use(connection)
            if name not in stores and name not in in_use:
                raise NotFound(f"There is no store {args.name!r}; the stores are {', '.join(stores)}.")
            blobs, size = totals(connection, Chosen(name))
            rest = left(connection, name)
        states = read_stores(db, {name: stores[name]} if name in stores else {})
        free = _free_space(stores[name]) if states and states[0].problem is None else None
    document = {
        **_configured(settings, name),
        "blobs": blobs,
        "bytes": size,
        "uploads": rest.uploads,
        "waiting_for_removal": rest.waiting,
        "free_bytes": free,
        "known": states[0].known.identity if states and states[0].known else None,
        "found_here": states[0].found if states else None,
        "problem": states[0].problem if states else "it is not configured here",
    }
    if args.output == "json":
        print_json(document)
    else:
        print("\n".join(table([(word.replace("_", " "), _shown(value)) for word, value in document.items()])))
    return 0 if document["problem"] is None else 1


def check(args: Namespace) -> int:
    """`glare-server stores check`. 1 where something fails."""
    settings = read_settings(args)
    configure_logging(settings)
    require_migrated(settings)
    from glare.app import open_stores, run_trial

    open_stores(settings)
    steps = run_trial(settings, name_of(args.name))
    rows = [(step.what, f"{1000 * step.seconds:.1f} ms", step.problem or "ok") for step in steps]
    documents = [{"what": step.what, "seconds": step.seconds, "problem": step.problem} for step in steps]
    print_table(args, ("IT", "TOOK", "RESULT"), rows, documents)
    return 0 if all(step.problem is None for step in steps) else 1


def _configured(settings: Settings, name: str) -> dict[str, Any]:
    """What the configuration says of a store."""
    driver = drivers_of(settings).get(name)
    placing = placing_of(settings)
    defaults = [
        *("all" if kind == ALL_TYPES else f"type {kind}" for kind, names in placing.types.items() if name in names),
        *(f"project {project}" for project, names in placing.projects.items() if name in names),
    ]
    return {
        "name": name,
        "driver": driver,
        "place": _place(settings, name),
        "read_only": name in placing.read_only,
        "weight": placing.weights.get(name, 1),
        "default_of": defaults,
    }


def _place(settings: Settings, name: str) -> str | None:
    if (place := settings.places.get(name)) is not None:
        where = f" at {place.endpoint}" if place.endpoint else ""
        return f"{place.name}{f', prefix {place.prefix}' if place.prefix else ''}{where}"
    if name == "file":
        return str(settings.glance_store.filesystem_store_datadir)
    named = settings.stores.get(name)
    return str(named.directory) if named is not None and named.directory is not None else None


def _free_space(store: Store) -> int | None:
    try:
        return store.free_space()
    except GlareError:
        return None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return "-" if value is None else str(value)


def adopt(args: Namespace) -> int:
    """`glare-server stores adopt`."""
    settings = read_settings(args)
    configure_logging(settings)
    require_migrated(settings)
    from glare.app import bare_stores

    adoption = Adoption(somebody(), time.time_ns() // 1000, without_bytes=args.without_bytes)
    with bare_stores(settings) as (db, stores):
        if args.name not in stores:
            raise NotFound(f"There is no store {args.name!r}; the stores are {', '.join(stores)}.")
        found, before = adopt_store(db, stores[args.name], adoption)
    if before is None:
        say(f"store {args.name} is known by {found}, as this node has it.")
    else:
        say(f"store {args.name} is known by {found} from now on, and not by {before.identity} any more.")
        say("start the nodes again, and run `glare-server fsck` to see whether all bytes are there.")
    return 0


def _in_order(state: StoreState) -> bool:
    return state.problem is None and (state.known is None or state.known.identity == state.found)


def _document(state: StoreState) -> dict[str, Any]:
    known = state.known
    return {
        "name": state.name,
        "known": None if known is None else known.identity,
        "found_here": state.found,
        "since": None if known is None else moment.text(known.recorded_at),
        "problem": state.problem,
    }


def _row(state: StoreState) -> tuple[str, ...]:
    known = state.known
    return (
        state.name,
        "-" if known is None else known.identity,
        state.found or "-",
        "-" if known is None else moment.text(known.recorded_at),
    )
