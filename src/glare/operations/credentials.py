"""What ends with a credential, in the transaction that ends it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection

from glare.db.callers import links
from glare.domain.actor import Actor
from glare.domain.events import Event
from glare.operations import audit

_NAMED: Final = 20
_AT_ONCE: Final = 500


def end_links(
    connection: Connection, actor: Actor | None, sources: Collection[str], credentials: Collection[str], now: int
) -> None:
    """Remove the links that were made with these credentials of these identity sources, so that nobody is shown them.

    They end in any case: who follows one that is made at this moment finds that its credential is gone.
    """
    names = sorted(credentials)
    ended = sum(
        links.remove_made_with(connection, sources, names[first : first + _AT_ONCE])
        for first in range(0, len(names), _AT_ONCE)
    )
    if ended:
        detail = {"links": ended, "made_with": names[:_NAMED]}
        audit.noted(connection, actor, [Event("link.delete", "", None, None, None, now)], detail=detail)
