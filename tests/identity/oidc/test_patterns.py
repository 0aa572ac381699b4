"""Patterns for the values of claims."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.identity.oidc.patterns import MAX_VALUE, Pattern


@pytest.mark.parametrize(
    ("pattern", "value", "found"),
    [
        ("refs/heads/main", "refs/heads/main", ()),
        ("refs/heads/main", "refs/heads/mainly", None),
        ("refs/heads/main", "x/refs/heads/main", None),
        ("refs/heads/*", "refs/heads/main", ("main",)),
        ("refs/heads/*", "refs/heads/a/b", None),
        ("refs/heads/**", "refs/heads/a/b", ("a/b",)),
        ("refs/heads/*", "refs/heads/", ("",)),
        ("/glare/*/*", "/glare/imaging/member", ("imaging", "member")),
        ("/glare/*/*", "/glare/imaging", None),
        ("**/main", "a/b/main", ("a/b",)),
        ("*-*", "a-b-c", ("a", "b-c")),
        ("Main", "main", None),
        ("a.c", "abc", None),
        ("[ab]", "a", None),
        ("*", "line\nbreak", ("line\nbreak",)),
    ],
)
def test_a_pattern_covers_the_whole_value(pattern: str, value: str, found: tuple[str, ...] | None) -> None:
    """Stars are the only signs with a meaning; one star ends at a slash; capitals count."""
    assert Pattern.of(pattern).match(value) == found


@pytest.mark.parametrize("text", ["", "***", "a***b", "*a" * 9, "x" * 513])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    """Empty, with three stars, with too many, or too long."""
    with pytest.raises(ValueError, match=r"has"):
        Pattern.of(text)


@given(st.text("ab/*", min_size=1, max_size=12), st.text("ab/", max_size=16))
def test_matching_is_that_of_the_equal_expression(text: str, value: str) -> None:
    """Compared with the expression that the pattern stands for."""
    try:
        pattern = Pattern.of(text)
    except ValueError:
        return
    parts = re.findall(r"\*\*|\*|[^*]+", text)
    wild = {"*": "([^/]*?)", "**": "(.*?)"}
    expression = "".join(wild.get(part, re.escape(part)) for part in parts)
    expected = re.fullmatch(expression, value, re.DOTALL)
    assert pattern.match(value) == (None if expected is None else expected.groups())


def test_a_value_that_would_cost_an_expression_for_ever_is_looked_at_once() -> None:
    """Eight wildcards over the longest value: each place of the value is looked at once for each part."""
    pattern = Pattern.of("**a" * 8)
    assert pattern.match("a" * (MAX_VALUE - 1) + "b") is None
    assert len(pattern.parts) == 16
    assert fnmatch.fnmatchcase("a" * 30, "*a" * 8)
    assert pattern.match("a" * (MAX_VALUE + 1)) is None, "a longer one matches nothing"
