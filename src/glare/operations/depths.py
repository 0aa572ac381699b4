"""How much work waits, read at the moment when somebody asks."""

from __future__ import annotations

import logging
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, func, select

from glare.db import checks
from glare.db.jobs import JobState
from glare.db.tables import artifacts, blobs, deliveries, doomed_objects, jobs, outbox, subscriptions
from glare.domain.blob import LocationState
from glare.domain.subscription import DeliveryState, SubscriptionState
from glare.operations.services import Services

_log = logging.getLogger(__name__)

_AT_MOST: Final = 10_000
_SECOND: Final = 1_000_000


def depths(services: Services) -> dict[str, float]:
    """Gauges by name. Each walks an index, and counts to 10000 at most: that many say enough, and cost little.

    A database that does not answer leaves all of them out but the one that says so.
    """
    try:
        with services.db.read() as connection:
            return _read(services, connection)
    except Exception:  # noqa: BLE001 - the numbers that need no database are wanted most when it is down
        _log.warning("the database does not answer for metrics", exc_info=True)
        return {"glare_database_up": 0}


def _read(services: Services, connection: Connection) -> dict[str, float]:
    now = services.clock()
    alive_since = now - int(services.rules.attempt_timeout * _SECOND)
    waiting = outbox.c.consumed_at.is_(None)
    oldest = connection.execute(
        select(outbox.c.occurred_at).where(waiting).order_by(outbox.c.id).limit(1)
    ).scalar_one_or_none()
    return {
        "glare_outbox_events": _count(connection, outbox, waiting),
        "glare_outbox_oldest_seconds": 0 if oldest is None else max(0, now - oldest) / _SECOND,
        "glare_outbox_unfanned_events": _count(connection, outbox, outbox.c.fanned_at.is_(None)),
        "glare_webhook_queue": _count(
            connection,
            deliveries,
            deliveries.c.state == DeliveryState.PENDING.value,
            deliveries.c.finished_at.is_(None),
        ),
        "glare_webhook_suspended": _count(
            connection, subscriptions, subscriptions.c.state == SubscriptionState.SUSPENDED.value
        ),
        "glare_doomed_objects": _count(connection, doomed_objects),
        "glare_damaged_blobs": _count(connection, blobs, blobs.c.damage.is_not(None)),
        "glare_attempts": _count(connection, blobs, blobs.c.attempt_heartbeat.is_not(None)),
        "glare_dead_attempts": _count(connection, blobs, blobs.c.attempt_heartbeat < alive_since),
        "glare_locations_changed": _count(connection, blobs, *_in_state(LocationState.CHANGED)),
        "glare_locations_unreachable": _count(connection, blobs, *_in_state(LocationState.UNREACHABLE)),
        "glare_jobs_waiting": _count(connection, jobs, jobs.c.state == JobState.WAITING.value),
        "glare_jobs_running": _count(connection, jobs, jobs.c.state == JobState.RUNNING.value),
        "glare_location_hosts_due": checks.count_due(connection, now, _AT_MOST),
        "glare_deleted_artifacts": _count(connection, artifacts, artifacts.c.deleted_at.is_not(None)),
        "glare_database_up": 1,
    }


def _in_state(state: LocationState) -> tuple[ColumnElement[Any], ...]:
    return blobs.c.state == state.value, blobs.c.host.is_not(None)


def _count(connection: Connection, table: Table, *conditions: ColumnElement[Any]) -> int:
    some = select(next(iter(table.primary_key))).where(*conditions).limit(_AT_MOST).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()
