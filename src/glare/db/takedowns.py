"""Takedowns as rows, found by keys. Every function runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select

from glare.db import keys
from glare.db.tables import takedowns
from glare.documents.takedowns import TakedownKind
from glare.domain.takedown import Named, Takedown, named_by

_columns: Final = takedowns.c
_AT_ONCE: Final = 500


def which(connection: Connection, names: Iterable[Named]) -> dict[Named, str]:
    """Those of `names` that are taken down, each with the id of its takedown."""
    wanted = {keys.takedown(kind, parts): (kind, parts) for kind, parts in names}
    found = {}
    every = list(wanted)
    for first in range(0, len(every), _AT_ONCE):
        some = every[first : first + _AT_ONCE]
        rows = connection.execute(select(_columns.key, _columns.id).where(_columns.key.in_(some)))
        found.update({wanted[key]: takedown for key, takedown in rows})
    return found


def add(connection: Connection, takedown: Takedown) -> str | None:
    """Store it. Returns the id of the one that is there already for this value, and stores nothing then.

    Who adds the same value at this moment breaks the constraint, and sees it when the transaction is tried again.
    """
    name = named_by(takedown.kind, takedown.value)
    present = which(connection, [name]).get(name)
    if present is not None:
        return present
    row = {
        "id": takedown.id,
        "kind": takedown.kind.value,
        "key": keys.takedown(*name),
        "value": takedown.value,
        "reason": takedown.reason,
        "created_at": takedown.created_at,
        "created_by": takedown.created_by,
    }
    connection.execute(insert(takedowns).values(**row))
    return None


def find(connection: Connection, takedown_id: str) -> Takedown | None:
    """The takedown of this id."""
    row = connection.execute(select(takedowns).where(_columns.id == takedown_id)).first()
    return None if row is None else _takedown(row)


def page(
    connection: Connection, *, limit: int, kind: TakedownKind | None = None, after: str | None = None
) -> list[Takedown]:
    """Up to `limit` takedowns by id, those after the id `after`."""
    statement = select(takedowns).order_by(_columns.id).limit(limit)
    if kind is not None:
        statement = statement.where(_columns.kind == kind.value)
    if after is not None:
        statement = statement.where(_columns.id > after)
    return [_takedown(row) for row in connection.execute(statement)]


def remove(connection: Connection, takedown_id: str) -> bool:
    """Forget a takedown; False where there is none."""
    return connection.execute(delete(takedowns).where(_columns.id == takedown_id)).rowcount == 1


def _takedown(row: Row[Any]) -> Takedown:
    return Takedown(row.id, TakedownKind(row.kind), row.value, row.reason, row.created_at, row.created_by)
