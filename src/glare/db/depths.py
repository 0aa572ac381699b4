"""How much work waits in the database."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, func, select

from glare.db import location_hosts as hosts
from glare.db.jobs import JobKind, JobState
from glare.db.tables import artifacts, blobs, deliveries, doomed_objects, jobs, location_hosts, outbox, subscriptions
from glare.documents.subscriptions import DeliveryState, SubscriptionState
from glare.domain.blob import LocationState
from glare.domain.moment import SECOND
from glare.metrics import Depths

_AT_MOST: Final = 10_000


def read_depths(connection: Connection, now: int, attempt_timeout: float) -> Depths:
    """Gauges by name. Each walks an index, and counts to 10000 at most. An attempt is dead once its heartbeat is older
    than `attempt_timeout` seconds.
    """
    alive_since = now - int(attempt_timeout * SECOND)
    waiting, unfanned = outbox.c.consumed_at.is_(None), outbox.c.fanned_at.is_(None)

    def age(table: Table, since: str, order: str, *conditions: ColumnElement[Any]) -> float:
        """Seconds since the first row of those that meet the conditions; 0 where there is none."""
        first = select(table.c[since]).where(*conditions).order_by(table.c[order]).limit(1)
        found = connection.execute(first).scalar_one_or_none()
        return 0 if found is None else max(0, now - found) / SECOND

    return {
        "glare_outbox_events": _count(connection, outbox, waiting),
        "glare_outbox_oldest_seconds": age(outbox, "occurred_at", "id", waiting),
        "glare_outbox_unfanned_events": _count(connection, outbox, unfanned),
        "glare_outbox_unfanned_oldest_seconds": age(outbox, "occurred_at", "id", unfanned),
        "glare_webhook_queue": _count(
            connection,
            deliveries,
            deliveries.c.state == DeliveryState.PENDING.value,
            deliveries.c.finished_at.is_(None),
        ),
        "glare_webhook_oldest_due_seconds": age(
            subscriptions,
            "next_at",
            "next_at",
            subscriptions.c.state == SubscriptionState.ACTIVE.value,
            subscriptions.c.next_at <= now,
        ),
        "glare_webhook_suspended": _count(
            connection, subscriptions, subscriptions.c.state == SubscriptionState.SUSPENDED.value
        ),
        "glare_doomed_objects": _count(connection, doomed_objects),
        "glare_damaged_blobs": _count(connection, blobs, blobs.c.damage.is_not(None)),
        # SQLite walks the table for "is not null", and the index for a comparison.
        "glare_attempts": _count(connection, blobs, blobs.c.attempt_heartbeat >= 0),
        "glare_dead_attempts": _count(connection, blobs, blobs.c.attempt_heartbeat < alive_since),
        "glare_locations_changed": _count(connection, blobs, *_in_state(LocationState.CHANGED)),
        "glare_locations_unreachable": _count(connection, blobs, *_in_state(LocationState.UNREACHABLE)),
        "glare_jobs": _jobs(connection),
        "glare_jobs_oldest_seconds": age(
            jobs, "due_at", "due_at", jobs.c.state == JobState.WAITING.value, jobs.c.due_at <= now
        ),
        "glare_location_hosts_due": hosts.count_due_hosts(connection, now, _AT_MOST),
        "glare_location_oldest_due_seconds": age(location_hosts, "due_at", "due_at", location_hosts.c.due_at <= now),
        "glare_deleted_artifacts": _count(connection, artifacts, artifacts.c.deleted_at >= 0),
        "glare_database_up": 1,
    }


def _jobs(connection: Connection) -> dict[tuple[str, ...], float]:
    """Jobs by kind and state. Each pair of them is there, so that a rule on one does not miss it when it is none."""
    found: dict[tuple[str, ...], float] = {
        (kind.value, state.value): 0 for kind in JobKind for state in (JobState.WAITING, JobState.RUNNING)
    }
    for state in (JobState.WAITING, JobState.RUNNING):
        some = select(jobs.c.kind).where(jobs.c.state == state.value).limit(_AT_MOST).subquery()
        counted = select(some.c.kind, func.count()).group_by(some.c.kind)
        found |= {(kind, state.value): number for kind, number in connection.execute(counted)}
    return found


def _in_state(state: LocationState) -> tuple[ColumnElement[Any], ...]:
    return blobs.c.state == state.value, blobs.c.host.is_not(None)


def _count(connection: Connection, table: Table, *conditions: ColumnElement[Any]) -> int:
    some = select(next(iter(table.primary_key))).where(*conditions).limit(_AT_MOST).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()
