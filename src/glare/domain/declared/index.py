"""The values by which artifacts are found: what the table of filterable values holds of an artifact."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glare.domain import version
from glare.domain.declared.artifact_type import FieldSpec, TypeSpec
from glare.domain.declared.coercion import Kind, Shape


@dataclass(frozen=True, slots=True)
class IndexValue:
    """One filterable value: of a field, of one element of a list, or of one entry of a dict (`item_key`).

    `match` finds it by equality. `integer_value` is for integers and booleans (0 and 1), `number_value` for floats, and
    `string_value` for all other kinds; a number whose field declares ``like`` has its text there too. A version has its
    sort key there. A value of nothing but an `item_key` says that a dict has the key.
    """

    match: str
    field: str
    item_key: str | None = None
    string_value: str | None = None
    integer_value: int | None = None
    number_value: float | None = None


def match_key(field: str, item_key: str | None, value: str | float | None) -> str:
    """32 hex characters that stand for a value of a field, used in storing and in looking for it.

    `value` is in its stored form, None for the presence of a dict's key.
    """
    parts = (field, item_key, None if value is None else f"{type(value).__name__}:{value}")
    text = "".join("-" if part is None else f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def index_values(spec: TypeSpec, values: Mapping[str, Any]) -> Iterator[IndexValue]:
    """The filterable values of an artifact with the stored `values`, defaults included.

    They are those of each field of the type that can be filtered or sorted by, of `tags`, and of `metadata`.
    """
    for name, field in spec.fields.items():
        if field.is_blob or not _indexed(field):
            continue
        value = field.effective(values.get(name))
        if value is None:
            continue
        if field.shape is Shape.SCALAR:
            yield _entry(field, None, value)
        elif field.shape is Shape.LIST:
            for item in dict.fromkeys(value):
                yield _entry(field, None, item)
        else:
            for key, item in value.items():
                yield IndexValue(match_key(name, key, None), name, key)
                yield _entry(field, key, item)


def _indexed(field: FieldSpec) -> bool:
    if field.is_base:
        return field.name in ("tags", "metadata")
    return bool(field.filter_ops) or field.sortable


def _entry(field: FieldSpec, item_key: str | None, value: Any) -> IndexValue:
    match = match_key(field.name, item_key, value)
    text = str(value) if "like" in field.filter_ops else None
    match field.kind:
        case Kind.INTEGER | Kind.BOOLEAN:
            return IndexValue(match, field.name, item_key, text, int(value))
        case Kind.FLOAT:
            return IndexValue(match, field.name, item_key, text, None, value)
        case Kind.VERSION:
            return IndexValue(match, field.name, item_key, version.parse(value).key)
    return IndexValue(match, field.name, item_key, value)
