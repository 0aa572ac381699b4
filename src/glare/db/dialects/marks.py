"""Marks that changes leave, so that whoever was not told whether a change was kept can look.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

import secrets
import time

from sqlalchemy import Connection, delete, insert, select

from glare.db.dialects.later import later
from glare.db.tables import marks

_id = marks.c.id


def new_mark() -> str:
    """A mark that nothing else has. Marks are in the order of their making, as far as clocks agree."""
    return f"{time.time_ns() // 1000:014x}{secrets.token_hex(9)}"


def leave(connection: Connection, mark: str) -> None:
    """Leave a mark with the change. A second change with this mark breaks the constraint."""
    later(connection, insert(marks).values(id=mark))


def is_there(connection: Connection, mark: str) -> bool:
    """Whether the change that left this mark was kept."""
    return connection.execute(select(_id).where(_id == mark)).first() is not None


def forget(connection: Connection, before: int, limit: int) -> int:
    """Drop up to `limit` marks that were made before the time `before` (microseconds); returns how many."""
    old = select(_id).where(_id < f"{before:014x}").order_by(_id).limit(limit)
    ids = connection.execute(old).scalars().all()
    return connection.execute(delete(marks).where(_id.in_(ids))).rowcount if ids else 0
