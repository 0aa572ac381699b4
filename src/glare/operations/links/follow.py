"""Reading by a link: it is reading as its maker would, at the moment of reading.

The token of a link is its id with a signature, so that a token that nobody made costs no look at the database. The
database has no secret: who reads the rows cannot read by the links.
"""

from __future__ import annotations

from typing import Final

from glare.db.callers import links as rows
from glare.domain.callers.link import Link
from glare.errors import NotFound
from glare.operations.services import Services

_PURPOSE: Final = "link"


def token_of(services: Services, link_id: str) -> str:
    """What a link's address holds. Raises `Unavailable` where the key file cannot be used."""
    return f"{link_id}.{services.secrets.sign(_PURPOSE, link_id)}"


def find_link(services: Services, token: str, address: str | None) -> Link:
    """The link of this token, for a reader at this address. Raises `NotFound`, whatever keeps it from being used."""
    link_id, _, signature = token.partition(".")
    if not token.isascii() or not services.secrets.has_signed(_PURPOSE, link_id, signature):
        raise ended()
    with services.db.look() as connection:
        link = rows.find(connection, link_id)
    if link is None or not link.is_open(services.clock()) or not link.admits(address):
        raise ended()
    return link


def take_use(services: Services, link: Link) -> None:
    """Count one use of a link whose uses are counted. Raises `NotFound` where none is left."""
    if link.uses_left is not None and not services.db.transact(lambda connection: rows.use(connection, link.id)):
        raise ended()


def ended() -> NotFound:
    """What every reader hears whom a link does not lead anywhere."""
    return NotFound("This link leads nowhere: it has ended, or it was never made. Ask whoever gave it to you.")
