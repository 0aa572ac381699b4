"""Which URLs are the same replica in other words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.domain.origins.replica_origin import normalised

SAME = (
    "https://a.example/b/c.raw",
    "http://a.example/b/c.raw",
    "https://A.Example:443/b/c.raw",
    "http://a.example:80/b/./c.raw",
    "https://a.example./b/x/../c.raw",
    "https://a.example/%62/c%2Eraw",
    "https://a.example/b/c.raw?",
    "https://a.example/../b/c.raw",
)


def test_spellings_of_one_url_are_one() -> None:
    """Case, ports, escapes, dots, an empty query and the scheme say nothing of where the bytes are."""
    assert {normalised(url) for url in SAME} == {"a.example/b/c.raw"}


@pytest.mark.parametrize(
    "other",
    [
        "https://b.example/b/c.raw",
        "https://a.example:8443/b/c.raw",
        "https://a.example/b/C.raw",
        "https://a.example/b//c.raw",
        "https://a.example/b/c.raw/",
        "https://a.example/b/c.raw?x=1",
        "https://a.example/b%2Fc.raw",
        "https://www.a.example/b/c.raw",
    ],
)
def test_what_may_be_another_file_is_another(other: str) -> None:
    """Nothing is taken for the same that a server may tell apart."""
    assert normalised(other) != normalised(SAME[0])


@given(st.text(st.sampled_from("ab/.%2Ef?&=:"), max_size=30))
def test_what_is_normalised_stays_so(rest: str) -> None:
    """It is the same once more, and no text raises."""
    once = normalised(f"https://a.example/{rest}")
    assert once.startswith("a.example/")
    if "%" not in once:  # An escape of a percent sign must not be read twice.
        assert normalised(f"https://{once}") == once
