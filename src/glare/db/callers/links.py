"""Links as rows. Every function runs in the caller's transaction."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, update

from glare.db.tables import links
from glare.domain.actor import Actor
from glare.domain.callers.link import Link

_columns: Final = links.c


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
        )
    )


def find(connection: Connection, link_id: str) -> Link | None:
    """The link of this id."""
    row = connection.execute(select(links).where(_columns.id == link_id)).first()
    return None if row is None else _link(row)


def page(
    connection: Connection, project: str, *, limit: int, artifact_id: str | None = None, after: str | None = None
) -> list[Link]:
    """Up to `limit` links of a project by id, those after the id `after`."""
    statement = select(links).where(_of(project, artifact_id)).order_by(_columns.id).limit(limit)
    if after is not None:
        statement = statement.where(_columns.id > after)
    return [_link(row) for row in connection.execute(statement)]


def count(connection: Connection, project: str) -> int:
    """How many links a project has."""
    return int(connection.execute(select(func.count()).where(_columns.project == project)).scalar_one())


def use(connection: Connection, link_id: str) -> bool:
    """Take one of the uses that are counted; False where none is left."""
    one_less = (
        update(links).where(_columns.id == link_id, _columns.uses_left > 0).values(uses_left=_columns.uses_left - 1)
    )
    return connection.execute(one_less).rowcount == 1


def remove(connection: Connection, link_id: str) -> bool:
    """Forget a link; False where there is none."""
    return connection.execute(delete(links).where(_columns.id == link_id)).rowcount == 1


def remove_all(connection: Connection, project: str, artifact_id: str | None = None) -> int:
    """Forget all links of a project, or those to one artifact. Returns how many."""
    return connection.execute(delete(links).where(_of(project, artifact_id))).rowcount


def remove_ended(connection: Connection, project: str, now: int) -> None:
    """Forget the links of a project that can not be used any more."""
    ended = or_(_columns.expires_at <= now, _columns.uses_left == 0)
    connection.execute(delete(links).where(_columns.project == project, ended))


def _of(project: str, artifact_id: str | None) -> ColumnElement[bool]:
    own = _columns.project == project
    return own if artifact_id is None else and_(own, _columns.artifact_id == artifact_id)


def _link(row: Row[Any]) -> Link:
    roles = frozenset(role for role in row.roles.split(",") if role)
    maker = Actor(row.user_id, row.maker_project, roles, domain=row.domain, system=bool(row.system), source="link")
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
