"""`glare-server members`: with whom an artifact is shared."""

from __future__ import annotations

from argparse import Namespace

import msgspec

from glare.cli.configuration import say
from glare.cli.database import services_of, somebody
from glare.cli.tables import asked_for, print_page
from glare.documents.members import MemberQuery
from glare.documents.parse import parse_query
from glare.domain import moment
from glare.domain.member import Member
from glare.operations.artifacts.members import read_members, represent_member, take_away

_COLUMNS = ("PROJECT", "STATUS", "CREATED", "UPDATED")


def list_members(args: Namespace) -> int:
    """`glare-server members list`."""
    given = asked_for(args, ("limit", "marker"))
    with services_of(args) as services:
        page = read_members(services, args.artifact, parse_query(MemberQuery, given))
    documents = [msgspec.to_builtins(represent_member(member)) for member in page.entries]
    nothing = f"artifact {args.artifact} is shared with nobody."
    return print_page(args, _COLUMNS, map(_row, page.entries), documents, nothing, page.marker)


def remove(args: Namespace) -> int:
    """`glare-server members remove`."""
    with services_of(args) as services:
        take_away(services, somebody(), args.artifact, args.project)
    say(f"artifact {args.artifact} is shared with project {args.project} no more.")
    return 0


def _row(member: Member) -> tuple[str, ...]:
    return member.project, member.status.value, moment.text(member.created_at), moment.text(member.updated_at)
