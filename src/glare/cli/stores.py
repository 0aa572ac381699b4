"""`glare-server stores`: which place of bytes is which store of the database."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from glare.cli.configuration import read_settings, say
from glare.cli.database import require_migrated, somebody
from glare.cli.logs import configure_logging
from glare.cli.tables import print_table
from glare.domain import moment
from glare.errors import NotFound
from glare.operations.upkeep.prepare_stores import Adoption, StoreState, read_stores
from glare.operations.upkeep.prepare_stores import adopt as adopt_store

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
