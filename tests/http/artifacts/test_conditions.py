"""Conditional requests and ranges, as RFC 9110 has them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.errors import RangeNotSatisfiable
from glare.http.conditions import parse_range, parse_tags


@pytest.mark.parametrize(
    ("header", "strong", "weak"),
    [
        ('"a"', {"a"}, set()),
        ('"a", W/"b" , "c,d"', {"a", "c,d"}, {"b"}),
        ('W/"x"', set(), {"x"}),
        ("nonsense", set(), set()),
        ("", set(), set()),
    ],
)
def test_tags_are_told_apart(header: str, strong: set[str], weak: set[str]) -> None:
    """Strong and weak entity tags of a header are separate sets, and what is malformed names nothing."""
    tags = parse_tags(header)
    assert tags is not None
    assert set(tags.strong) == strong
    assert set(tags.weak) == weak
    assert not tags.any


def test_weak_tags_match_only_weakly() -> None:
    """If-None-Match accepts a weak tag, If-Match never does; a star matches everything."""
    weak, star = parse_tags('W/"a"'), parse_tags(" * ")
    assert weak is not None
    assert star is not None
    assert weak.match_weakly("a")
    assert not weak.match_strongly("a")
    assert star.match_strongly("b")
    assert star.match_weakly("b")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=5-", (5, 99)),
        ("bytes=-1", (99, 99)),
        ("bytes=-1000", (0, 99)),
        ("bytes=90-1000", (90, 99)),
        ("Bytes = 3-4", (3, 4)),
        ("bytes=4-3", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=", None),
    ],
)
def test_ranges_of_a_hundred_bytes(header: str, expected: tuple[int, int] | None) -> None:
    """One satisfiable range is served; several, another unit or bad syntax mean the whole content."""
    assert parse_range(header, None, "tag", 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_range_without_a_byte_is_refused(header: str) -> None:
    """A range that holds no byte is not satisfiable, and the error tells the size."""
    with pytest.raises(RangeNotSatisfiable) as refused:
        parse_range(header, None, "tag", 100)
    assert refused.value.size == 100


@pytest.mark.parametrize(("condition", "served"), [('"tag"', True), ('W/"tag"', False), ('"other"', False)])
def test_if_range_wants_the_same_strong_tag(condition: str, served: bool) -> None:
    """A range is served only of the content that If-Range names."""
    assert (parse_range("bytes=0-1", condition, "tag", 100) is not None) is served


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 150))
def test_served_range_lies_within_the_content(first: int, last: int, size: int) -> None:
    """Whatever is asked for, what is served starts where asked and ends within the content."""
    try:
        span = parse_range(f"bytes={first}-{last}", None, "tag", size)
    except RangeNotSatisfiable:
        assert first >= size
        return
    if last < first:
        assert span is None
    else:
        assert span == (first, min(last, size - 1))


@pytest.mark.parametrize("spaces", ["x{}x", '"a"{}x', '"a",{}"b"{}x', "W/{}W/"])
def test_long_runs_of_spaces_between_tags_cost_little(spaces: str) -> None:
    """The time that a header of entity tags takes grows with its length, not with the square of it."""
    header = spaces.format(*[" " * 30_000] * spaces.count("{}"))
    began = time.process_time()
    parse_tags(header)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("spaces", ["bytes=1-{}x", "bytes={}1-{}x", "bytes=1{}-{}x", "bytes{}={}-{}x", "bytes=-{}1x"])
def test_long_runs_of_spaces_in_a_range_cost_little(spaces: str) -> None:
    """The time that a Range header takes grows with its length, not with the square of it."""
    header = spaces.format(*[" " * 30_000] * spaces.count("{}"))
    began = time.process_time()
    assert parse_range(header, None, "tag", 10) is None
    assert time.process_time() - began < 1
