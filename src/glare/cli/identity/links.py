"""`glare-server links`: addresses by which blobs are read without an account."""

from __future__ import annotations

from argparse import Namespace
from typing import Final

import msgspec

from glare.cli.configuration import say
from glare.cli.database import services_of, somebody
from glare.cli.tables import print_table
from glare.db.callers.links import Wanted
from glare.documents.links import LinkQuery, RevokeLinks
from glare.documents.parse import parse, parse_query
from glare.domain import moment
from glare.domain.callers.link import Link
from glare.errors import InvalidParameterValue
from glare.operations.links.by_operator import take_away
from glare.operations.links.manage import end_all, read_links, represent_link

_COLUMNS: Final = (
    *("ID", "PROJECT", "USER", "ARTIFACT", "BLOB", "CREATED", "EXPIRES", "NETWORK", "USES LEFT", "DESCRIPTION"),
)
_ASKED: Final = ("project", "artifact", "user")
_SHOWN: Final = 40
"""Characters of a description that the list shows: longer ones would break its lines."""


def list_links(args: Namespace) -> int:
    """`glare-server links list`."""
    given = [(name, value) for name in (*_ASKED, "limit", "marker") if (value := getattr(args, name)) is not None]
    query = parse_query(LinkQuery, given)
    with services_of(args) as services:
        wanted = Wanted(query.project, query.artifact, query.user)
        page = read_links(services, wanted, query.limit, query.marker)
    documents = [msgspec.to_builtins(represent_link(link)) for link in page.entries]
    if not print_table(args, _COLUMNS, list(map(_row, page.entries)), documents):
        say("there are no links.")
    if page.marker is not None:
        say(f"there may be more: --marker {page.marker}")
    return 0


def remove(args: Namespace) -> int:
    """`glare-server links remove`."""
    with services_of(args) as services:
        link = take_away(services, somebody(), args.id)
    say(f"link {link.id} to {link.path} of artifact {link.artifact_id} leads nowhere any more.")
    return 0


def remove_all(args: Namespace) -> int:
    """`glare-server links remove-all`."""
    given = {name: value for name in _ASKED if (value := getattr(args, name)) is not None}
    if not given:
        raise InvalidParameterValue("Say which links: give --project, --artifact or --user, or several of them.")
    asked = parse(RevokeLinks, given)
    with services_of(args) as services:
        ended = end_all(services, somebody(), Wanted(asked.project, asked.artifact, asked.user))
    say(f"{ended} links lead nowhere any more.")
    return 0


def _row(link: Link) -> tuple[str, ...]:
    return (
        link.id,
        link.project,
        link.maker.user or "-",
        link.artifact_id,
        link.path,
        moment.text(link.created_at),
        moment.text(link.expires_at),
        "-" if link.network is None else str(link.network),
        "any" if link.uses_left is None else str(link.uses_left),
        " ".join(link.description.split())[:_SHOWN] or "-",
    )
