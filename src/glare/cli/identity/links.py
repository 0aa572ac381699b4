"""`glare-server links`: addresses by which blobs are read without an account."""

from __future__ import annotations

from argparse import Namespace
from typing import Final

import msgspec

from glare.cli.configuration import say
from glare.cli.database import services_of, somebody
from glare.cli.tables import asked_for, print_page
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
    given = asked_for(args, (*_ASKED, "limit", "marker"))
    query = parse_query(LinkQuery, given)
    with services_of(args) as services:
        wanted = Wanted(query.project, query.artifact, query.user)
        page = read_links(services, wanted, query.limit, query.marker)
    documents = [msgspec.to_builtins(represent_link(link)) for link in page.entries]
    return print_page(args, _COLUMNS, map(_row, page.entries), documents, "there are no links.", page.marker)


def remove(args: Namespace) -> int:
    """`glare-server links remove`."""
    with services_of(args) as services:
        link = take_away(services, somebody(), args.id)
    say(f"link {link.id} to {link.path} of artifact {link.artifact_id} leads nowhere any more.")
    return 0


def remove_all(args: Namespace) -> int:
    """`glare-server links remove-all`."""
    given = dict(asked_for(args, _ASKED))
    if not given:
        raise InvalidParameterValue("Say which links: give --project, --artifact or --user, or several of them.")
    asked = parse(RevokeLinks, given)
    with services_of(args) as services:
        ended = end_all(services, somebody(), Wanted(asked.project, asked.artifact, asked.user))
    say(f"{ended} link{' leads' if ended == 1 else 's lead'} nowhere any more.")
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
