"""The history of external locations: what each check found. Equal outcomes in a row are one entry.

Every function runs in the caller's transaction. Times are microseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from glare.db.tables import location_checks
from glare.domain.blob import LocationState
from glare.domain.verification import CheckKind, Finding, Outcome

_checks = location_checks.c


@dataclass(frozen=True, slots=True)
class RecordedCheck:
    """An entry of the history: `checks` equal outcomes in a row, from `first_at` to `last_at`, that read `bytes`
    together.
    """

    id: int
    kind: CheckKind
    outcome: Outcome
    reason: str | None
    state: LocationState
    first_at: int
    last_at: int
    checks: int
    bytes: int


def record_check(connection: Connection, location_id: str, finding: Finding, state: LocationState, now: int) -> None:
    """Add a check to the history of a location; one that ended as the last one did is counted there."""
    last = connection.execute(
        select(location_checks).where(_checks.location_id == location_id).order_by(_checks.id.desc()).limit(1)
    ).first()
    same = (finding.kind.value, finding.outcome.value, finding.reason, state.value)
    if last is not None and (last.kind, last.outcome, last.reason, last.state) == same:
        counted = {"last_at": now, "checks": _checks.checks + 1, "bytes": _checks.bytes + finding.bytes}
        connection.execute(update(location_checks).where(_checks.id == last.id).values(**counted))
        return
    connection.execute(
        insert(location_checks).values(
            location_id=location_id,
            kind=finding.kind.value,
            outcome=finding.outcome.value,
            reason=finding.reason,
            state=state.value,
            first_at=now,
            last_at=now,
            checks=1,
            bytes=finding.bytes,
        )
    )


def list_checks(connection: Connection, location_id: str, limit: int, before: int | None = None) -> list[RecordedCheck]:
    """The newest entries of a location's history, at most `limit`, with ids below `before`."""
    statement = select(location_checks).where(_checks.location_id == location_id)
    if before is not None:
        statement = statement.where(_checks.id < before)
    return [
        RecordedCheck(
            row.id,
            CheckKind(row.kind),
            Outcome(row.outcome),
            row.reason,
            LocationState(row.state),
            row.first_at,
            row.last_at,
            row.checks,
            row.bytes,
        )
        for row in connection.execute(statement.order_by(_checks.id.desc()).limit(limit))
    ]


def drop_old_checks(connection: Connection, before: int, limit: int) -> int:
    """Drop up to `limit` entries of histories whose last check is before `before`."""
    old = select(_checks.id).where(_checks.last_at < before).order_by(_checks.last_at).limit(limit)
    ids = connection.execute(old).scalars().all()
    return connection.execute(delete(location_checks).where(_checks.id.in_(ids))).rowcount if ids else 0
