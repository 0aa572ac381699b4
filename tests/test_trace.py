"""Trace contexts as callers send them, by the grammar of the W3C."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.trace import Trace, kept, received

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "parent",
    [PARENT, PARENT[:-2] + "00", PARENT[:-2] + "03"],
)
def test_a_valid_parent_is_handed_on_unchanged(parent: str) -> None:
    """Of the version that is known every character stays, flags included."""
    trace = received([parent], [])
    assert trace is not None
    assert (trace.parent, trace.trace_id) == (parent, "4bf92f3577b34da6a3ce929d0e0e4736")
    assert trace.headers == {"traceparent": parent}


@pytest.mark.parametrize(
    "parent",
    [
        "",
        PARENT.upper(),
        PARENT + "-more",
        PARENT[:-1],
        PARENT[:-3],
        " " + PARENT,
        PARENT + " ",
        PARENT.replace("-", "_"),
        "ff" + PARENT[2:],
        "0" + PARENT[1:3].replace("0", "g") + PARENT[3:],
        PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
        "01" + PARENT[2:] + "x",
        PARENT.replace("4", "\u0664"),
    ],
)
def test_a_parent_that_is_none_starts_no_trace(parent: str) -> None:
    """What breaks the grammar, or names nothing, is as if it were not there, and so is its state."""
    assert received([parent], ["a=1"]) is None


def test_two_parents_are_none() -> None:
    """Which of the two would be true, nobody can tell."""
    assert received([PARENT, PARENT], []) is None
    assert received([], ["a=1"]) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """Of a version to come the first four parts hold, and it is handed on in the form and with the flag of this one."""
    trace = received(["cc" + PARENT[2:-2] + "0f-what-the-future-will-be-like"], ["a=1"])
    assert trace == Trace(PARENT, "a=1")


@pytest.mark.parametrize(
    ("states", "kept_state"),
    [
        (["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (["a=1 ,\tb=2", "", "c=3"], "a=1,b=2,c=3"),
        (["1tenant@vendor=x:y;z"], "1tenant@vendor=x:y;z"),
        (["a= b"], "a= b"),
        ([",".join(f"k{number}=1" for number in range(32))], ",".join(f"k{number}=1" for number in range(32))),
        ([",".join(f"k{number}=1" for number in range(33))], ""),
        (["a=1,a=2"], ""),
        (["A=1"], ""),
        (["a=1,b"], ""),
        (["a=" + "x" * 257], ""),
        (["a=\x7f"], ""),
        (["a=1=2"], ""),
        (["a=b\nc"], ""),
        (["a=\u00e9"], ""),
        (["," * 5000], ""),
    ],
)
def test_a_state_keeps_its_members_or_goes(states: list[str], kept_state: str) -> None:
    """Fields that are sent apart are one list; a list that breaks the grammar is dropped, and the parent stays."""
    trace = received([PARENT], states)
    assert trace == Trace(PARENT, kept_state)


def test_a_long_state_loses_long_members_first() -> None:
    """Up to 512 characters are kept: long members go first, then those at the end, which are the oldest."""
    short = [f"k{number}={'x' * 20}" for number in range(12)]
    long = f"long={'y' * 240}"
    trace = received([PARENT], [",".join([short[0], long, *short[1:]])])
    assert trace == Trace(PARENT, ",".join(short))
    many = [f"k{number:02d}={'x' * 30}" for number in range(20)]
    trace = received([PARENT], [",".join(many)])
    assert trace is not None
    assert len(trace.state) <= 512 < len(trace.state) + 1 + len(many[0])
    assert trace.state == ",".join(many[: trace.state.count(",") + 1])


@given(st.lists(st.text(max_size=80), max_size=3), st.lists(st.text(max_size=600), max_size=3))
def test_whatever_comes_is_bounded(parents: list[str], states: list[str]) -> None:
    """No header makes it raise, and what is kept fits into its column and says the same when it is read again."""
    for given_parents in (parents, [PARENT]):
        trace = received(given_parents, states)
        if trace is not None:
            assert len(trace.text) <= 568
            assert trace.text.isascii()
            assert trace.text.isprintable()
            assert kept(trace.text, None) == trace


def test_nothing_kept_is_no_trace() -> None:
    """Rows from before, and those that belong to no trace, have none."""
    assert kept(None, "p") is None
