"""Links as rows. Every function runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, case, delete, func, insert, or_, select, update

from glare.db.tables import links
from glare.domain.actor import Actor
from glare.domain.callers.link import Link

_columns: Final = links.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which links are meant: of a project, to an artifact, made by a user. None does not limit."""

    project: str | None = None
    artifact: str | None = None
    user: str | None = None


def add(connection: Connection, link: Link) -> None:
    """Store it."""
    maker = link.maker
    connection.execute(
        insert(links).values(
            id=link.id,
            project=link.project,
            user_id=maker.user,
            maker_project=maker.project,
            roles=",".join(sorted(maker.roles)),
            domain=maker.domain,
            system=int(maker.system),
            type_name=link.type_name,
            artifact_id=link.artifact_id,
            path=link.path,
            created_at=link.created_at,
            expires_at=link.expires_at,
            network=str(link.network) if link.network is not None else None,
            uses_left=link.uses_left,
            description=link.description,
            source=maker.source or None,
            credential=maker.credential,
        )
    )


def find(connection: Connection, link_id: str) -> Link | None:
    """The link of this id."""
    row = connection.execute(select(links).where(_columns.id == link_id)).first()
    return None if row is None else _link(row)


def page(connection: Connection, wanted: Wanted, *, limit: int, after: str | None = None) -> list[Link]:
    """Up to `limit` of the links that are wanted by id, those after the id `after`."""
    statement = select(links).where(*_conditions(wanted)).order_by(_columns.id).limit(limit)
    if after is not None:
        statement = statement.where(_columns.id > after)
    return [_link(row) for row in connection.execute(statement)]


def count(connection: Connection, project: str, now: int) -> tuple[int, int]:
    """How many links a project has that can still be used, and how many in all."""
    counts = select(func.count(case((_ended(now), None), else_=1)), func.count()).where(_columns.project == project)
    still, every = connection.execute(counts).one()
    return int(still), int(every)


def use(connection: Connection, link_id: str, now: int) -> bool:
    """Take one of the uses that are counted; False where none is left. With the last one the link ends."""
    last = _columns.uses_left == 1
    one_less = (
        update(links)
        .where(_columns.id == link_id, _columns.uses_left > 0)
        # In this order: MariaDB would compare with what was set before.
        .ordered_values(
            (_columns.expires_at, case((last, now), else_=_columns.expires_at)),
            (_columns.uses_left, _columns.uses_left - 1),
        )
    )
    return connection.execute(one_less).rowcount == 1


def remove(connection: Connection, link_id: str) -> bool:
    """Forget a link; False where there is none."""
    return connection.execute(delete(links).where(_columns.id == link_id)).rowcount == 1


def remove_all(connection: Connection, wanted: Wanted) -> int:
    """Forget all links that are wanted. Returns how many."""
    return connection.execute(delete(links).where(*_conditions(wanted))).rowcount


def remove_ended(connection: Connection, project: str, now: int) -> None:
    """Forget the links of a project that can not be used any more."""
    connection.execute(delete(links).where(_columns.project == project, _ended(now)))


def remove_made_with(connection: Connection, sources: Collection[str], credentials: Collection[str]) -> int:
    """Forget the links that were made with one of these credentials, which these identity sources know. Returns how
    many.
    """
    made = (_columns.credential.in_(credentials), _columns.source.in_(sources))
    return connection.execute(delete(links).where(*made)).rowcount


def retire(connection: Connection, before: int, limit: int) -> int:
    """Forget up to `limit` links that ended before the time; returns how many that were."""
    ids = list(connection.execute(select(_columns.id).where(_columns.expires_at < before).limit(limit)).scalars())
    if ids:
        connection.execute(delete(links).where(_columns.id.in_(ids)))
    return len(ids)


def _ended(now: int) -> ColumnElement[bool]:
    return or_(_columns.expires_at <= now, _columns.uses_left == 0)


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    asked = (
        (_columns.project, wanted.project),
        (_columns.artifact_id, wanted.artifact),
        (_columns.user_id, wanted.user),
    )
    return [column == value for column, value in asked if value is not None]


def _link(row: Row[Any]) -> Link:
    roles = frozenset(role for role in row.roles.split(",") if role)
    maker = Actor(
        row.user_id,
        row.maker_project,
        roles,
        domain=row.domain,
        system=bool(row.system),
        source=row.source or "",
        credential=row.credential,
    )
    return Link(
        row.id,
        maker,
        row.project,
        row.type_name,
        row.artifact_id,
        row.path,
        row.created_at,
        row.expires_at,
        None if row.network is None else ip_network(row.network),
        row.uses_left,
        row.description,
    )
