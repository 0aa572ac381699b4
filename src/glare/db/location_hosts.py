"""Hosts of external locations: which one is due, which location of it, and what each has said last.

Workers lease hosts, so that one slow origin holds one worker and nobody asks a host faster than agreed, on all nodes
together. Every function runs in the caller's transaction. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, case, delete, func, or_, select, true, update

from glare.db.dialects.later import later
from glare.db.dialects.upsert import insert_new, keep_least
from glare.db.tables import blobs, location_hosts, location_turns
from glare.domain.verification import Word

_blobs = blobs.c
_hosts = location_hosts.c
_turns = location_turns.c

_EMPTY_AT_ONCE: Final = 20
_LOOKED_AT: Final = 5  # Others may be claiming the first ones at this moment.


@dataclass(frozen=True, slots=True)
class Turn:
    """The place of a project ("" for nobody's) in the line of a host."""

    host: str
    project: str


def schedule_host(connection: Connection, turn: Turn, due_at: int, now: int, *, ahead: bool = False) -> None:
    """See to it that a location of this project at this host is looked at when `due_at` has come.

    The project lines up behind those that wait already, unless it is to be `ahead` of them.
    """
    sooner = (
        update(location_hosts)
        .where(_hosts.host == turn.host)
        .values(due_at=case((_hosts.due_at > due_at, due_at), else_=_hosts.due_at))
    )
    # The host's row first, as `release_host` does: who releases it meanwhile is waited for, or sees what is new.
    if not connection.execute(sooner).rowcount and not insert_new(
        connection, location_hosts, {"host": turn.host, "due_at": due_at, "failures": 0}
    ):
        later(connection, sooner)  # Somebody made the row at this moment.
    place = {"host": turn.host, "project": turn.project, "due_at": due_at if ahead else max(due_at, now), "failures": 0}
    keep_least(connection, location_turns, place, "due_at")


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

    With `full` and `present` it is the one where it has been for longest the turn of a project in neither of them, or
    else of one that is not in `full`.
    """
    for but in dict.fromkeys((frozenset(full) | frozenset(present), frozenset(full))):
        for wanted in _due_longest(connection, now, but) if but else [true()]:
            free = select(_hosts.host).where(_free(now), wanted).order_by(_hosts.due_at).limit(1)
            host: str | None = connection.execute(free.with_for_update(skip_locked=True)).scalar_one_or_none()
            if host is not None:
                held = update(location_hosts).where(_hosts.host == host).values(claimed_by=holder, claimed_until=until)
                later(connection, held)
                return host
    return None


def _due_longest(connection: Connection, now: int, but: Collection[str]) -> list[ColumnElement[bool]]:
    """The hosts where it has been for longest the turn of a project that is not in `but`, as conditions.

    Found along the line of all turns: those of the others are passed over in an index, and nothing is locked.
    """
    turns = and_(_turns.due_at <= now, _turns.project.not_in(sorted(but)))
    first = select(_hosts.host).join(location_turns, _turns.host == _hosts.host).where(turns, _free(now))
    found = connection.execute(first.order_by(_turns.due_at).limit(_LOOKED_AT)).scalars()
    return [_hosts.host == host for host in dict.fromkeys(found)]


def keep_leases(connection: Connection, holders: Sequence[str], until: int) -> None:
    """Keep the leases of these holders until the time `until`."""
    connection.execute(update(location_hosts).where(_hosts.claimed_by.in_(holders)).values(claimed_until=until))


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a host, and the turn of who had it, wait at least: until a time, by how often in a row it failed."""

    of_host: Callable[[int], int]
    of_turn: Callable[[int], int]


def release_host(connection: Connection, holder: str, turn: Turn, now: int, waits: Waits) -> None:
    """End a lease of a host. It is due with its next location, or when it has waited, where that is later; the project
    whose `turn` it was lines up behind the others.

    Without locations it is forgotten.
    """
    # The row first: who records a location for this host meanwhile waits here, or is seen below.
    mine = and_(_hosts.host == turn.host, _hosts.claimed_by == holder)
    if not connection.execute(update(location_hosts).where(mine).values(claimed_until=None)).rowcount:
        return
    served = and_(_turns.host == turn.host, _turns.project == turn.project)
    of_project, of_host = _first(turn.host, _of(turn.project)), _first(turn.host)
    known = connection.execute(
        select(
            of_project.with_only_columns(_blobs.check_at).scalar_subquery().label("next_at"),
            of_host.with_only_columns(_blobs.check_at).scalar_subquery().label("first_at"),
            of_host.with_only_columns(func.coalesce(_blobs.project, "")).scalar_subquery().label("project"),
            select(_turns.failures).where(served).scalar_subquery().label("failures"),
        )
    ).one()
    if known.first_at is None:
        connection.execute(delete(location_turns).where(_turns.host == turn.host))
        connection.execute(delete(location_hosts).where(mine))
        return
    if known.next_at is None:
        later(connection, delete(location_turns).where(served))
    else:
        place = {"due_at": max(known.next_at, now, waits.of_turn(known.failures or 0))}
        if known.failures is None:
            insert_new(connection, location_turns, {"host": turn.host, "project": turn.project, "failures": 0, **place})
        else:
            later(connection, update(location_turns).where(served).values(**place))
    line = select(func.min(_turns.due_at)).where(_turns.host == turn.host).scalar_subquery().label("turn_at")
    host = connection.execute(select(_hosts.failures, line).where(mine)).one()
    following = host.turn_at
    if following is None or known.first_at < following:
        # It was recorded by a release that knows no turns, and has one now; unless its turn waits.
        first = {"host": turn.host, "project": known.project, "due_at": known.first_at, "failures": 0}
        following = known.first_at if insert_new(connection, location_turns, first) else following
    due_at = max(following or now, waits.of_host(host.failures))
    if host.failures:  # Turns at a host that waits are not due either, so that no claim has to pass over them.
        behind = update(location_turns).where(_turns.host == turn.host, _turns.due_at < due_at)
        later(connection, behind.values(due_at=due_at))
    connection.execute(update(location_hosts).where(mine).values(claimed_by=None, due_at=due_at))


def _first(host: str, *conditions: ColumnElement[bool]) -> Select[Any]:
    """The location of a host that is due first."""
    of_host = select(_blobs.check_at).where(_blobs.host == host, _blobs.check_at.is_not(None), *conditions)
    return of_host.order_by(_blobs.check_at).limit(1)


@dataclass(frozen=True, slots=True)
class Due:
    """A location that is due, and whose it is ("" for nobody's)."""

    location_id: str
    project: str


def due_location(connection: Connection, host: str, now: int, full: Collection[str] = ()) -> Due | None:
    """The location of a leased host that is due longest, of the project whose turn it is, and of none in `full`."""
    for _ in range(_EMPTY_AT_ONCE):
        first = select(_turns.project).where(_turns.host == host, _turns.due_at <= now)
        if full:
            first = first.where(_turns.project.not_in(sorted(full)))
        project = connection.execute(first.order_by(_turns.due_at).limit(1)).scalar_one_or_none()
        if project is None:
            break
        of_project = _first(host, _of(project)).with_only_columns(_blobs.location_id, _blobs.check_at)
        row = connection.execute(of_project).first()
        if row is not None and row.check_at <= now:
            return Due(row.location_id, project)
        # What was due is gone, or was checked otherwise.
        mine = and_(_turns.host == host, _turns.project == project)
        connection.execute(
            delete(location_turns).where(mine)
            if row is None
            else update(location_turns).where(mine).values(due_at=row.check_at)
        )
    if full:
        return None
    # Recorded by a release that knows no turns.
    of_host = _first(host, _blobs.check_at <= now).with_only_columns(_blobs.location_id, _blobs.project)
    row = connection.execute(of_host).first()
    return None if row is None else Due(row.location_id, row.project or "")


def place_host(connection: Connection, turn: Turn, network: str | None, due_at: int, now: int) -> None:
    """See to it that a host is looked at, and remember the network that it is in."""
    schedule_host(connection, turn, due_at, now)
    if network is not None:
        connection.execute(update(location_hosts).where(_hosts.host == turn.host).values(network=network))


def record_word(
    connection: Connection, turn: Turn, values: Mapping[str, Any], *, failed: bool | None, silent: bool
) -> None:
    """Note the last word of a host, to a project. `failed`: whether it was out of reach, None where that is not known;
    `silent`: whether it said nothing to this project.
    """
    streak = {} if failed is None else {"failures": _hosts.failures + 1 if failed else 0}
    connection.execute(
        update(location_hosts).where(_hosts.host == turn.host).values(**values, project=turn.project, **streak)
    )
    if silent or failed is False:
        mine = and_(_turns.host == turn.host, _turns.project == turn.project)
        later(
            connection,
            update(location_turns).where(mine).values(failures=_turns.failures + 1 if silent else 0),
        )


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


def _of(project: str) -> ColumnElement[bool]:
    return _blobs.project == project if project else or_(_blobs.project.is_(None), _blobs.project == "")


def _free(now: int) -> ColumnElement[bool]:
    return and_(_hosts.due_at <= now, or_(_hosts.claimed_until.is_(None), _hosts.claimed_until < now))
