"""What fields make of the values that clients send."""

from __future__ import annotations

import math
from typing import Any

import pytest

from glare.domain.declared.artifact_type import FieldSpec, TypeSpec
from glare.domain.declared.compile import compile_field
from glare.domain.declared.fields import (
    BlobDict,
    Boolean,
    DateTime,
    DictOf,
    Field,
    Float,
    Integer,
    Link,
    ListOf,
    String,
    Version,
)
from glare.errors import InvalidParameterValue


def compiled(declaration: Field) -> FieldSpec:
    """One field of some type."""
    return compile_field("things", "thing", declaration)


LINK = "/artifacts/images/3d5f9ba0-6b5c-4b0c-9f4e-1f2f3a4b5c6d"


@pytest.mark.parametrize(
    ("declaration", "value", "stored"),
    [
        (String(), "text", "text"),
        (String(), "", ""),
        (String(), 1.0, "1.0"),
        (String(), 7, "7"),
        (String(), True, "True"),
        (String(max_length=300), "x" * 300, "x" * 300),
        (String(allowed=("a" * 300,)), "a" * 300, "a" * 300),
        (String(pattern="ab"), "abc", "abc"),
        (String(uuid=True), "3d5f9ba06b5c4b0c9f4e1f2f3a4b5c6d", "3d5f9ba06b5c4b0c9f4e1f2f3a4b5c6d"),
        (Integer(), 5, 5),
        (Integer(), 5.9, 5),
        (Integer(), -5.9, -5),
        (Integer(), " 12 ", 12),
        (Integer(), "-3", -3),
        (Integer(), True, 1),
        (Integer(), -(2**63), -(2**63)),
        (Integer(minimum=10, maximum=20), 10, 10),
        (Integer(minimum=10, maximum=20), "20", 20),
        (Float(), 1, 1.0),
        (Float(), "1.5", 1.5),
        (Float(), True, 1.0),
        (Float(maximum=2.5), 2.5, 2.5),
        (Boolean(), "On", True),
        (Boolean(), "yes", True),
        (Boolean(), 1, True),
        (Boolean(), "garbage", False),
        (Boolean(), [1], False),
        (Boolean(), {}, False),
        (DateTime(), "2030-01-31", "2030-01-31T00:00:00Z"),
        (DateTime(), "2030-01-31T01:00:00+02:00", "2030-01-30T23:00:00Z"),
        (Version(), "1.2", "1.2.0"),
        (Version(), 2.0, "2.0.0"),
        (Link(), LINK, LINK),
        (Link(), "https://example.com/a b?c=d", "https://example.com/a b?c=d"),
        (ListOf(of=Integer()), ["1", 2.5], [1, 2]),
        (ListOf(of=String()), ["\U0001f600"], ["\U0001f600"]),
        (ListOf(of=String(), drop_duplicates=True), ["b", "a", "b"], ["b", "a"]),
        (ListOf(of=Integer(minimum=3)), [3, 4], [3, 4]),
        (DictOf(of=Float()), {"a": "1"}, {"a": 1.0}),
        (DictOf(of=Link()), {"a": LINK}, {"a": LINK}),
        (DictOf(of=String(), required_keys=("a",)), {"a": "1", "b": "2"}, {"a": "1", "b": "2"}),
        (DictOf(of=String(), max_key_length=3), {"abc": "1"}, {"abc": "1"}),
    ],
)
def test_accepted_values(declaration: Field, value: Any, stored: Any) -> None:
    """Each kind of field accepts what the contract says and stores one form of it."""
    result = compiled(declaration).coerce(value)
    assert result == stored
    assert type(result) is type(stored)


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        (String(), []),
        (String(), {}),
        (String(), "x" * 256),
        (String(max_length=3), "four"),
        (String(min_length=3), "ab"),
        (String(), "\U0001f600"),
        (String(), "a\0b"),
        (String(), "\ud800"),
        (String(allowed=("a",)), "b"),
        (String(pattern="ab"), "xab"),
        (String(forbidden_chars=",/"), "a/b"),
        (String(forbidden_chars=",/"), ""),
        (String(uuid=True), "no-uuid"),
        (Integer(), "3.0"),
        (Integer(), ""),
        (Integer(), []),
        (Integer(), {}),
        (Integer(), 2**63),
        (Integer(), -(2**63) - 1),
        (Integer(), "9" * 30),
        (Integer(), "9" * 6000),
        (Integer(), 1e300),
        (Integer(), math.inf),
        (Integer(), math.nan),
        (Integer(minimum=10), 9),
        (Integer(maximum=20), 21),
        (Integer(allowed=(1, 2)), 3),
        (Float(), "x"),
        (Float(), []),
        (Float(), "nan"),
        (Float(), "inf"),
        (Float(), math.inf),
        (Float(), 10**400),
        (DateTime(), "yesterday"),
        (DateTime(), 5),
        (DateTime(), "0001-01-01T00:00:00+14:00"),
        (DateTime(), "9999-12-31T23:00:00-14:00"),
        (Version(), "x"),
        (Version(), "70000"),
        (Version(), []),
        (Link(), 5),
        (Link(), "/artifacts/images"),
        (Link(), "/artifacts/images/a/b"),
        (Link(), "httpfoo"),
        (Link(), "ftp://example.com/"),
        (ListOf(of=Integer()), "1"),
        (ListOf(of=Integer()), {"a": 1}),
        (ListOf(of=Integer()), [None]),
        (ListOf(of=Integer()), ["x"]),
        (ListOf(of=String(), unique=True), ["a", "a"]),
        (ListOf(of=String(), max_size=1), ["a", "b"]),
        (ListOf(of=String(), min_size=2), ["a"]),
        (ListOf(of=String()), ["a"] * 256),
        (ListOf(of=String()), ["x" * 256]),
        (DictOf(of=String()), []),
        (DictOf(of=String()), {"": "a"}),
        (DictOf(of=String()), {"k" * 256: "a"}),
        (DictOf(of=String(), max_key_length=3), {"abcd": "a"}),
        (DictOf(of=String()), {"a": None}),
        (DictOf(of=String()), {"a": "\U0001f600"}),
        (DictOf(of=String()), {"\U0001f600": "a"}),
        (DictOf(of=String()), {str(number): "a" for number in range(256)}),
        (DictOf(of=String(), min_size=1), {}),
        (DictOf(of=String(), allowed_keys=("a",)), {"b": "1"}),
        (DictOf(of=String(), required_keys=("a",)), {"b": "1"}),
        (BlobDict(), {}),
    ],
)
def test_refused_values(declaration: Field, value: Any) -> None:
    """Each kind of field refuses what the contract says, as a client's error that names the field."""
    with pytest.raises(InvalidParameterValue, match="Field 'thing' cannot be"):
        compiled(declaration).coerce(value)


@pytest.mark.parametrize(
    ("declaration", "stored"),
    [
        (String(), None),
        (String(default="x"), None),
        (String(default="x", nullable=False), "x"),
        (ListOf(of=String(), nullable=False), []),
    ],
)
def test_null_resets(declaration: Field, stored: Any) -> None:
    """Null stores nothing in a nullable field, and the default in one that is not."""
    assert compiled(declaration).coerce(None) == stored


def test_null_needs_a_default() -> None:
    """Null is refused where a field is neither nullable nor has a default."""
    with pytest.raises(InvalidParameterValue, match="'thing' cannot be null: give a value"):
        compiled(String(nullable=False)).coerce(None)


def test_an_empty_container_is_nothing_where_the_default_is_null() -> None:
    """An empty dict reads back as null where that is the default, and as itself everywhere else."""
    assert compiled(DictOf(of=String(), default=None)).coerce({}) is None
    assert compiled(DictOf(of=String())).coerce({}) == {}
    assert compiled(ListOf(of=String(), default=["a"])).coerce([]) == []


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("created_at", "2023-11-14T22:13:20Z", 1_700_000_000_000_000),
        ("created_at", "2023-11-15T00:13:20+02:00", 1_700_000_000_000_000),
        ("version", "1", "1.0.0"),
        ("int1", "5", 5),
        ("bool1", "garbage", False),
        ("list_of_int", "7", 7),
        ("dict_of_int", "7", 7),
        ("str1", "\U0001f600", "\U0001f600"),
        ("link1", "https://example.com/", "https://example.com/"),
        ("float1", "-0.0", 0.0),
    ],
)
def test_filter_operands(sample: TypeSpec, name: str, text: str, value: Any) -> None:
    """An operand is coerced to one element of the field; characters of four bytes are allowed in it."""
    assert repr(sample.fields[name].coerce_filter(text)) == repr(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status", "sleeping"),
        ("id", "no-uuid"),
        ("name", ""),
        ("name", "x" * 256),
        ("name", "a\0"),
        ("int1", "x"),
        ("int1", "9" * 20),
        ("float1", "nan"),
        ("version", "70000.0.0"),
        ("created_at", "soon"),
        ("link1", "nowhere"),
    ],
)
def test_refused_filter_operands(sample: TypeSpec, name: str, text: str) -> None:
    """An operand that the field could never hold is refused."""
    with pytest.raises(InvalidParameterValue, match=f"Field '{name}'"):
        sample.fields[name].coerce_filter(text)


def test_a_pattern_is_no_whole_value(sample: TypeSpec) -> None:
    """The operand of `like` meets the rules of length and no others; one that nobody could type is refused."""
    assert sample.fields["id"].coerce_filter("3d%", "like") == "3d%"
    assert sample.fields["int1"].coerce_filter("1%", "like") == "1%"
    for pattern in ("", "x" * 256, "\0"):
        with pytest.raises(InvalidParameterValue):
            sample.fields["name"].coerce_filter(pattern, "like")


def test_folder_keys(sample: TypeSpec) -> None:
    """A key of a folder may be as long as the field says, and holds no character that the database could not (quirk
    25).
    """
    folder = sample.fields["dict_of_blobs"]
    assert folder.validate_key("k" * 1000) == "k" * 1000
    for key in ("", "k" * 1001, "\U0001f600", "a\0", "\udcff"):
        with pytest.raises(InvalidParameterValue, match="'dict_of_blobs' cannot have the key"):
            folder.validate_key(key)
    assert folder.max_keys == 255


def test_links_are_found(sample: TypeSpec) -> None:
    """The links of a value are found in scalars, lists and dicts of links, and nowhere else."""
    assert list(sample.fields["link1"].links(LINK)) == [LINK]
    assert list(sample.fields["list_of_links"].links([LINK, "http://example.com"])) == [LINK, "http://example.com"]
    assert list(sample.fields["dict_of_links"].links({"a": LINK})) == [LINK]
    assert list(sample.fields["link1"].links(None)) == []
    assert list(sample.fields["str1"].links(LINK)) == []


def test_messages_are_short_and_keep_secrets(sample: TypeSpec) -> None:
    """A message names a long value by its beginning, and never the credentials or the query of a URL."""
    with pytest.raises(InvalidParameterValue) as refused:
        sample.fields["link1"].coerce("ftp://user:password@example.com/a?signature=abc")
    assert "password" not in refused.value.message
    assert "signature" not in refused.value.message
    assert "ftp://example.com/a" in refused.value.message
    with pytest.raises(InvalidParameterValue) as refused:
        sample.fields["str1"].coerce("x" * 100_000)
    assert len(refused.value.message) < 200
