"""Keeping attempts alive."""

from __future__ import annotations

import threading
import time

import pytest

from glare.operations.heartbeats import Heartbeats


def test_attempts_are_kept_alive_only_inside_their_block() -> None:
    """Each beat names the attempts that are running, and none that has ended."""
    heard: list[list[str]] = []
    beaten = threading.Semaphore(0)

    def beat(ids: list[str]) -> None:
        heard.append(ids)
        beaten.release()

    heartbeats = Heartbeats(beat, 0.01)
    with heartbeats.keep("one"), heartbeats.keep("two"):
        assert beaten.acquire(timeout=5)
        with heartbeats.keep("three"):
            pass
    ended = len(heard)
    time.sleep(0.05)
    heartbeats.stop()
    assert heard[0] == ["one", "two"]
    assert heard[ended + 1 :] == []


def test_attempts_of_stuck_threads_are_left_out() -> None:
    """While a thread is stuck its attempts are not said to be alive, those of others are."""
    heard: list[list[str]] = []
    stuck: set[int] = set()
    beaten = threading.Semaphore(0)

    def beat(ids: list[str]) -> None:
        heard.append(ids)
        beaten.release()

    heartbeats = Heartbeats(beat, 0.01, lambda: stuck)
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with heartbeats.keep("other"):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(5)
    stuck.add(threading.get_ident())
    with heartbeats.keep("mine"):
        for _ in range(2):
            assert beaten.acquire(timeout=5)
    leave.set()
    thread.join()
    heartbeats.stop()
    assert {tuple(ids) for ids in heard} == {("other",)}


def test_failing_beat_does_not_end_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """A database that fails once is asked again."""
    again = threading.Event()
    calls: list[int] = []

    def beat(ids: list[str]) -> None:
        calls.append(len(ids))
        if len(calls) == 1:
            raise OSError("gone")
        again.set()

    heartbeats = Heartbeats(beat, 0.01)
    with heartbeats.keep("one"):
        assert again.wait(5)
    heartbeats.stop()
    assert "heartbeat failed" in caplog.text
