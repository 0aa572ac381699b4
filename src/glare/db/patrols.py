"""How far the patrol has come with each store: it reads all stored bytes again, slowly, on whichever node holds the
lease.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, insert, select, update

from glare.db.tables import patrols

_columns = patrols.c


@dataclass(slots=True)
class Round:
    """One round through a store: the last slot whose object was read to its end, and how many blocks of the next
    `object` were found right.

    `counts` are those of the round so far, by outcome.
    """

    store: str
    holder: str
    started_at: int
    position: str = ""
    object: str | None = None
    block: int = 0
    counts: dict[str, int] = field(default_factory=dict)


def claim(connection: Connection, store: str, holder: str, now: int, held_until: int, interval: int) -> Round | None:
    """Take the store's round: one that somebody has left, or a new one where the last began `interval` (microseconds)
    ago.

    None where another node is at it, or nothing is due.
    """
    row = connection.execute(select(patrols).where(_columns.store == store).with_for_update()).first()
    if row is None:
        new = Round(store, holder, now)
        connection.execute(insert(patrols).values(store=store, **_values(new), finished_at=None, held_until=held_until))
        return new
    if row.holder not in (None, holder) and row.held_until > now:
        return None
    if row.finished_at is None:
        counts = msgspec.json.decode(row.counts, type=dict[str, int])
        taken = Round(store, holder, row.started_at, row.position, row.object, row.block, counts)
    elif row.started_at + interval <= now:
        taken = Round(store, holder, now)
    else:
        return None
    values = {**_values(taken), "finished_at": None, "held_until": held_until}
    connection.execute(update(patrols).where(_columns.store == store).values(**values))
    return taken


def save(connection: Connection, at: Round, held_until: int) -> bool:
    """Keep how far a round has come, and the lease; False where another node has taken it over."""
    mine = (_columns.store == at.store) & (_columns.holder == at.holder)
    done = connection.execute(update(patrols).where(mine).values(**_values(at), held_until=held_until))
    return bool(done.rowcount)


def release(connection: Connection, at: Round, finished_at: int | None) -> None:
    """Let go of a round: finished, or for any node to go on with."""
    mine = (_columns.store == at.store) & (_columns.holder == at.holder)
    values = {**_values(at), "holder": None, "held_until": None, "finished_at": finished_at}
    connection.execute(update(patrols).where(mine).values(**values))


def _values(at: Round) -> Mapping[str, object]:
    return {
        "holder": at.holder,
        "started_at": at.started_at,
        "position": at.position,
        "object": at.object,
        "block": at.block,
        "counts": msgspec.json.encode(at.counts),
    }
