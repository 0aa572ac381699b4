"""The outbox: events recorded in the transaction that causes them, and claimed by consumers with a lease.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, delete, insert, or_, select, update

from glare.context import trace_of
from glare.db.dialects.later import later
from glare.db.engine import Database
from glare.db.tables import outbox
from glare.domain.events import Event, RecordedEvent
from glare.domain.moment import HOUR

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_columns = outbox.c
_UNREADABLE_FOR: Final = HOUR
_log = logging.getLogger(__name__)


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
            "trace": trace_of(event.project),
            "tries": 0,
        }
        for event in events
    ]
    if rows:
        for row in rows:
            later(connection, insert(outbox).inline(), row)


def waiting(connection: Connection, now: int) -> bool:
    """Whether the oldest event that nobody has consumed may be claimed."""
    head = connection.execute(_unconsumed(now).with_only_columns(_columns.claimed_until).limit(1)).first()
    return head is not None and not _claimed(head, now)


def claim(connection: Connection, consumer: str, now: int, until: int, limit: int) -> list[RecordedEvent]:
    """Claim the oldest events that nobody has consumed, until the time `until` (microseconds).

    Nothing is to be had while any of them is claimed: a younger event would overtake it.
    """
    rows = connection.execute(_unconsumed(now).limit(limit).with_for_update()).all()
    if not rows or any(_claimed(row, now) for row in rows):
        return []
    connection.execute(
        update(outbox).where(_columns.id.in_([row.id for row in rows])).values(claimed_by=consumer, claimed_until=until)
    )
    events = []
    for row in rows:
        try:
            events.append(_recorded(row))
        except (ValueError, TypeError):  # No event that this release knows; others need not wait for one that does.
            _log.exception("an event cannot be read, and waits", extra={"event": row.event_id})
            set_aside(connection, consumer, row.id, now + _UNREADABLE_FOR)
    return events


def put_back(connection: Connection, consumer: str, ids: Sequence[int], until: int, *, failed: Sequence[int]) -> None:
    """Nobody gets these claimed events before `until` (microseconds). The delivery of those of `failed` was tried, in
    vain.
    """
    mine = _columns.claimed_by == consumer
    connection.execute(update(outbox).where(_columns.id.in_(ids), mine).values(claimed_until=until))
    if failed:
        connection.execute(update(outbox).where(_columns.id.in_(failed), mine).values(tries=_columns.tries + 1))


def set_aside(connection: Connection, consumer: str, event_id: int, until: int) -> None:
    """Let younger events pass this claimed one, which comes again at `until` (microseconds). Its delivery was tried, in
    vain.
    """
    mine = (_columns.id == event_id, _columns.claimed_by == consumer)
    values = {"aside_until": until, "claimed_until": None, "tries": _columns.tries + 1}
    connection.execute(update(outbox).where(*mine).values(**values))


def consumed(connection: Connection, consumer: str, ids: Sequence[int], now: int) -> None:
    """These events are delivered, unless the claim was lost meanwhile."""
    connection.execute(
        update(outbox).where(_columns.id.in_(ids), _columns.claimed_by == consumer).values(consumed_at=now)
    )


def unfanned(connection: Connection, now: int, limit: int = 1) -> list[int]:
    """The numbers of the oldest events that have not become messages to subscribers yet, and may now."""
    return list(connection.execute(_unfanned(now).with_only_columns(_columns.id).limit(limit)).scalars())


def lock_unfanned(connection: Connection, now: int, limit: int, only: int | None = None) -> list[RecordedEvent]:
    """The oldest events that have not become messages yet, or the one of them whose number is `only`.

    They are locked: whoever else asks waits, so that messages keep their order.
    """
    wanted = _unfanned(now) if only is None else _unfanned(now).where(_columns.id == only)
    return [_recorded(row) for row in connection.execute(wanted.limit(limit).with_for_update())]


def fan_later(connection: Connection, number: int, wait: Callable[[int], int]) -> int | None:
    """Let an event that cannot become messages wait, by the number of its tries; returns that, None where it has become
    some.
    """
    mine = (_columns.id == number, _columns.fanned_at.is_(None))
    tries: int | None = connection.execute(
        select(_columns.fan_tries).where(*mine).with_for_update()
    ).scalar_one_or_none()
    if tries is None:
        return None
    connection.execute(update(outbox).where(*mine).values(fan_tries=tries + 1, fan_at=wait(tries + 1)))
    return tries + 1


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


def _unconsumed(now: int) -> Select[Any]:
    in_line = or_(_columns.aside_until.is_(None), _columns.aside_until <= now)
    return select(outbox).where(_columns.consumed_at.is_(None), in_line).order_by(_columns.id)


def _claimed(row: Row[Any], now: int) -> bool:
    return row.claimed_until is not None and row.claimed_until >= now


def _unfanned(now: int) -> Select[Any]:
    due = or_(_columns.fan_at.is_(None), _columns.fan_at <= now)
    return select(outbox).where(_columns.fanned_at.is_(None), due).order_by(_columns.id)


def _recorded(row: Row[Any]) -> RecordedEvent:
    return RecordedEvent(
        row.id,
        row.event_id,
        Event(
            row.event_type,
            row.project,
            row.type_name,
            row.artifact_id,
            _decode(row.payload),
            row.occurred_at,
            row.trace,
        ),
        row.tries,
        row.aside_until is not None,
    )


class DatabaseOutbox:
    """The outbox as a consumer needs it: each call is a transaction of its own."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def claim(self, consumer: str, now: int, until: int, limit: int) -> list[RecordedEvent]:
        """See `claim`. A look comes first, so that an empty outbox costs no write lock."""
        with self._db.look() as connection:
            if not waiting(connection, now):
                return []
        return self._db.transact(lambda connection: claim(connection, consumer, now, until, limit))

    def consumed(self, consumer: str, ids: Sequence[int], now: int) -> None:
        """See `consumed`."""
        self._db.transact(lambda connection: consumed(connection, consumer, ids, now))

    def put_back(self, consumer: str, ids: Sequence[int], until: int, *, failed: Sequence[int]) -> None:
        """See `put_back`."""
        self._db.transact(lambda connection: put_back(connection, consumer, ids, until, failed=failed))

    def set_aside(self, consumer: str, event_id: int, until: int) -> None:
        """See `set_aside`."""
        self._db.transact(lambda connection: set_aside(connection, consumer, event_id, until))
