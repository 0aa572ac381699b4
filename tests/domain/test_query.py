"""The grammar of list requests, after the contract's table."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.domain.declared.compile import compile_all, compile_type
from glare.domain.filters import Filter, Operator, Target
from glare.domain.query import ListQuery, QueryLimits, first_link, next_link, parse_query
from glare.domain.version import Version, parse
from glare.errors import BadRequest
from glare.types import ArtifactType, BlobDict, Boolean, DateTime, DictOf, Integer, Link, ListOf, String
from glare.types import Blob as BlobField


class Sample(ArtifactType):
    name = "samples"
    display_name = "Samples"

    text = String(sortable=True, filter_ops=("like", "eq", "neq", "in"))
    choice = String(allowed=("aa", "bb"))
    number = Integer(sortable=True)
    flag = Boolean(filter_ops=("eq",))
    due = DateTime()
    link = Link()
    words = ListOf(of=String(), filter_ops=("eq", "in"))
    pairs = DictOf(of=Integer(), filter_ops=("eq", "in"))
    open_pairs = DictOf(of=Integer())
    data = BlobField()
    folder = BlobDict()


SAMPLE, ALL = compile_type(Sample), compile_all()
SECOND = 1_000_000


def query(*pairs: tuple[str, str]) -> ListQuery:
    return parse_query(SAMPLE, pairs)


def only(name: str, value: str) -> Filter:
    """The one filter that a parameter becomes."""
    parsed = query((name, value))
    (found,) = [*parsed.filters, *(item for member in parsed.alternatives for item in member)]
    return found


@pytest.mark.parametrize(
    ("name", "value", "operator", "operands"),
    [
        ("text", "a", Operator.EQ, ("a",)),
        ("text", "", Operator.EQ, ("",)),
        ("text", "and:a", Operator.EQ, ("a",)),
        ("text", "or:a", Operator.EQ, ("a",)),
        ("text", "neq:a", Operator.NEQ, ("a",)),
        ("text", "eq:a:b", Operator.EQ, ("a:b",)),
        ("text", "or:eq:a:b:c", Operator.EQ, ("a:b:c",)),
        ("text", "or:like:a%", Operator.LIKE, ("a%",)),
        ("text", "eq:", Operator.EQ, ("",)),
        ("text", "2030-01-01T00:00:00Z", Operator.EQ, ("2030-01-01T00:00:00Z",)),
        ("text", "and:2030-01-01T00:00:00+01:00", Operator.EQ, ("2030-01-01T00:00:00+01:00",)),
        ("text", "in:", Operator.IN, ()),
        ("text", "in:a,b", Operator.IN, ("a", "b")),
        ("text", 'in:"a,b",c', Operator.IN, ("a,b", "c")),
        ("text", 'in:"a:b","c"', Operator.IN, ("a:b", "c")),
        ("text", 'in:"a\\"b",c\\"d', Operator.IN, ('a"b', 'c"d')),
        ("text", 'in:""', Operator.IN, ("",)),
        ("text", "in:a,", Operator.IN, ("a", "")),
        ("number", " 7 ", Operator.EQ, (7,)),
        ("number", "gte:-1", Operator.GTE, (-1,)),
        ("number", "in:1,2", Operator.IN, (1, 2)),
        ("flag", "TRUE", Operator.EQ, (True,)),
        ("flag", "garbage", Operator.EQ, (False,)),
        ("version", "1.2", Operator.EQ, (parse("1.2.0"),)),
        ("version", "in:1,2.0", Operator.IN, (parse("1"), parse("2"))),
        ("version", "gt:1.2.3-rc.1", Operator.GT, (parse("1.2.3-rc.1"),)),
        ("created_at", "gt:1970-01-01T00:00:01Z", Operator.GT, (SECOND,)),
        ("created_at", "gt:1970-01-01T01:00:01+01:00", Operator.GT, (SECOND,)),
        ("activated_at", "lt:1970-01-02", Operator.LT, (86_400 * SECOND,)),
        ("due", "lt:2030-01-01T01:00:00+01:00", Operator.LT, ("2030-01-01T00:00:00Z",)),
        ("link", "/artifacts/samples/1", Operator.EQ, ("/artifacts/samples/1",)),
        ("link", "eq:http://h/1", Operator.EQ, ("http://h/1",)),
        ("words", "a", Operator.EQ, ("a",)),
    ],
)
def test_value_is_operator_and_operands(
    name: str, value: str, operator: Operator, operands: tuple[str | int | Version, ...]
) -> None:
    """A filter's value is taken apart as the contract's grammar says, and its operands are coerced like input."""
    found = only(name, value)
    assert (found.operator, found.operands) == (operator, operands)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "a:b"),
        ("text", "a:b:c"),
        ("text", "EQ:a"),
        ("text", "gt:a"),
        ("text", "and:or:a"),
        ("text", 'in:"a'),
        ("text", 'in:a"b'),
        ("text", 'in:"a"b'),
        ("text", 'in:a,"b'),
        ("choice", "cc"),
        ("number", "x"),
        ("number", "1.0"),
        ("number", "99999999999999999999"),
        ("number", "like:1"),
        ("flag", "neq:true"),
        ("name", ""),
        ("id", "no-uuid"),
        ("status", "gone"),
        ("version", "01.2.3"),
        ("version", "eq:latest"),
        ("version", "70000.0.0"),
        ("created_at", "1970-01-01"),
        ("created_at", "gte:1970-01-01"),
        ("created_at", "lt:yesterday"),
        ("description", "a"),
        ("data", "a"),
        ("link", "nowhere"),
        ("unknown", "a"),
        ("type_name", "samples"),
        ("", ""),
        ("tags", "eq:a"),
        ("tags", "or:in:a"),
        ("tags-any", "a:b"),
        ("pairs", "neq:k"),
        ("pairs", "gt:k"),
        ("pairs.k", "gt:1"),
        ("pairs.k", "x"),
        ("pairs.a.b", "1"),
        ("words.k", "a"),
        ("folder.k", "a"),
        ("folder", "neq:a"),
        ("text.k", "a"),
    ],
)
def test_refused_filter_names_its_parameter(name: str, value: str) -> None:
    """What is unknown, or does not fit the field, is refused by a sentence that names it."""
    with pytest.raises(BadRequest) as refused:
        query((name, value))
    assert name.partition(".")[0] in refused.value.message
    assert len(refused.value.message) > 20


@pytest.mark.parametrize(
    ("name", "value", "target", "key", "operator", "operands"),
    [
        ("pairs", "k", Target.KEY, None, Operator.EQ, ("k",)),
        ("open_pairs", 'in:k,"l,m"', Target.KEY, None, Operator.IN, ("k", "l,m")),
        ("pairs.k", "1", Target.VALUE, "k", Operator.EQ, (1,)),
        ("open_pairs.k", "gt:1", Target.VALUE, "k", Operator.GT, (1,)),
        ("metadata.k", "neq:v", Target.VALUE, "k", Operator.NEQ, ("v",)),
        ("folder", "k", Target.FOLDER, None, Operator.EQ, ("k",)),
        ("folder", "in:k,l", Target.FOLDER, None, Operator.IN, ("k", "l")),
        ("name", "n", Target.COLUMN, None, Operator.EQ, ("n",)),
        ("display_type_name", "like:S%", Target.TYPE, None, Operator.LIKE, ("S%",)),
    ],
)
def test_target_of_a_filter(
    name: str, value: str, target: Target, key: str | None, operator: Operator, operands: tuple[str | int, ...]
) -> None:
    """Dicts and folders are asked for keys, `dict.key` for the value below it, base fields for their column."""
    found = only(name, value)
    assert (found.target, found.item_key, found.operator, found.operands) == (target, key, operator, operands)


def test_unmarked_filters_all_hold_and_marked_ones_are_one_disjunction() -> None:
    """All `or:` filters are members of one disjunction, and those of tags together are one member."""
    found = query(("text", "a"), ("number", "or:1"), ("tags", "or:a,b"), ("name", "or:n"), ("tags-any", "or:c,d"))
    assert [item.field for item in found.filters] == ["text"]
    assert [[(item.field, item.operands) for item in member] for member in found.alternatives] == [
        [("number", (1,))],
        [("name", ("n",))],
        [("tags", ("a",)), ("tags", ("b",)), ("tags", ("c", "d"))],
    ]


def test_empty_tags_filter_nothing_and_empty_tags_any_everything() -> None:
    """`tags=` is no filter, `tags-any=` lets nothing through."""
    assert query(("tags", "")).plain
    (nothing,) = query(("tags-any", "")).filters
    assert nothing.operands == ()


def test_latest_is_asked_for_by_exactly_that_word() -> None:
    """`version=latest` is no filter on versions, and goes with other filters of the version."""
    found = query(("version", "latest"), ("version", "lt:2"))
    assert found.latest
    assert [item.operator for item in found.filters] == [Operator.LT]
    assert not found.plain


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (None, "-created_at id"),
        ("name", "-name -created_at id"),
        ("name:asc", "name -created_at id"),
        ("name:asc,version:desc", "name -version -created_at id"),
        ("created_at:asc", "created_at id"),
        ("id:desc,name", "-id"),
        ("name,name:asc", "-name -created_at id"),
        ("number:asc,name:asc", "number name -created_at id"),
    ],
)
def test_order_is_total_and_descending_unless_said(text: str | None, order: str) -> None:
    """Keys are descending by default, and the default order follows whatever is given."""
    found = query(*([] if text is None else [("sort", text)]))
    assert " ".join("-" * key.descending + key.field for key in found.sort) == order


@pytest.mark.parametrize(
    "text", ["", "unknown", "name,", "name:", "name:up", "name:ASC", "name:asc:desc", "choice", "tags", "text,number"]
)
def test_refused_order_names_sort(text: str) -> None:
    """An unknown or unsortable key, another direction, and a second key of the type's own are refused."""
    with pytest.raises(BadRequest, match="sort"):
        query(("sort", text))


def test_all_types_are_sorted_and_filtered_by_type_name() -> None:
    """The list of all types knows `type_name`, and none of the types' own fields."""
    found = parse_query(ALL, [("type_name", "like:im%"), ("sort", "type_name:asc")])
    assert found.filters[0].target is found.sort[0].target is Target.TYPE
    with pytest.raises(BadRequest, match="disk_format"):
        parse_query(ALL, [("disk_format", "raw")])


@pytest.mark.parametrize(("text", "limit"), [("0", 0), ("7", 7), ("1000", 1000), ("1001", 1000), ("9" * 9000, 1000)])
def test_limit_is_capped(text: str, limit: int) -> None:
    """A limit above the greatest is the greatest."""
    assert query(("limit", text)).limit == limit


def test_limits_are_settings() -> None:
    """The default and the greatest limit are the caller's."""
    assert query().limit == 25
    assert parse_query(SAMPLE, [], QueryLimits(default_page=5)).limit == 5
    assert parse_query(SAMPLE, [("limit", "50")], QueryLimits(max_page=10)).limit == 10
    assert parse_query(SAMPLE, [], QueryLimits(default_page=50, max_page=10)).limit == 10


def test_what_a_query_asks_of_the_database_is_bounded() -> None:
    """More conditions, or more values to compare with, than the settings allow are refused, tags and alternatives
    included.
    """
    limits = QueryLimits(max_conditions=3, max_values=4)
    parse_query(SAMPLE, [("name", "neq:a"), ("tags", "a,b")], limits)
    parse_query(SAMPLE, [("name", "in:a,b,c,d")], limits)
    for pairs in (
        [("name", "neq:a")] * 4,
        [("name", "or:a")] * 4,
        [("tags", "a,b,c,d")],
        [("name", "in:a,b,c,d,e")],
        [("tags-any", "a,b,c,d,e")],
    ):
        with pytest.raises(BadRequest, match=r"\[api\] max_filter"):
            parse_query(SAMPLE, pairs, limits)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "x", "+1", "1_0", "٣"])
def test_limit_that_is_no_number_is_refused(text: str) -> None:
    """A limit is written in plain digits."""
    with pytest.raises(BadRequest, match="limit"):
        query(("limit", text))


@pytest.mark.parametrize("name", ["limit", "marker", "sort"])
def test_paging_parameters_are_given_once(name: str) -> None:
    """A second limit, marker or sort is refused, not ignored."""
    value = {"limit": "1", "marker": "m", "sort": "name"}[name]
    with pytest.raises(BadRequest, match=name):
        query((name, value), (name, value))


def test_empty_marker_is_a_marker() -> None:
    """An empty marker is kept, so that it can be found to be nothing."""
    assert query(("marker", "")).marker == ""
    assert query().marker is None


def test_links_keep_repeated_parameters() -> None:
    """`first` and `next` keep each filter, also repeated ones, and only the marker differs."""
    pairs = [("number", "gt:1"), ("number", "lt:9"), ("marker", "old"), ("sort", "name:asc"), ("limit", "2")]
    assert first_link("/artifacts/t", pairs) == "/artifacts/t?number=gt%3A1&number=lt%3A9&sort=name%3Aasc&limit=2"
    assert next_link("/artifacts/t", pairs, "new") == first_link("/artifacts/t", pairs) + "&marker=new"
    assert first_link("/artifacts/t", [("marker", "old")]) == "/artifacts/t"


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_links_survive_decoding(pairs: list[tuple[str, str]]) -> None:
    """Whatever a query holds, `next` decodes to the same pairs and the marker."""
    kept = [pair for pair in pairs if pair[0] != "marker"]
    decoded = parse_qsl(urlsplit(next_link("/a", pairs, "m")).query, keep_blank_values=True)
    assert decoded == [*kept, ("marker", "m")]


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\\"), max_size=20), min_size=1))
def test_quoted_items_come_back_as_they_were(items: list[str]) -> None:
    """Any text is an item of `in:` when it is quoted and its quotes are escaped."""
    escaped = ",".join('"' + item.replace('"', '\\"') + '"' for item in items)
    assert only("text", f"in:{escaped}").operands == tuple(items)
