"""Rows that may be there already, in one statement whatever the database calls it.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from glare.db.later import later


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row; False, and nothing has happened, where one is there with a unique key of it."""
    if connection.dialect.name == "postgresql":  # An error would end the transaction there.
        found = connection.execute(_unless_there(table), row, execution_options={"preserve_rowcount": True})
        return found.rowcount == 1
    try:
        connection.execute(table.insert().inline(), row)
    except IntegrityError:
        return False
    return True


def add_up(connection: Connection, table: Table, key: Mapping[str, Any], amounts: Mapping[str, int]) -> None:
    """Add `amounts` to the counters of `key`, which come into being at zero; at the latest with the commit."""
    zero = {column.name: 0 for column in table.c if not column.primary_key}
    later(connection, _adding(table, tuple(amounts), connection.dialect.name), {**key, **zero, **amounts})


@lru_cache
def _unless_there(table: Table) -> Insert:
    return postgresql.insert(table).on_conflict_do_nothing().inline()


@lru_cache
def _adding(table: Table, amounts: tuple[str, ...], dialect: str) -> Insert:
    columns = table.c
    if dialect in ("mysql", "mariadb"):
        on_mysql = mysql.insert(table)
        return on_mysql.on_duplicate_key_update(
            {name: columns[name] + on_mysql.inserted[name] for name in amounts}
        ).inline()
    key = [column for column in columns if column.primary_key]
    if dialect == "sqlite":
        on_sqlite = sqlite.insert(table)
        return on_sqlite.on_conflict_do_update(
            index_elements=key, set_={name: columns[name] + on_sqlite.excluded[name] for name in amounts}
        ).inline()
    on_postgresql = postgresql.insert(table)
    return on_postgresql.on_conflict_do_update(
        index_elements=key, set_={name: columns[name] + on_postgresql.excluded[name] for name in amounts}
    ).inline()
