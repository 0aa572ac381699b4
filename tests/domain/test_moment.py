"""Times are read with their offset and shown in UTC."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.domain import moment


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("2030-01-31T12:00:00Z", "2030-01-31T12:00:00Z"),
        ("2030-01-31T12:00:00", "2030-01-31T12:00:00Z"),
        ("2030-01-31T12:00:00.9Z", "2030-01-31T12:00:00Z"),
        ("2030-01-31T12:00:00+02:00", "2030-01-31T10:00:00Z"),
        ("2030-01-31", "2030-01-31T00:00:00Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
    ],
)
def test_offsets_are_converted(text: str, document: str) -> None:
    """A time is converted to UTC by its offset (quirk 44), and UTC is meant where there is none."""
    assert moment.text(moment.read(text)) == document


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_whole_seconds_survive(seconds: int) -> None:
    """Every second of the calendar is shown as text that means the same second."""
    assert moment.read(moment.text(seconds * 1_000_000)) == seconds * 1_000_000
