"""Publishers as rows. Every function runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, and_, delete, insert, or_, select

from glare.db.tables import publishers
from glare.domain.publisher import Publisher

_columns: Final = publishers.c
_encode: Final = msgspec.json.Encoder().encode
_MOST_OF_ANCHORS: Final = 10_000
"""Publishers that are read at once: as many as one project may have at most."""


def add(connection: Connection, publisher: Publisher, most: int) -> bool:
    """A new row; False where the project has `most` already.

    Each publisher of a project has a place of its own from 0 on. Two that are added at once want the same place, and
    the one that loses it sees the other when its transaction is tried again.
    """
    taken = set(connection.scalars(select(_columns.place).where(_columns.project == publisher.project)))
    place = next((number for number in range(most) if number not in taken), None)
    if place is None:
        return False
    connection.execute(
        insert(publishers).values(
            id=publisher.id,
            project=publisher.project,
            place=place,
            issuer=publisher.issuer,
            anchor=publisher.anchor,
            claims=_encode(dict(publisher.claims)),
            roles=_encode(publisher.roles),
            types=None if publisher.types is None else _encode(publisher.types),
            names=None if publisher.names is None else _encode(publisher.names),
            description=publisher.description,
            created_at=publisher.created_at,
            created_by=publisher.created_by,
        )
    )
    return True


def of_anchors(connection: Connection, anchors: Sequence[str], project: str | None) -> list[Publisher]:
    """The publishers with one of these anchors, of a project (None: of all, the oldest first)."""
    statement = select(publishers).where(_columns.anchor.in_(anchors)).limit(_MOST_OF_ANCHORS)
    if project is not None:
        statement = statement.where(_columns.project == project)
    return [_publisher(row) for row in connection.execute(statement.order_by(_columns.created_at, _columns.id))]


def find(connection: Connection, publisher_id: str) -> Publisher | None:
    """The publisher of this id."""
    if not publisher_id.isascii() or "\0" in publisher_id or len(publisher_id) > 36:
        return None  # No id is like this, and databases refuse to compare with it.
    row = connection.execute(select(publishers).where(_columns.id == publisher_id)).first()
    return None if row is None else _publisher(row)


def page(connection: Connection, project: str | None, after: tuple[int, str] | None, limit: int) -> list[Publisher]:
    """The newest publishers of a project (None: of all), `after` the place (time and id) of the last one of the page
    before.
    """
    statement = select(publishers).order_by(_columns.created_at.desc(), _columns.id.desc()).limit(limit)
    if project is not None:
        statement = statement.where(_columns.project == project)
    if after is not None:
        time, last = after
        statement = statement.where(
            and_(_columns.created_at <= time, or_(_columns.created_at < time, _columns.id < last))
        )
    return [_publisher(row) for row in connection.execute(statement)]


def remove(connection: Connection, publisher_id: str) -> bool:
    """Forget a publisher; False where there is none."""
    return connection.execute(delete(publishers).where(_columns.id == publisher_id)).rowcount == 1


def _publisher(row: Row[Any]) -> Publisher:
    def texts(data: bytes) -> tuple[str, ...]:
        return msgspec.json.decode(data, type=tuple[str, ...])

    return Publisher(
        id=row.id,
        project=row.project,
        issuer=row.issuer,
        claims=msgspec.json.decode(row.claims, type=dict[str, str]),
        anchor=row.anchor,
        roles=texts(row.roles),
        types=None if row.types is None else texts(row.types),
        names=None if row.names is None else texts(row.names),
        description=row.description,
        created_at=row.created_at,
        created_by=row.created_by,
    )
