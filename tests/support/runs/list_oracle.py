"""Lists in plain Python, one artifact at a time: what the database must answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cmp_to_key
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from glare.documents.members import MemberStatus
from glare.domain import version
from glare.domain.artifact import Artifact, Status
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.filters import Filter, Operator, Target
from glare.domain.query import ListQuery
from glare.domain.version import Version
from glare.domain.visibility import ListScope, listed, shown_visibility

Types = Mapping[str, TypeSpec]

_COMPARISONS: Final[Mapping[Operator, Callable[[Any, Any], bool]]] = {
    Operator.EQ: eq,
    Operator.NEQ: ne,
    Operator.GT: gt,
    Operator.GTE: ge,
    Operator.LT: lt,
    Operator.LTE: le,
}


Decided = Mapping[str, MemberStatus]
"""What the scope's project has decided of the artifacts that are shared with it, by id."""


def expected(
    stored: Iterable[Artifact], query: ListQuery, scope: ListScope, types: Types, decided: Decided
) -> list[str]:
    """Ids of all artifacts that the list has, in order; marker and limit aside."""
    found = [
        artifact
        for artifact in stored
        if artifact.type_name in types
        and artifact.status is not Status.DELETED
        and listed(scope, artifact.owner, artifact.visibility, decided.get(artifact.id), query.shown)
        and all(passes(artifact, wanted, types) for wanted in query.filters)
        and (
            not query.alternatives
            or any(all(passes(artifact, wanted, types) for wanted in member) for member in query.alternatives)
        )
    ]
    if query.latest:
        highest: dict[str, str] = {}
        for artifact in found:
            highest[artifact.name] = max(highest.get(artifact.name, ""), version.parse(artifact.version).key)
        found = [artifact for artifact in found if version.parse(artifact.version).key == highest[artifact.name]]
    return [artifact.id for artifact in sorted(found, key=order(query, types))]


def order(query: ListQuery, types: Types) -> Callable[[Artifact], Any]:
    """A key for `sorted`: nulls last in both directions."""

    def compare(one: Artifact, other: Artifact) -> int:
        for key in query.sort:
            a, b = (_sort_value(artifact, key.field, types, query) for artifact in (one, other))
            if a == b:
                continue
            if a is None or b is None:
                return 1 if a is None else -1
            return (1 if a > b else -1) * (-1 if key.descending else 1)
        return 0

    return cmp_to_key(compare)


def passes(artifact: Artifact, wanted: Filter, types: Types) -> bool:
    """Whether one filter holds."""
    value = _value_of(artifact, wanted.field, types)
    if wanted.target in (Target.KEY, Target.FOLDER):
        return any(key in wanted.operands for key in value)
    if isinstance(value, Mapping):
        value = value.get(wanted.item_key)
    values = value if isinstance(value, list) else [value]
    return any(item is not None and _compare(item, wanted.operator, wanted.operands) for item in values)


def _compare(value: Any, operator: Operator, operands: Sequence[Any]) -> bool:
    if operator is Operator.LIKE:
        parts = {"%": ".*", "_": "."}
        pattern = "".join(parts.get(character) or re.escape(character) for character in operands[0])
        return re.fullmatch(pattern, str(value), re.DOTALL) is not None
    if any(isinstance(operand, Version) for operand in operands):
        by_text = operator in (Operator.EQ, Operator.NEQ, Operator.IN)
        operands = [operand.text if by_text else operand.key for operand in operands]
        value = value if by_text else version.parse(value).key
    if operator is Operator.IN:
        return value in operands
    return bool(operands) and _COMPARISONS[operator](value, operands[0])


def _value_of(artifact: Artifact, field: str, types: Types) -> Any:
    return artifact.type_name if field == "type_name" else types[artifact.type_name].view(artifact)[field]


def _sort_value(artifact: Artifact, field: str, types: Types, query: ListQuery) -> Any:
    value = _value_of(artifact, field, types)
    if field == "visibility":
        return shown_visibility(value, query.microversion).value
    return version.parse(value).key if field == "version" or (field == "made" and value is not None) else value
