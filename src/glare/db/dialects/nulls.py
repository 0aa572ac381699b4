"""An order by a column that is null in all rows, for indexes that have it in front of what really orders them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import InternalTraversal


class AllNull(ColumnElement[Any]):
    """`column`, which is null. PostgreSQL has to be told of it, or it may take an index without it and look for nulls
    in vain; MariaDB may not be, or it sorts what lies in order.
    """

    inherit_cache = True
    _traverse_internals = [("column", InternalTraversal.dp_clauseelement)]  # noqa: RUF012 - SQLAlchemy reads it so

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column
        self.type = column.type


@compiles(AllNull)
def _named(element: AllNull, compiler: SQLCompiler, **options: Any) -> str:
    return str(compiler.process(element.column, **options))


@compiles(AllNull, "mysql", "mariadb")
def _nothing(_element: AllNull, _compiler: SQLCompiler, **_options: Any) -> str:
    return "NULL"
