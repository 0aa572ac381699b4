"""The outbox: events recorded in the transaction that causes them, and claimed by consumers with a lease.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from glare.db.engine import Database
from glare.db.tables import outbox
from glare.domain.events import Event, RecordedEvent

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_columns = outbox.c


def record(connection: Connection, events: Iterable[Event]) -> None:
    """Record events, in order."""
    rows = [
        {
            "event_id": uuid.uuid4().hex,
            "event_type": event.type,
            "project": event.project,
            "type_name": event.type_name,
            "artifact_id": event.artifact_id,
            "payload": _encode(event.payload),
            "occurred_at": event.occurred_at,
            "tries": 0,
        }
        for event in events
    ]
    if rows:
        connection.execute(insert(outbox), rows)


def waiting(connection: Connection, now: int) -> bool:
    """Whether the oldest event that nobody has consumed may be claimed."""
    head = connection.execute(_unconsumed().with_only_columns(_columns.claimed_until).limit(1)).first()
    return head is not None and not _claimed(head, now)


def claim(connection: Connection, consumer: str, now: int, until: int, limit: int) -> list[RecordedEvent]:
    """Claim the oldest events that nobody has consumed, until the time `until` (microseconds).

    Nothing is to be had while any of them is claimed: a younger event would overtake it.
    """
    rows = connection.execute(_unconsumed().limit(limit).with_for_update()).all()
    if not rows or any(_claimed(row, now) for row in rows):
        return []
    connection.execute(
        update(outbox).where(_columns.id.in_([row.id for row in rows])).values(claimed_by=consumer, claimed_until=until)
    )
    return [_recorded(row) for row in rows]


def put_back(connection: Connection, consumer: str, ids: Sequence[int], until: int, *, failed: int | None) -> None:
    """Nobody gets these claimed events before `until` (microseconds). The delivery of `failed` was tried, in vain."""
    mine = _columns.claimed_by == consumer
    connection.execute(update(outbox).where(_columns.id.in_(ids), mine).values(claimed_until=until))
    if failed is not None:
        connection.execute(update(outbox).where(_columns.id == failed, mine).values(tries=_columns.tries + 1))


def consumed(connection: Connection, consumer: str, ids: Sequence[int], now: int) -> None:
    """These events are delivered, unless the claim was lost meanwhile."""
    connection.execute(
        update(outbox).where(_columns.id.in_(ids), _columns.claimed_by == consumer).values(consumed_at=now)
    )


def unfanned(connection: Connection) -> bool:
    """Whether an event is there that has not become messages to subscribers yet."""
    return connection.execute(_unfanned().with_only_columns(_columns.id).limit(1)).first() is not None


def lock_unfanned(connection: Connection, limit: int) -> list[RecordedEvent]:
    """The oldest events that have not become messages yet, locked: whoever else asks waits, so that messages keep their order."""
    return [_recorded(row) for row in connection.execute(_unfanned().limit(limit).with_for_update())]


def fanned(connection: Connection, ids: Sequence[int], now: int) -> None:
    """These events have become messages."""
    connection.execute(update(outbox).where(_columns.id.in_(ids)).values(fanned_at=now))


def retire(connection: Connection, before: int, limit: int) -> int:
    """Drop up to `limit` events that were consumed before `before` (microseconds), and have become messages."""
    old = (
        select(_columns.id)
        .where(_columns.consumed_at < before, _columns.fanned_at.is_not(None))
        .order_by(_columns.consumed_at)
        .limit(limit)
    )
    ids = connection.execute(old).scalars().all()
    return connection.execute(delete(outbox).where(_columns.id.in_(ids))).rowcount if ids else 0


def _unconsumed() -> Select[Any]:
    return select(outbox).where(_columns.consumed_at.is_(None)).order_by(_columns.id)


def _claimed(row: Row[Any], now: int) -> bool:
    return row.claimed_until is not None and row.claimed_until >= now


def _unfanned() -> Select[Any]:
    return select(outbox).where(_columns.fanned_at.is_(None)).order_by(_columns.id)


def _recorded(row: Row[Any]) -> RecordedEvent:
    return RecordedEvent(
        row.id,
        row.event_id,
        Event(row.event_type, row.project, row.type_name, row.artifact_id, _decode(row.payload), row.occurred_at),
        row.tries,
    )


class DatabaseOutbox:
    """The outbox as a consumer needs it: each call is a transaction of its own."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def claim(self, consumer: str, now: int, until: int, limit: int) -> list[RecordedEvent]:
        """See `claim`. A look comes first, so that an empty outbox costs no write lock."""
        with self._db.read() as connection:
            if not waiting(connection, now):
                return []
        return self._db.transact(lambda connection: claim(connection, consumer, now, until, limit))

    def consumed(self, consumer: str, ids: Sequence[int], now: int) -> None:
        """See `consumed`."""
        self._db.transact(lambda connection: consumed(connection, consumer, ids, now))

    def put_back(self, consumer: str, ids: Sequence[int], until: int, *, failed: int | None) -> None:
        """See `put_back`."""
        self._db.transact(lambda connection: put_back(connection, consumer, ids, until, failed=failed))
