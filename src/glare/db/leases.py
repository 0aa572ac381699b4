"""Leases of outbound requests under way: what bounds them per project and per host, over all nodes.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from glare.db.tables import outbound_leases

_columns = outbound_leases.c


def running(connection: Connection, project: str, host: str, alive_since: int) -> tuple[int, int]:
    """How many living leases the project has, and how many the host has over all projects."""
    of_project = select(func.count()).where(_columns.project == project, _columns.heartbeat >= alive_since)
    of_host = select(func.count()).where(_columns.host == host, _columns.heartbeat >= alive_since)
    return connection.execute(of_project).scalar_one(), connection.execute(of_host).scalar_one()


def take(connection: Connection, lease_id: str, project: str, host: str, now: int) -> None:
    """Record a lease."""
    connection.execute(insert(outbound_leases).values(id=lease_id, project=project, host=host, heartbeat=now))


def beat(connection: Connection, lease_ids: Sequence[str], now: int) -> None:
    """Show that these leases are alive."""
    connection.execute(update(outbound_leases).where(_columns.id.in_(lease_ids)).values(heartbeat=now))


def release(connection: Connection, lease_id: str) -> None:
    """End a lease."""
    connection.execute(delete(outbound_leases).where(_columns.id == lease_id))


def forget_dead(connection: Connection, beaten_before: int) -> None:
    """Drop leases whose holders are gone."""
    connection.execute(delete(outbound_leases).where(_columns.heartbeat < beaten_before))
