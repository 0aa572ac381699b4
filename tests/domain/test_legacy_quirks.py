"""The quirks that old clients rely on, each kept in one small function."""

from __future__ import annotations

from typing import Any

import pytest

from glare.domain.declared import legacy


@pytest.mark.parametrize("value", ["1", "t", "TRUE", "on", "Y", "yes", " true ", True, 1])
def test_words_for_true(value: Any) -> None:
    """Quirk 8: a few words mean true, in any case."""
    assert legacy.as_boolean(value) is True


@pytest.mark.parametrize("value", ["0", "false", "", "garbage", 0, 2, 1.0, False, [], [True], {}, {"true": True}])
def test_everything_else_is_false(value: Any) -> None:
    """Quirk 8: whatever is no word for true is false, and nothing is refused."""
    assert legacy.as_boolean(value) is False


@pytest.mark.parametrize(("value", "text"), [(1, "1"), (1.0, "1.0"), (True, "True"), (-0.5, "-0.5")])
def test_numbers_become_text(value: float, text: str) -> None:
    """Quirk 8: numbers and booleans become text as Python writes them."""
    assert legacy.as_text(value) == text


def test_null_is_read_as_the_default() -> None:
    """Quirk 9: null reads back as the default, and as null only where a field keeps it."""
    assert legacy.on_read(None, "x", keeps_null=False) == "x"
    assert legacy.on_read(None, "x", keeps_null=True) is None
    assert legacy.on_read("", "x", keeps_null=False) == ""


@pytest.mark.parametrize("value", [[], {}, "", 0, False])
def test_empty_values_are_set(value: Any) -> None:
    """Quirk 14: what is empty but not null satisfies activation."""
    assert legacy.is_set(value)
    assert not legacy.is_set(None)


def test_duplicates_vanish() -> None:
    """Quirk 18: duplicate tags vanish; of each the first keeps its place."""
    assert legacy.without_duplicates(["b", "a", "b", "c", "a"]) == ["b", "a", "c"]
