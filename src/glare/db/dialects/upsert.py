"""Rows that may be there already, in one statement whatever the database calls it.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Insert, Table, case
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from glare.db.dialects.later import is_early, later

_DUPLICATE: Final = frozenset({1022, 1062, 1586})
"""Codes of MySQL and MariaDB: a unique key has the value already."""


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row; False, and nothing has happened, where one is there with a unique key of it.

    Raises `IntegrityError` where it breaks another constraint, or what was to be done `later` breaks any.
    """
    dialect = connection.dialect.name
    if dialect in ("postgresql", "sqlite"):  # An error would end the transaction on PostgreSQL.
        found = connection.execute(_unless_there(table, dialect), row, execution_options={"preserve_rowcount": True})
        return found.rowcount == 1
    try:
        connection.execute(table.insert().inline(), row)
    except IntegrityError as error:
        # What waited was sent in front of the row: where that failed, the row was not even tried.
        if is_early(error) or error.orig is None or error.orig.args[0] not in _DUPLICATE:
            raise
        return False
    return True


def add_up(connection: Connection, table: Table, key: Mapping[str, Any], amounts: Mapping[str, int]) -> None:
    """Add `amounts` to the counters of `key`, which come into being at zero; at the latest with the commit."""
    zero = {column.name: 0 for column in table.c if not column.primary_key}
    later(connection, _adding(table, tuple(amounts), connection.dialect.name), {**key, **zero, **amounts})


def keep_least(connection: Connection, table: Table, row: Mapping[str, Any], column: str) -> None:
    """Insert a row, or lower `column` of the one that is there to the value in `row`; at the latest with the commit."""
    later(connection, _lowering(table, column, connection.dialect.name), row)


@lru_cache
def _unless_there(table: Table, dialect: str) -> Insert:
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing().inline()
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


@lru_cache
def _lowering(table: Table, name: str, dialect: str) -> Insert:
    column = table.c[name]
    if dialect in ("mysql", "mariadb"):
        on_mysql = mysql.insert(table)
        given = on_mysql.inserted[name]
        return on_mysql.on_duplicate_key_update({name: case((column > given, given), else_=column)}).inline()
    key = [found for found in table.c if found.primary_key]
    if dialect == "sqlite":
        on_sqlite = sqlite.insert(table)
        given = on_sqlite.excluded[name]
        least = {name: case((column > given, given), else_=column)}
        return on_sqlite.on_conflict_do_update(index_elements=key, set_=least).inline()
    on_postgresql = postgresql.insert(table)
    given = on_postgresql.excluded[name]
    least = {name: case((column > given, given), else_=column)}
    return on_postgresql.on_conflict_do_update(index_elements=key, set_=least).inline()
