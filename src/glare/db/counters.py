"""Counter rows: how many artifacts a list holds, and what a project uses of its quotas.

Counters change by ``UPDATE … SET n = n + :delta`` in the transaction of what they count, so racing requests cannot lose
a count, and a conditional update cannot overrun a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Table, Update, bindparam, insert, select, update

from glare.db.dialects.upsert import add_up
from glare.db.tables import artifact_counts, outbound_hosts, outbound_usage, quota_usage, quotas

UNLIMITED: Final = -1
ALL_TYPES: Final = ""

NUMBER: Final = "max_artifact_number"
BYTES: Final = "max_uploaded_data"

_NONE: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a project may use, of one type or of all together: a number of artifacts and bytes of managed data, -1
    unlimited.
    """

    artifacts: int = UNLIMITED
    bytes: int = UNLIMITED


@lru_cache
def _increase(table: Table, amounts: tuple[str, ...], limits: tuple[str, ...] = ()) -> Update:
    """Add to columns of one row, where those in `limits` stay within theirs. Made once: building it costs more than its
    work.
    """
    columns = table.c
    row = [column == bindparam(f"key_{column.name}") for column in columns if column.primary_key]
    within = [columns[name] + bindparam(f"add_{name}") <= bindparam(f"most_{name}") for name in limits]
    return (
        update(table).where(*row, *within).values({name: columns[name] + bindparam(f"add_{name}") for name in amounts})
    )


def _parameters(
    key: Mapping[str, Any], amounts: Mapping[str, int], limits: Mapping[str, int] = _NONE
) -> dict[str, Any]:
    return {
        **{f"key_{name}": value for name, value in key.items()},
        **{f"add_{name}": amount for name, amount in amounts.items()},
        **{f"most_{name}": limit for name, limit in limits.items()},
    }


def count_artifacts(connection: Connection, type_name: str, scope: str, delta: int) -> None:
    """Change the plain total of the list of (type, scope)."""
    add_up(connection, artifact_counts, {"type_name": type_name, "scope": scope}, {"total": delta})


def use(connection: Connection, project: str, type_name: str, *, artifacts: int = 0, size: int = 0) -> None:
    """Change what `project` uses, without asking for a limit (to release, or to settle what was reserved)."""
    for name in (ALL_TYPES, type_name):
        add_up(
            connection, quota_usage, {"project": project, "type_name": name}, {"artifacts": artifacts, "bytes": size}
        )


def lock_project(connection: Connection, project: str) -> None:
    """Let nobody else who locks the project go on, or change what it uses, until the transaction ends."""
    add_up(connection, quota_usage, {"project": project, "type_name": ALL_TYPES}, {"artifacts": 0, "bytes": 0})


def use_within(
    connection: Connection,
    project: str,
    type_name: str,
    limits: Mapping[str, Limits],
    *,
    artifacts: int = 0,
    size: int = 0,
) -> str | None:
    """Change what `project` uses where every limit allows it.

    `limits` has an entry for `ALL_TYPES` and for `type_name`. Returns None, or the key whose limit would be overrun;
    the caller then rolls the transaction back.
    """
    amounts = {"artifacts": artifacts, "bytes": size}
    for name in (ALL_TYPES, type_name):
        asked = {"artifacts": limits[name].artifacts, "bytes": limits[name].bytes}
        bounds = {column: most for column, most in asked.items() if amounts[column] > 0 and most != UNLIMITED}
        key = {"project": project, "type_name": name}
        if not bounds:
            add_up(connection, quota_usage, key, amounts)
            continue
        statement = _increase(quota_usage, tuple(amounts), tuple(bounds))
        values = _parameters(key, amounts, bounds)
        if connection.execute(statement, values).rowcount:
            continue
        add_up(connection, quota_usage, key, {"artifacts": 0, "bytes": 0})
        if not connection.execute(statement, values).rowcount:
            return name
    return None


_USAGE = select(quota_usage.c.type_name, quota_usage.c.artifacts, quota_usage.c.bytes).where(
    quota_usage.c.project == bindparam("project"), quota_usage.c.type_name.in_(bindparam("names", expanding=True))
)


def usage(connection: Connection, project: str, type_name: str) -> dict[str, Limits]:
    """What `project` uses now: of all types (key `ALL_TYPES`) and of `type_name`."""
    used = {ALL_TYPES: Limits(0, 0), type_name: Limits(0, 0)}
    for name, artifacts, size in connection.execute(_USAGE, {"project": project, "names": [ALL_TYPES, type_name]}):
        used[name] = Limits(artifacts, size)
    return used


_RECORDS = select(quotas.c.name, quotas.c.value).where(quotas.c.project == bindparam("project"))


def quota_records(connection: Connection, project: str) -> dict[str, int]:
    """The quota records of one project: name (as in the API, for instance ``max_uploaded_data:images``) to value."""
    return {row.name: row.value for row in connection.execute(_RECORDS, {"project": project})}


def all_quota_records(connection: Connection) -> dict[str, dict[str, int]]:
    """The quota records of all projects that have some."""
    found: dict[str, dict[str, int]] = {}
    for project, name, value in connection.execute(select(quotas).order_by(quotas.c.project, quotas.c.name)):
        found.setdefault(project, {})[name] = value
    return found


def replace_quota_records(connection: Connection, project: str, records: Mapping[str, int]) -> None:
    """Make `records` the whole set of the project's quota records."""
    connection.execute(quotas.delete().where(quotas.c.project == project))
    if records:
        rows = [{"project": project, "name": name, "value": value} for name, value in records.items()]
        connection.execute(insert(quotas), rows)


def add_outbound(connection: Connection, project: str, period: int, *, requests: int = 0, size: int = 0) -> None:
    """Add outbound requests and bytes to those of a project in the window that starts at `period`; before the next
    statement, or with the commit.
    """
    add_up(connection, outbound_usage, {"project": project, "period": period}, {"requests": requests, "bytes": size})


def add_outbound_host(connection: Connection, host: str, period: int) -> None:
    """Add one outbound request to those of a host, as `add_outbound` does."""
    add_up(connection, outbound_hosts, {"host": host, "period": period}, {"requests": 1})


def outbound_used(connection: Connection, project: str, period: int) -> tuple[int, int]:
    """Outbound (requests, bytes) of a project in the window that starts at `period`."""
    row = connection.execute(
        select(outbound_usage.c.requests, outbound_usage.c.bytes).where(
            outbound_usage.c.project == project, outbound_usage.c.period == period
        )
    ).first()
    return (row.requests, row.bytes) if row else (0, 0)


def forget_outbound(connection: Connection, before: int) -> None:
    """Drop the windows that ended long ago."""
    for table in (outbound_usage, outbound_hosts):
        connection.execute(table.delete().where(table.c.period < before))
