"""Filters as SQL: one table of operators, and one function for each place where a value may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, Dialect, FromClause, String, TypeDecorator, and_, exists, false, literal, or_

from glare.db.tables import artifact_values, blobs
from glare.domain.artifact import Visibility
from glare.domain.declared.coercion import Kind
from glare.domain.declared.index import match_key
from glare.domain.filters import Filter, Operand, Operator, Target
from glare.domain.version import Version

Condition = ColumnElement[bool]
Column = ColumnElement[Any]


class Readable(Protocol):
    """What has columns by name: a table, or a join that says which of its tables has each."""

    @property
    def c(self) -> Any: ...


class ListedType(Protocol):
    """What lists need to know of a type."""

    @property
    def name(self) -> str: ...
    @property
    def display_name(self) -> str | None: ...


class _Pattern(TypeDecorator[str]):
    """A pattern of `like` in which only ``%`` and ``_`` are special. Other databases than SQLite escape with a
    backslash too.
    """

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is None or dialect.name == "sqlite" else value.replace("\\", "\\\\")


# In `in`, the operands are a sequence; everywhere else there is one. A comparison with null is never true in SQL, which
# is the rule that `neq` and the like never match artifacts without a value.
_OPERATORS: Final[Mapping[Operator, Callable[[Column, Sequence[Any]], Condition]]] = {
    Operator.EQ: lambda column, operands: column == operands[0],
    Operator.NEQ: lambda column, operands: column != operands[0],
    Operator.IN: lambda column, operands: column.in_(operands),
    Operator.LIKE: lambda column, operands: column.like(literal(operands[0], _Pattern())),
    Operator.GT: lambda column, operands: column > operands[0],
    Operator.GTE: lambda column, operands: column >= operands[0],
    Operator.LT: lambda column, operands: column < operands[0],
    Operator.LTE: lambda column, operands: column <= operands[0],
}

_NOT_PUBLIC: Final = (Visibility.PRIVATE, Visibility.SHARED, Visibility.COMMUNITY)

_IDENTITY: Final = (Operator.EQ, Operator.NEQ, Operator.IN)

VALUE_COLUMNS: Final[Mapping[Kind, str]] = {
    Kind.STRING: "string_value",
    Kind.LINK: "string_value",
    Kind.DATETIME: "string_value",
    Kind.VERSION: "string_value",
    Kind.INTEGER: "integer_value",
    Kind.BOOLEAN: "integer_value",
    Kind.FLOAT: "number_value",
}
"""The column of `artifact_values` that orders values of a kind; of a version it holds `Version.key`."""


@dataclass(frozen=True, slots=True)
class Place:
    """One artifact in a query: its columns, and the type that the query looks at just there."""

    artifact: Readable
    type: ListedType


def condition(wanted: Filter, place: Place) -> Condition:
    """The SQL condition under which the artifact at `place` passes the filter."""
    if not wanted.operands:
        return false()
    return _TARGETS[wanted.target](wanted, place)


def conditions(filters: Sequence[Filter], alternatives: Sequence[Sequence[Filter]], place: Place) -> list[Condition]:
    """All of `filters` as conditions, and `alternatives` as one disjunction of conjunctions."""
    found = [condition(wanted, place) for wanted in filters]
    if alternatives:
        found.append(or_(*(and_(*(condition(wanted, place) for wanted in member)) for member in alternatives)))
    return found


def matches_of(wanted: Filter) -> list[str]:
    """What `artifact_values.match` holds for the operands of a filter by value, or by the keys of a dict."""
    if wanted.target is Target.KEY:
        return [match_key(wanted.field, str(operand), None) for operand in wanted.operands]
    return [match_key(wanted.field, wanted.item_key, _text_of(operand)) for operand in wanted.operands]


def value_conditions(wanted: Filter, values: FromClause) -> list[Condition]:
    """The conditions under which one row of `artifact_values` makes its artifact pass the filter."""
    columns = values.c
    compare = _OPERATORS[wanted.operator]
    if wanted.operator in (Operator.EQ, Operator.IN):
        return [compare(columns.match, matches_of(wanted))]
    found = [columns.field == wanted.field]
    if wanted.item_key is not None:
        found.append(columns.item_key == wanted.item_key)
    column = columns["string_value" if wanted.operator is Operator.LIKE else VALUE_COLUMNS[wanted.kind]]
    if wanted.operator is Operator.NEQ:
        # The row that says that a dict has the key holds no value.
        return [*found, column.is_not(None), columns.match != matches_of(wanted)[0]]
    return [*found, compare(column, [key_of(operand) for operand in wanted.operands])]


def type_constant(field: str, listed: ListedType) -> Column:
    """`type_name` or `display_type_name`, which all artifacts of a type share."""
    return literal(listed.name if field == "type_name" else listed.display_name, String())


def visibility_condition(passing: Sequence[object], columns: Any) -> Condition:
    """Whether an artifact's visibility is one of `passing`: two columns say it."""
    found = []
    if Visibility.PUBLIC in passing:
        found.append(columns.visibility == Visibility.PUBLIC.value)
    others = [one for one in _NOT_PUBLIC if one in passing]
    if others:
        of_these = [columns.sharing.is_(None)] if Visibility.PRIVATE in passing else []
        of_these += [columns.sharing == one.value for one in others if one is not Visibility.PRIVATE]
        not_public = columns.visibility == Visibility.PRIVATE.value
        found.append(not_public if len(others) == len(_NOT_PUBLIC) else and_(not_public, or_(*of_these)))
    return or_(*found) if found else false()


def _column(wanted: Filter, place: Place) -> Condition:
    columns = place.artifact.c
    if wanted.field == "visibility":
        return visibility_condition(wanted.operands, columns)
    if wanted.kind is not Kind.VERSION:
        return _OPERATORS[wanted.operator](columns[wanted.field], wanted.operands)
    compare = _OPERATORS[wanted.operator]
    keys = [key_of(operand) for operand in wanted.operands]
    if wanted.operator not in _IDENTITY:
        return compare(columns.version if wanted.operator is Operator.LIKE else columns.version_key, keys)
    same = compare(columns.version, [_text_of(operand) for operand in wanted.operands])
    # The index has the key; equal texts have equal keys.
    return same if wanted.operator is Operator.NEQ else and_(compare(columns.version_key, keys), same)


def _type(wanted: Filter, place: Place) -> Condition:
    return _OPERATORS[wanted.operator](type_constant(wanted.field, place.type), wanted.operands)


def _value(wanted: Filter, place: Place) -> Condition:
    values = artifact_values.alias()
    return exists().where(values.c.artifact_id == place.artifact.c.id, *value_conditions(wanted, values))


def _folder(wanted: Filter, place: Place) -> Condition:
    slots = blobs.alias()
    columns = slots.c
    return exists().where(
        columns.artifact_id == place.artifact.c.id,
        columns.field == wanted.field,
        _OPERATORS[wanted.operator](columns.item_key, wanted.operands),
    )


def key_of(operand: Operand) -> Operand:
    """What columns that order have of it."""
    return operand.key if isinstance(operand, Version) else operand


def _text_of(operand: Operand) -> str | int | float | bool:
    return operand.text if isinstance(operand, Version) else operand


_TARGETS: Final[Mapping[Target, Callable[[Filter, Place], Condition]]] = {
    Target.COLUMN: _column,
    Target.TYPE: _type,
    Target.VALUE: _value,
    Target.KEY: _value,
    Target.FOLDER: _folder,
}
