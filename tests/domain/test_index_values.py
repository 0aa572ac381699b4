"""The values by which artifacts are found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.compile import compile_type
from glare.domain.declared.index import IndexValue, index_values, match_key
from glare.domain.version import parse
from glare.types import ArtifactType, DateTime, Float, Integer, ListOf, String, Version


def found(spec: TypeSpec, values: dict[str, Any], field: str) -> list[IndexValue]:
    """The values of one field."""
    return [value for value in index_values(spec, values) if value.field == field]


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("str1", "text", "string_value", "text"),
        ("link1", "http://example.com", "string_value", "http://example.com"),
        ("int1", 5, "integer_value", 5),
        ("bool1", True, "integer_value", 1),
        ("float1", 1.5, "number_value", 1.5),
    ],
)
def test_a_scalar_is_one_value(sample: TypeSpec, field: str, value: Any, column: str, expected: Any) -> None:
    """A scalar is found by its match key, and compared in the column of its kind."""
    (entry,) = found(sample, {field: value}, field)
    assert getattr(entry, column) == expected
    assert entry.match == match_key(field, None, value)
    assert [name for name in ("string_value", "integer_value", "number_value") if getattr(entry, name) is not None] == [
        column
    ]


def test_each_element_of_a_list_is_a_value(sample: TypeSpec) -> None:
    """A list is found by each of its elements, and twice the same one is one value."""
    entries = found(sample, {"list_of_int": [1, 2, 1]}, "list_of_int")
    assert [entry.integer_value for entry in entries] == [1, 2]
    assert [entry.string_value for entry in found(sample, {"tags": ["a", "b"]}, "tags")] == ["a", "b"]


def test_an_entry_of_a_dict_is_found_by_key_and_by_value(sample: TypeSpec) -> None:
    """A dict is found by each key that it has, and by the value under it."""
    entries = found(sample, {"metadata": {"k": "v"}}, "metadata")
    assert entries == [
        IndexValue(match_key("metadata", "k", None), "metadata", "k"),
        IndexValue(match_key("metadata", "k", "v"), "metadata", "k", "v"),
    ]


def test_defaults_are_found(sample: TypeSpec) -> None:
    """An artifact is found by the default that it shows."""
    assert [entry.string_value for entry in found(sample, {}, "system_attribute")] == ["default"]
    assert [entry.integer_value for entry in found(sample, {}, "bool1")] == [0]


@pytest.mark.parametrize("field", ["name", "description", "version", "blob", "dict_of_blobs", "list_validators"])
def test_other_fields_are_not_indexed(sample: TypeSpec, field: str) -> None:
    """Base fields with columns of their own, blobs, and fields without operators are no filterable values."""
    assert found(sample, {"description": "x", "list_validators": ["x"]}, field) == []


def test_rarer_kinds() -> None:
    """Versions sort by their key, dates by their text, and a number that takes patterns has its text too."""

    class Rarer(ArtifactType):
        name = "rarer"
        edition = Version()
        when = DateTime()
        number = Integer(filter_ops=("like",))
        ratios = ListOf(of=Float(), filter_ops=("eq",))
        unfilterable = String(filter_ops=(), sortable=True)

    spec = compile_type(Rarer)
    values = {"edition": "1.0.0+b", "when": "2030-01-01T00:00:00Z", "number": 12, "ratios": [0.5], "unfilterable": "x"}
    entries = {entry.field: entry for entry in index_values(spec, values)}
    assert entries["edition"].string_value == parse("1.0.0").key
    assert entries["edition"].match == match_key("edition", None, "1.0.0+b")
    assert entries["when"].string_value == "2030-01-01T00:00:00Z"
    assert (entries["number"].string_value, entries["number"].integer_value) == ("12", 12)
    assert entries["ratios"].number_value == 0.5
    assert entries["unfilterable"].string_value == "x"


NAMES = st.text("ab:-1", max_size=4)
VALUES = (
    st.none() | NAMES | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2, allow_nan=False).map(lambda f: f + 0.0)
)
PLACES = st.tuples(NAMES, st.none() | NAMES, VALUES)


def typed(place: tuple[str, str | None, Any]) -> tuple[Any, ...]:
    """A place that differs for values that are equal but of different types."""
    return (*place, type(place[2]))


@given(PLACES, PLACES)
def test_match_keys_stand_for_one_value(one: tuple[str, str | None, Any], other: tuple[str, str | None, Any]) -> None:
    """Two match keys are equal exactly where field, key, value and the value's type are."""
    assert (match_key(*one) == match_key(*other)) == (typed(one) == typed(other))
    assert len(match_key(*one)) == 32


@given(
    st.sampled_from(["str1", "int1", "float1", "bool1", "link1"]),
    st.from_regex(r"http://[a-z]{1,9}|[0-9]{1,5}", fullmatch=True),
)
def test_a_filter_finds_what_was_stored(sample: TypeSpec, field: str, text: str) -> None:
    """What a client sends as a value and as a filter's operand leads to the same match key."""
    spec = sample.fields[field]
    if field == "link1" and not text.startswith("http"):
        text = "http://" + text
    if field in ("int1", "float1") and text.startswith("http"):
        text = "7"
    (entry,) = found(sample, {field: spec.coerce(text)}, field)
    assert entry.match == match_key(field, None, spec.coerce_filter(text))
