"""Hosts of external locations: which one is due, which location of it, and what each has said last.

Workers lease hosts, so that one slow origin holds one worker and nobody asks a host faster than agreed, on all nodes
together. Every function runs in the caller's transaction. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, delete, exists, func, or_, select, update

from glare.db.dialects.later import later
from glare.db.dialects.upsert import insert_new
from glare.db.tables import blobs, location_hosts
from glare.domain.verification import Word

_blobs = blobs.c
_hosts = location_hosts.c


def schedule_host(connection: Connection, host: str, due_at: int) -> None:
    """See to it that `host` is looked at when `due_at` has come."""
    sooner = (
        update(location_hosts)
        .where(_hosts.host == host)
        .values(due_at=case((_hosts.due_at > due_at, due_at), else_=_hosts.due_at))
    )
    if connection.execute(sooner).rowcount:
        return
    if not insert_new(connection, location_hosts, {"host": host, "due_at": due_at, "failures": 0}):
        later(connection, sooner)  # Somebody made the row at this moment.


def any_host_due(connection: Connection, now: int) -> bool:
    """Whether a host is due that nobody holds."""
    return connection.execute(select(_hosts.host).where(_free(now)).limit(1)).first() is not None


def lease_host(
    connection: Connection,
    holder: str,
    now: int,
    until: int,
    full: Collection[str] = (),
    present: Collection[str] = (),
) -> str | None:
    """Lease the host that is due longest, until the time `until`; None where none is due.

    It has a location of another project than those in `full`, and of another than those in `present`, where there is
    such a host.
    """
    host = None
    for but in dict.fromkeys((frozenset(full) | frozenset(present), frozenset(full))):
        longest = select(_hosts.host).where(_free(now)).order_by(_hosts.due_at).limit(1)
        if but:
            longest = longest.where(exists().where(_blobs.host == _hosts.host, _blobs.check_at <= now, _not_of(but)))
        host = connection.execute(longest.with_for_update(skip_locked=True)).scalar_one_or_none()
        if host is not None:
            held = update(location_hosts).where(_hosts.host == host).values(claimed_by=holder, claimed_until=until)
            connection.execute(held)
            break
    return host


def keep_leases(connection: Connection, holders: Sequence[str], until: int) -> None:
    """Keep the leases of these holders until the time `until`."""
    connection.execute(update(location_hosts).where(_hosts.claimed_by.in_(holders)).values(claimed_until=until))


def release_host(connection: Connection, holder: str, host: str, not_before: Callable[[int], int]) -> None:
    """End a lease. The host is due with its next location, or at the time `not_before` of its failures in a row, where
    that is later.

    Without locations it is forgotten.
    """
    # The row first: who records a location for this host meanwhile waits here, or is seen below.
    mine = and_(_hosts.host == host, _hosts.claimed_by == holder)
    if not connection.execute(update(location_hosts).where(mine).values(claimed_until=None)).rowcount:
        return
    following = connection.execute(
        select(_blobs.check_at)
        .where(_blobs.host == host, _blobs.check_at.is_not(None))
        .order_by(_blobs.check_at)
        .limit(1)
    ).scalar_one_or_none()
    if following is None:
        connection.execute(delete(location_hosts).where(mine))
        return
    failures = connection.execute(select(_hosts.failures).where(mine)).scalar_one_or_none() or 0
    due_at = max(following, not_before(failures))
    connection.execute(update(location_hosts).where(mine).values(claimed_by=None, due_at=due_at))


@dataclass(frozen=True, slots=True)
class Due:
    """A location that is due, and whose it is ("" for nobody's)."""

    location_id: str
    project: str


def due_location(connection: Connection, host: str, now: int, full: Collection[str] = ()) -> Due | None:
    """The location of a host that is due longest, of no project in `full`."""
    of_host = select(_blobs.location_id, _blobs.project).where(_blobs.host == host, _blobs.check_at <= now)
    if full:
        of_host = of_host.where(_not_of(full))
    # A plain limit: the holder of the lease is alone.
    row = connection.execute(of_host.order_by(_blobs.check_at).limit(1)).first()
    return None if row is None else Due(row.location_id, row.project or "")


def place_host(connection: Connection, host: str, network: str | None, due_at: int) -> None:
    """See to it that a host is looked at, and remember the network that it is in."""
    schedule_host(connection, host, due_at)
    if network is not None:
        connection.execute(update(location_hosts).where(_hosts.host == host).values(network=network))


def record_word(connection: Connection, host: str, values: Mapping[str, Any], *, failed: bool | None) -> None:
    """Note the last word of a host. `failed`: whether it was out of reach, None where that is not known."""
    streak = {} if failed is None else {"failures": _hosts.failures + 1 if failed else 0}
    connection.execute(update(location_hosts).where(_hosts.host == host).values(**values, **streak))


def last_words(connection: Connection, since: int, limit: int) -> tuple[list[Word], list[Word], list[Word]]:
    """The hosts whose last word since a time was a failure, a change, and that they are well; up to `limit` of each."""

    def words(at: Any, *others: Any) -> list[Word]:
        newest = [or_(other.is_(None), other < at) for other in others]
        columns = (_hosts.host, _hosts.network, _hosts.project)
        found = select(*columns).where(at >= since, *newest).order_by(at.desc()).limit(limit)
        return [Word(row.host, row.network, row.project) for row in connection.execute(found)]

    failed, changed, reached = _hosts.failed_at, _hosts.changed_at, _hosts.reached_at
    return words(failed, changed, reached), words(changed, reached), words(reached, failed, changed)


def count_due_hosts(connection: Connection, now: int, limit: int) -> int:
    """How many hosts are due, up to `limit`."""
    some = select(_hosts.host).where(_hosts.due_at <= now).limit(limit).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _not_of(projects: Collection[str]) -> ColumnElement[bool]:
    return or_(_blobs.project.is_(None), _blobs.project.not_in(sorted(projects)))


def _free(now: int) -> ColumnElement[bool]:
    return and_(_hosts.due_at <= now, or_(_hosts.claimed_until.is_(None), _hosts.claimed_until < now))
