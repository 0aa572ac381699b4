from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.settings.units import parse_duration, parse_size, show_duration, show_size


@given(st.integers(0, 10**9))
def test_a_duration_is_shown_as_it_can_be_read(seconds: int) -> None:
    """What is shown for a duration reads back as the same."""
    assert parse_duration(show_duration(seconds)) == seconds


@given(st.integers(0, 2**53))
def test_a_size_is_shown_as_it_can_be_read(size: int) -> None:
    """What is shown for a size reads back as the same."""
    assert parse_size(show_size(size)) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5 h", 5400), ("30d", 2592000), ("250 ms", 0.25), ("2w", 1209600)]
)
def test_durations_are_read_in_common_units(text: str, seconds: float) -> None:
    """A number without a unit is seconds; the usual units may follow."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("-1", -1), ("10", 10), ("64KiB", 65536), ("2 GB", 2 * 10**9), ("1.5 kib", 1536)]
)
def test_sizes_are_read_in_common_units(text: str, size: int) -> None:
    """A number without a unit is bytes; powers of 1000 and of 1024 are told apart."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "10 KiB", "5 M", "1e3", "5 years", "--1", "1 2", "inf", "nan"])
def test_other_durations_are_refused(text: str) -> None:
    """What is no number with a unit of time is refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "x", "10 s", "1e3", "0.3 B", "٣"])
def test_other_sizes_are_refused(text: str) -> None:
    """What is no whole number of bytes is refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_size(text)
