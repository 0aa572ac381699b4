"""Versions are read leniently, written canonically, and sort by their keys."""

from __future__ import annotations

from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.domain.version import Version, parse


@pytest.mark.parametrize(
    ("given_value", "canonical"),
    [
        ("1.2.3", "1.2.3"),
        ("1", "1.0.0"),
        (1, "1.0.0"),
        ("1.0", "1.0.0"),
        (2.0, "2.0.0"),
        ("1.2.3.4", "1.2.3+4"),
        ("1.2.3.4.5", "1.2.3+4.5"),
        ("1:0", "1.0.0-0"),
        ("1.0.0-alpha_1", "1.0.0-alpha-1"),
        ("1.0.0-alpha.1+build.007", "1.0.0-alpha.1+build.007"),
        ("1.0.0+a+b", "1.0.0+a.b"),
        ("1.0.0alpha", "1.0.0-alpha"),
        ("1.2.3 ", "1.2.3"),
        ("65535.65535.65535-999999", "65535.65535.65535-999999"),
        ("1.0.0--1", "1.0.0--1"),
    ],
)
def test_versions_are_read_leniently(given_value: str | float, canonical: str) -> None:
    """What is missing becomes 0, further numbers become build metadata, foreign separators become dashes."""
    assert parse(given_value).text == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "v1",
        "-1",
        " 1.0",
        "True",
        "01.2.3",
        "1.02.3",
        "1.0.0-01",
        "1..2",
        "1.0.0-a..b",
        "1.0.0+a..b",
        "65536",
        "1.65536.0",
        "9" * 5000,
        "1.0.0-1234567",
        "1.0.0-" + "a" * 256,
        "1.0.0+" + "a" * 256,
        "\u0661.0.0",
    ],
)
def test_what_is_no_version_is_refused(text: str) -> None:
    """Bad starts, leading zeros, empty parts and parts beyond the limits are refused, whatever their size (quirk
    34).
    """
    with pytest.raises(ValueError, match=r"; (give|shorten|remove|its numbers)"):
        parse(text)


IDENTIFIER = st.text("09aAzZ-", min_size=1, max_size=6).filter(
    lambda text: not text.isdecimal() or str(int(text)) == text
)
VERSIONS = st.builds(
    Version,
    *[st.integers(0, 65535)] * 3,
    prerelease=st.lists(IDENTIFIER, max_size=4).map(tuple),
    build=st.lists(IDENTIFIER, max_size=2).map(tuple),
)


def precedes(one: Version, other: Version) -> bool:
    """Rule 11 of semver.org, word by word."""
    numbers, others = (one.major, one.minor, one.patch), (other.major, other.minor, other.patch)
    if numbers != others:
        return numbers < others
    if not one.prerelease or not other.prerelease:
        return bool(one.prerelease) and not other.prerelease
    for mine, theirs in zip_longest(one.prerelease, other.prerelease):
        if mine == theirs:
            continue
        if mine is None or theirs is None:
            return mine is None
        if mine.isdecimal() and theirs.isdecimal():
            return int(mine) < int(theirs)
        if mine.isdecimal() or theirs.isdecimal():
            return bool(mine.isdecimal())
        return bool(mine < theirs)
    return False


@given(VERSIONS, VERSIONS)
def test_keys_sort_as_versions_do(one: Version, other: Version) -> None:
    """For any two versions the keys compare by code point exactly as semver's precedence says."""
    assert (one.key < other.key) == precedes(one, other)
    assert (one.key == other.key) == (not precedes(one, other) and not precedes(other, one))


@given(VERSIONS)
def test_the_canonical_text_is_read_back(version: Version) -> None:
    """The canonical text of a version means the same version."""
    assert parse(version.text) == version


@pytest.mark.parametrize("suffix", [".".join("0" * 128), ".".join("a" * 128), "a" * 255, ".".join(["999999"] * 36)])
def test_texts_and_keys_fit_their_columns(suffix: str) -> None:
    """The longest versions have a text of at most 530 and a key of at most 600 ASCII characters."""
    version = parse(f"65535.65535.65535-{suffix}+{'b' * 255}")
    assert len(version.text) <= 530
    assert len(version.key) <= 600
    assert version.key.isascii()
