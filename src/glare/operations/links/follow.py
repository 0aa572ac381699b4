"""Reading by a link: it is reading as its maker would, at the moment of reading.

The source that vouched for the maker is asked whether it would still, and the maker must be one who could make the link
now. So a link ends with the token or the publisher that it was made with, is limited as that is, and an operator ends
links by policy.

The token of a link is its id with a signature, so that a token that nobody made costs no look at the database. The
database has no secret: who reads the rows cannot read by the links.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from glare.db.callers import links as rows
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.callers.link import Link
from glare.errors import ArtifactNotFound, Forbidden, NotFound
from glare.identity.base import Identity
from glare.operations import access
from glare.operations.services import Services

_PURPOSE: Final = "link"


def token_of(services: Services, link_id: str) -> str:
    """What a link's address holds. Raises `Unavailable` where the key file cannot be used."""
    return f"{link_id}.{services.secrets.sign(_PURPOSE, link_id)}"


def find_link(services: Services, identity: Identity, token: str, address: str | None) -> Link:
    """The link of this token, for a reader at this address, and with its maker as the maker is now. Raises `NotFound`,
    whatever keeps it from being used.
    """
    link_id, _, signature = token.partition(".")
    if not token.isascii() or not services.secrets.has_signed(_PURPOSE, link_id, signature):
        raise ended()
    with services.db.look() as connection:
        link = rows.find(connection, link_id)
    if link is None or not link.is_open(services.clock()) or not link.admits(address):
        raise ended()
    # An older release has not recorded who vouched for the maker: such a link lasts until it expires.
    maker = identity.again(link.maker, address) if link.maker.source else link.maker
    if maker is None:
        raise ended()
    try:
        artifact = access.find_artifact(services, maker, services.types.all, link.artifact_id)
        require_maker(services, maker, artifact)
    except (ArtifactNotFound, Forbidden):
        raise ended() from None
    return replace(link, maker=maker)


def require_maker(services: Services, actor: Actor, artifact: Artifact) -> None:
    """Raises `Forbidden` for one who may make no links to the artifact."""
    access.require_writer(services, actor, artifact)
    access.require(services, "link:create", actor, artifact)


def take_use(services: Services, link: Link) -> None:
    """Count one use of a link whose uses are counted. Raises `NotFound` where none is left."""
    if link.uses_left is not None and not _take(services, link):
        raise ended()


def _take(services: Services, link: Link) -> bool:
    now = services.clock()
    return services.db.transact(lambda connection: rows.use(connection, link.id, now))


def ended() -> NotFound:
    """What every reader hears whom a link does not lead anywhere."""
    return NotFound("This link leads nowhere: it has ended, or it was never made. Ask whoever gave it to you.")
