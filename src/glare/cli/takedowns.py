"""`glare-server takedown`: what is not to be read, requested or recorded."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import msgspec

from glare.cli.configuration import say
from glare.cli.database import services_of, somebody
from glare.cli.tables import asked_for, print_page
from glare.documents.parse import parse, parse_query
from glare.documents.takedowns import NewTakedown, TakedownQuery
from glare.domain import moment
from glare.domain.takedown import Takedown
from glare.operations.takedowns.manage import give_back, read_takedowns, represent_takedown, take_down

_COLUMNS = ("ID", "KIND", "VALUE", "CREATED", "BY", "REASON")


def add(args: Namespace) -> int:
    """`glare-server takedown add`. The id alone goes to standard output."""
    with services_of(args) as services:
        asked = parse(NewTakedown, {"kind": args.kind, "value": args.value, "reason": args.reason})
        takedown = take_down(services, somebody(), asked)
    say(f"the {takedown.kind} is taken down; `glare-server takedown remove {takedown.id}` undoes it.")
    print(takedown.id)
    return 0


def list_takedowns(args: Namespace) -> int:
    """`glare-server takedown list`."""
    given = asked_for(args, ("kind", "limit", "marker"))
    with services_of(args) as services:
        page = read_takedowns(services, parse_query(TakedownQuery, given))
    documents = map(_document, page.entries)
    return print_page(args, _COLUMNS, map(_row, page.entries), documents, "nothing is taken down.", page.marker)


def remove(args: Namespace) -> int:
    """`glare-server takedown remove`."""
    with services_of(args) as services:
        takedown = give_back(services, somebody(), args.id)
    say(f"takedown {takedown.id} of a {takedown.kind} is undone.")
    return 0


def _document(takedown: Takedown) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(represent_takedown(takedown))
    return document | {"value": takedown.value.partition("?")[0]}


def _row(takedown: Takedown) -> tuple[str, ...]:
    return (
        takedown.id,
        takedown.kind.value,
        takedown.value.partition("?")[0],
        moment.text(takedown.created_at),
        takedown.created_by or "-",
        " ".join(takedown.reason.split())[:60],
    )
