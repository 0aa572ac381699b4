"""The writer's turn of SQLite: fair between parties, and between processes."""

from __future__ import annotations

import sqlite3
import threading
from contextvars import copy_context
from pathlib import Path

import pytest
from sqlalchemy import Connection

from glare.context import PARTY
from glare.db.dialects import sqlite
from glare.db.dialects.turns import ASK_EVERY, NAME, Turns
from glare.db.engine import Database
from glare.db.tables import quotas
from glare.errors import Unavailable
from glare.shares import Party
from support.databases import database_of

pytestmark = pytest.mark.sqlite


@pytest.fixture
def url(tmp_path: Path) -> str:
    return database_of(tmp_path)


def put(connection: Connection, name: str) -> None:
    connection.execute(quotas.insert().values(project="p", name=name, value=0))


def test_many_writers_of_one_project_delay_another_by_a_change_or_two(url: str) -> None:
    """A project that comes while two dozen writers of another one wait has its turn after one of them, at most."""
    database = Database(url, pool_size=30, busy_timeout=60)
    order: list[str] = []

    def write(project: str) -> None:
        PARTY.set(Party.project(project))
        database.transact(lambda connection: put(connection, f"{project}{len(order)}"))
        order.append(project)

    def start(project: str) -> threading.Thread:
        waiting = database._turns._shares.waiting
        thread = threading.Thread(target=lambda: copy_context().run(write, project))
        thread.start()
        pause = threading.Event()
        for _ in range(2000):
            if database._turns._shares.waiting > waiting:
                return thread
            pause.wait(0.005)
        pytest.fail("it does not wait for its turn")

    held = PARTY.set(Party.project("heavy"))
    with database.write():
        threads = [start("heavy") for _ in range(24)]
        threads.append(start("light"))
    PARTY.reset(held)
    for thread in threads:
        thread.join()
    assert "light" in order[:2]
    database.dispose()


def test_refusals_are_counted(url: str) -> None:
    """Whoever waits for the turn in vain is refused, with the name of the bound."""
    database = Database(url, pool_size=2, busy_timeout=0.05)
    reported: list[tuple[str, str]] = []
    database.refused = lambda what, reason: reported.append((what, reason))
    with database.write(), pytest.raises(Unavailable) as refused, database.write():
        pytest.fail("the turn is taken")
    assert (reported, refused.value.retry_after) == ([(NAME, "time")], 1)
    database.dispose()


def test_a_process_leaves_gaps(url: str) -> None:
    """After a quarter of a second of changes in a row a process leaves a gap, and none where it pauses by itself."""
    now = 0.0
    gaps: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        gaps.append(now)

    turns = Turns(1, lambda *_: None, clock=lambda: now, sleep=sleep)
    for _ in range(100):
        with turns.take():
            now += 0.01
    assert len(gaps) == 3
    gaps.clear()
    for _ in range(100):
        now += 0.02
        with turns.take():
            now += 0.01
    assert gaps == []


def test_the_lock_of_the_file_is_asked_for_often(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process has the file's lock this one asks more often than the gaps that others leave are long."""
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    slept: list[float] = []

    class Time:
        """Lets go of the lock after some tries."""

        @staticmethod
        def monotonic() -> float:
            return 0.0

        @staticmethod
        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 5:
                other.execute("ROLLBACK")

    monkeypatch.setattr(sqlite, "time", Time)
    database = Database(url, pool_size=1, busy_timeout=30)
    with database.write() as connection:
        put(connection, "n")
    assert slept == [ASK_EVERY] * 5
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    database.dispose()
    other.close()
