"""Leases of outbound requests under way: what bounds them per project and per host, over all nodes.

Measurements have one under the name of their host. Checks that go on beside others have one under another name.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from glare.db.tables import outbound_leases

_columns = outbound_leases.c

_BESIDE = "!"  # No host begins with it.


def beside(host: str) -> str:
    """The name under which checks of a host that go on beside others have their leases."""
    return f"{_BESIDE}{host}"


def running(connection: Connection, project: str, host: str, alive_since: int) -> tuple[int, int]:
    """How many living leases the project has, and how many the host has over all projects."""
    of_project = select(func.count()).where(
        _columns.project == project, _columns.heartbeat >= alive_since, _columns.host.not_like(f"{_BESIDE}%")
    )
    of_host = select(func.count()).where(_columns.host == host, _columns.heartbeat >= alive_since)
    return connection.execute(of_project).scalar_one(), connection.execute(of_host).scalar_one()


def projects_at(connection: Connection, host: str, alive_since: int) -> list[str]:
    """The projects of the living leases under this name."""
    living = select(_columns.project).where(_columns.host == host, _columns.heartbeat >= alive_since)
    return list(connection.execute(living).scalars())


def is_there(connection: Connection, lease_id: str) -> bool:
    """Whether a lease is recorded."""
    return connection.execute(select(_columns.id).where(_columns.id == lease_id)).first() is not None


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
