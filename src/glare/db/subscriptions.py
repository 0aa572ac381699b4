"""Subscriptions: their rows, and the leases that workers have on them.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, and_, case, delete, func, insert, or_, select, true, update
from sqlalchemy.exc import IntegrityError

from glare.db.tables import blobs, subscription_projects, subscriptions
from glare.documents.subscriptions import SubscriptionState
from glare.domain.subscription import Scope, Subscription

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[str] | None).decode
_columns = subscriptions.c

_LIVE: Final = (SubscriptionState.ACTIVE.value, SubscriptionState.PENDING.value)
_SCOPE: Final = ("type_name", "artifact_id", "location_id")
_SAME: Final = (
    *("id", "project", "description", "target", "reason", "created_at", "updated_at", "secret", "old_secret"),
    *("old_secret_until", "token", "confirm_until", "failing_since", "delivered_at", "next_at"),
)
"""Columns that are called as the members of `Subscription`, and hold what these hold."""


def add(connection: Connection, subscription: Subscription) -> None:
    """A new row."""
    values = {name: getattr(subscription, name) for name in _SAME}
    values |= {"user_id": subscription.user, "events": _encode(subscription.events), "state": subscription.state.value}
    values |= {name: getattr(subscription.scope, name) for name in _SCOPE}
    connection.execute(insert(subscriptions), values)


def lock_project(connection: Connection, project: str) -> int:
    """How many subscriptions the project has, which stays true until the transaction ends."""
    row = subscription_projects.c.project == project
    if connection.execute(select(subscription_projects.c.project).where(row).with_for_update()).first() is None:
        try:
            with connection.begin_nested():
                connection.execute(insert(subscription_projects).values(project=project, served_at=0))
        except IntegrityError:  # Somebody made the row at this moment.
            connection.execute(select(subscription_projects.c.project).where(row).with_for_update())
    return connection.execute(select(func.count()).where(_columns.project == project)).scalar_one()


def fetch(connection: Connection, subscription_id: str, *, lock: bool = False) -> Subscription | None:
    """The subscription; with `lock` nobody else changes it, or adds messages to its queue, until the transaction
    ends.
    """
    if not subscription_id.isascii() or "\0" in subscription_id:
        return None  # No id is like this, and databases refuse to compare with it.
    statement = select(subscriptions).where(_columns.id == subscription_id)
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    return None if row is None else _subscription(row)


def page(
    connection: Connection, project: str, state: str | None, after: tuple[int, str] | None, limit: int
) -> list[Subscription]:
    """The newest subscriptions of a project, `after` the place (time and id) of the last one of the page before."""
    conditions = [_columns.project == project]
    if state is not None:
        conditions.append(_columns.state == state)
    if after is not None:
        time, last = after
        conditions.append(and_(_columns.created_at <= time, or_(_columns.created_at < time, _columns.id < last)))
    newest = (_columns.created_at.desc(), _columns.id.desc())
    rows = connection.execute(select(subscriptions).where(*conditions).order_by(*newest).limit(limit))
    return [_subscription(row) for row in rows]


def change(connection: Connection, subscription_id: str, values: Mapping[str, Any]) -> None:
    """Set members by name: those of `Subscription`, with `scope` as a whole."""
    row = dict(values)
    if "events" in row:
        row["events"] = _encode(row["events"])
    if "scope" in row:
        scope = row.pop("scope")
        row |= {name: getattr(scope, name) for name in _SCOPE}
    if "state" in row:
        row["state"] = row["state"].value
    connection.execute(update(subscriptions).where(_columns.id == subscription_id).values(**row))


def remove(connection: Connection, subscription_id: str) -> None:
    """The row goes, and its messages with it."""
    connection.execute(delete(subscriptions).where(_columns.id == subscription_id))


def interested(
    connection: Connection,
    types: Collection[str | None],
    artifacts: Collection[str | None],
    projects: Collection[str] | None,
) -> list[Subscription]:
    """Active subscriptions of `projects` (None: of all) that may want events of these types and artifacts."""
    rows = connection.execute(
        select(subscriptions).where(
            _columns.state == SubscriptionState.ACTIVE.value,
            true() if projects is None else _columns.project.in_(projects),
            or_(_columns.type_name.is_(None), _columns.type_name.in_([name for name in types if name is not None])),
            or_(
                _columns.artifact_id.is_(None), _columns.artifact_id.in_([one for one in artifacts if one is not None])
            ),
        )
    )
    return [_subscription(row) for row in rows]


def lock(connection: Connection, ids: Collection[str]) -> set[str]:
    """Lock these subscriptions in the order of their ids; returns those that are still active."""
    rows = connection.execute(
        select(_columns.id, _columns.state).where(_columns.id.in_(ids)).order_by(_columns.id).with_for_update()
    )
    return {row.id for row in rows if row.state == SubscriptionState.ACTIVE.value}


def hasten(connection: Connection, ids: Collection[str], now: int) -> None:
    """Their queues are due now, unless a try is to come later already."""
    connection.execute(
        update(subscriptions).where(_columns.id.in_(ids), _columns.next_at.is_(None)).values(next_at=now)
    )


def due(
    connection: Connection, now: int, limit: int, full: frozenset[str], present: frozenset[str]
) -> list[tuple[str, str]]:
    """Subscriptions, with their projects, whose queue is due and nobody has claimed: of the project that has waited
    longest first.

    Projects in `full` are left out, and those in `present` come after the others.
    """
    unclaimed = or_(_columns.claimed_until.is_(None), _columns.claimed_until < now)
    confirmable = or_(_columns.state == SubscriptionState.ACTIVE.value, _columns.confirm_until > now)
    rows = connection.execute(
        select(_columns.id, _columns.project)
        .join(subscription_projects, subscription_projects.c.project == _columns.project)
        .where(
            *(_columns.state.in_(_LIVE), _columns.next_at <= now, unclaimed, confirmable),
            *((_columns.project.not_in(full),) if full else ()),
        )
        .order_by(
            *((case((_columns.project.in_(present), 1), else_=0),) if present else ()),
            *(subscription_projects.c.served_at, _columns.next_at, _columns.id),
        )
        .limit(limit)
    )
    return [(row.id, row.project) for row in rows]


def claim(connection: Connection, subscription_id: str, worker: str, now: int, until: int) -> bool:
    """Claim the queue until the time `until`, unless somebody was faster; its project goes to the end of the line."""
    claimed = connection.execute(
        update(subscriptions)
        .where(
            _columns.id == subscription_id,
            _columns.state.in_(_LIVE),
            _columns.next_at <= now,
            or_(_columns.claimed_until.is_(None), _columns.claimed_until < now),
        )
        .values(claimed_by=worker, claimed_until=until)
    ).rowcount
    if not claimed:
        return False
    project = select(_columns.project).where(_columns.id == subscription_id).scalar_subquery()
    connection.execute(
        update(subscription_projects).where(subscription_projects.c.project == project).values(served_at=now)
    )
    return True


def hold(connection: Connection, subscription_id: str, worker: str, until: int) -> bool:
    """Keep a claim until a later time; False where it was lost."""
    statement = update(subscriptions).where(_columns.id == subscription_id, _columns.claimed_by == worker)
    return connection.execute(statement.values(claimed_until=until)).rowcount > 0


def holds(connection: Connection, subscription_id: str, worker: str) -> bool:
    """Whether the claim is still the worker's."""
    statement = select(_columns.id).where(_columns.id == subscription_id, _columns.claimed_by == worker)
    return connection.execute(statement).first() is not None


def release(connection: Connection, subscription_id: str, worker: str) -> None:
    """End a claim."""
    connection.execute(
        update(subscriptions)
        .where(_columns.id == subscription_id, _columns.claimed_by == worker)
        .values(claimed_by=None, claimed_until=None)
    )


def expired(connection: Connection, now: int, limit: int, after: str = "") -> list[str]:
    """Subscriptions whose targets have not confirmed in time, in the order of their ids, from behind the id `after`."""
    late = (_columns.state == SubscriptionState.PENDING.value, _columns.confirm_until <= now, _columns.id > after)
    return list(connection.execute(select(_columns.id).where(*late).order_by(_columns.id).limit(limit)).scalars())


def artifact_of_location(connection: Connection, location_id: str) -> str | None:
    """The artifact that has this location."""
    return connection.execute(
        select(blobs.c.artifact_id).where(blobs.c.location_id == location_id)
    ).scalar_one_or_none()


def _subscription(row: Row[Any]) -> Subscription:
    events = _decode(row.events)
    return Subscription(
        user=row.user_id,
        events=None if events is None else tuple(events),
        scope=Scope(row.type_name, row.artifact_id, row.location_id),
        state=SubscriptionState(row.state),
        **{name: getattr(row, name) for name in _SAME},
    )
