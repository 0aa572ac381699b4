"""`glare-server publishers`: builds that may write into a project with the token of their platform."""

from __future__ import annotations

from argparse import Namespace
from typing import Any, Final

import msgspec

from glare.cli.configuration import say
from glare.cli.database import services_of, somebody
from glare.cli.tables import asked_for, print_page
from glare.documents.parse import parse, parse_query
from glare.documents.publishers import NewPublisher, PublisherQuery
from glare.domain import moment
from glare.domain.publisher import Publisher
from glare.errors import InvalidParameterValue
from glare.operations.publishers.manage import read_publishers, register, represent_publisher, take_away

_COLUMNS: Final = ("ID", "PROJECT", "ISSUER", "CLAIMS", "ROLES", "LIMITS", "CREATED", "DESCRIPTION")


def add(args: Namespace) -> int:
    """`glare-server publishers add`. The id alone goes to standard output."""
    body: dict[str, Any] = {"issuer": args.issuer, "claims": dict(map(_claim, args.claim))}
    body |= {name: value for name in ("types", "names") if (value := getattr(args, name[:-1]))}
    if args.description:
        body["description"] = args.description
    with services_of(args) as services:
        asked = parse(NewPublisher, body | {"roles": args.role or ["member"]})
        publisher = register(services, somebody(), args.project, tuple(args.role or ["member"]), asked)
    say(f"builds of {publisher.issuer} with these claims may publish into {publisher.project}.")
    print(publisher.id)
    return 0


def list_publishers(args: Namespace) -> int:
    """`glare-server publishers list`."""
    given = asked_for(args, ("limit", "marker"))
    with services_of(args) as services:
        query = parse_query(PublisherQuery, given)
        page = read_publishers(services, args.project, query.limit, query.marker)
    documents = [msgspec.to_builtins(represent_publisher(one)) for one in page.entries]
    return print_page(args, _COLUMNS, map(_row, page.entries), documents, "there are no publishers.", page.marker)


def remove(args: Namespace) -> int:
    """`glare-server publishers remove`."""
    with services_of(args) as services:
        publisher = take_away(services, somebody(), args.id)
    say(f"publisher {publisher.id} of project {publisher.project} is refused on all nodes within seconds.")
    return 0


def _claim(text: str) -> tuple[str, str]:
    name, separator, pattern = text.partition("=")
    if not separator or not name or not pattern:
        raise InvalidParameterValue(f"--claim {text!r} must be NAME=PATTERN, such as ref=refs/heads/main.")
    return name, pattern


def _row(publisher: Publisher) -> tuple[str, ...]:
    limits = [*(f"type {name}" for name in publisher.types or ()), *(f"name {name}" for name in publisher.names or ())]
    return (
        publisher.id,
        publisher.project,
        publisher.issuer,
        " ".join(f"{name}={pattern}" for name, pattern in publisher.claims.items()),
        ",".join(publisher.roles),
        ", ".join(limits) or "-",
        moment.text(publisher.created_at),
        " ".join(publisher.description.split())[:60] or "-",
    )
