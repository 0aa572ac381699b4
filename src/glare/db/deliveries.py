"""Messages to subscribers: the queue of each subscription, and the log of what became of them.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from glare.db.tables import deliveries
from glare.documents.subscriptions import CONFIRMATION, DeliveryState
from glare.domain.events import Event
from glare.domain.subscription import Delivery, NewDelivery

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_columns = deliveries.c

_SAME: Final = ("subscription_id", "event_id", "reason", "status", "tries", "created_at", "first_tried_at", "tried_at")


def add(connection: Connection, messages: Iterable[NewDelivery], now: int) -> None:
    """Put messages at the ends of their queues, in order."""
    rows = [
        {
            "subscription_id": message.subscription_id,
            "message_id": f"msg_{uuid.uuid4().hex}",
            "outbox_id": message.event_number,
            "event_id": message.event_id,
            "event_type": message.event.type,
            "project": message.event.project,
            "type_name": message.event.type_name,
            "artifact_id": message.event.artifact_id,
            "payload": _encode(message.event.payload),
            "occurred_at": message.event.occurred_at,
            "trace": message.event.trace,
            "state": DeliveryState.PENDING.value,
            "tries": 0,
            "created_at": now,
        }
        for message in messages
    ]
    if rows:
        connection.execute(insert(deliveries), rows)


def head(connection: Connection, subscription_id: str, *, confirming: bool) -> Delivery | None:
    """The message that comes next: the first of the queue, or where the target is yet to confirm, the one that asks it
    to.
    """
    conditions = [_columns.subscription_id == subscription_id, _columns.state == DeliveryState.PENDING.value]
    if confirming:
        conditions.append(_columns.event_type == CONFIRMATION)
    row = connection.execute(select(deliveries).where(*conditions).order_by(_columns.id).limit(1)).first()
    return None if row is None else _delivery(row)


def fetch(connection: Connection, subscription_id: str, message_id: str) -> Delivery | None:
    """The message of this id."""
    if not message_id.isascii() or "\0" in message_id:
        return None
    conditions = (_columns.subscription_id == subscription_id, _columns.message_id == message_id)
    row = connection.execute(select(deliveries).where(*conditions)).first()
    return None if row is None else _delivery(row)


def page(
    connection: Connection, subscription_id: str, state: str | None, before: int | None, limit: int
) -> list[Delivery]:
    """The newest messages of a subscription, from before the number `before`."""
    conditions = [_columns.subscription_id == subscription_id]
    if state is not None:
        conditions.append(_columns.state == state)
    if before is not None:
        conditions.append(_columns.id < before)
    rows = connection.execute(select(deliveries).where(*conditions).order_by(_columns.id.desc()).limit(limit))
    return [_delivery(row) for row in rows]


def change(connection: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Set columns of a message."""
    connection.execute(update(deliveries).where(_columns.id == number).values(**values))


def drop_confirmations(connection: Connection, subscription_id: str, reason: str, now: int) -> None:
    """What asks the target to confirm is not to be sent any more."""
    connection.execute(
        update(deliveries)
        .where(
            _columns.subscription_id == subscription_id,
            _columns.state == DeliveryState.PENDING.value,
            _columns.event_type == CONFIRMATION,
        )
        .values(state=DeliveryState.DROPPED.value, reason=reason, finished_at=now)
    )


def start_again(connection: Connection, subscription_id: str) -> None:
    """Give waiting messages all their tries again."""
    conditions = (_columns.subscription_id == subscription_id, _columns.state == DeliveryState.PENDING.value)
    connection.execute(update(deliveries).where(*conditions).values(tries=0, first_tried_at=None))


def retire(connection: Connection, before: int, limit: int) -> int:
    """Drop up to `limit` messages that were finished before `before` (microseconds); returns how many."""
    old = select(_columns.id).where(_columns.finished_at < before).order_by(_columns.finished_at).limit(limit)
    ids = connection.execute(old).scalars().all()
    return connection.execute(delete(deliveries).where(_columns.id.in_(ids))).rowcount if ids else 0


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        number=row.id,
        id=row.message_id,
        event_number=row.outbox_id,
        event=Event(
            row.event_type,
            row.project,
            row.type_name,
            row.artifact_id,
            _decode(row.payload),
            row.occurred_at,
            row.trace,
        ),
        state=DeliveryState(row.state),
        finished_at=row.finished_at,
        **{name: getattr(row, name) for name in _SAME},
    )
