"""Links as operators end them at the command line: nobody's rights are asked for."""

from __future__ import annotations

from sqlalchemy import Connection

from glare.domain.actor import Actor
from glare.domain.callers.link import Link
from glare.errors import NotFound
from glare.operations.links.manage import end, find
from glare.operations.services import Services


def take_away(services: Services, actor: Actor, link_id: str) -> Link:
    """End a link at once; returns what it was. Raises `NotFound`."""

    def work(connection: Connection) -> Link:
        found = find(connection, link_id)
        if found is None:
            raise NotFound(f"There is no link '{link_id[:40]}'; glare-server links list shows them.")
        end(services, connection, actor, found)
        return found

    return services.db.transact(work)
