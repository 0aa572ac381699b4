"""Keys that stand for several texts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.db.keys import scope_of, slot_id, uniqueness
from glare.domain.artifact import Visibility

texts = st.text(max_size=3)


def test_public_artifacts_share_one_scope() -> None:
    """Whoever owns it, a public artifact is in the scope of all public ones, which is no project's."""
    assert scope_of(Visibility.PUBLIC, "a") == scope_of(Visibility.PUBLIC, "b") == "public"
    assert re.fullmatch("[0-9a-f]{32}", scope_of(Visibility.PRIVATE, "public"))


@given(texts, texts)
def test_private_scopes_are_those_of_projects(one: str, other: str) -> None:
    """Two projects share a private scope only when they are one."""
    assert (scope_of(Visibility.PRIVATE, one) == scope_of(Visibility.PRIVATE, other)) is (one == other)


@given(st.tuples(texts, texts, texts, texts), st.tuples(texts, texts, texts, texts))
def test_uniqueness_mixes_nothing_up(one: tuple[str, str, str, str], other: tuple[str, str, str, str]) -> None:
    """Different names, versions, types or scopes never make one key, wherever one text ends and the next begins."""
    assert (uniqueness(*one) == uniqueness(*other)) is (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "bc", "d"), ("ab", "c", "d")), (("a", "b", None), ("a", "b", "")), (("a", "b", None), ("a", "b", "-;"))],
)
def test_slots_differ(one: tuple[str, str, str | None], other: tuple[str, str, str | None]) -> None:
    """A field without a key, one with an empty key, and shifted texts are different slots."""
    assert slot_id(*one) != slot_id(*other)
    assert re.fullmatch("[0-9a-f]{64}", slot_id(*one))
