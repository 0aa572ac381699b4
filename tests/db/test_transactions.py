"""What becomes of transactions that a server undoes, or whose connection breaks: nothing is lost, and nothing happens
twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from glare.db.dialects import marks
from glare.db.engine import Database, OutcomeUnknown
from glare.db.tables import marks as table
from glare.db.tables import quotas
from glare.errors import Conflict, Unavailable
from support.conversation import eventually
from support.databases import database_of
from support.origins.torn import COMMIT, Torn

pytestmark = pytest.mark.server


@pytest.fixture
def torn(tmp_path: Path) -> Iterator[Torn]:
    with Torn(database_of(tmp_path)) as proxy:
        yield proxy


@pytest.fixture
def database(torn: Torn) -> Iterator[Database]:
    """A database behind the proxy, with a counter in each of two rows."""
    database = Database(torn.url, pool_size=4, busy_timeout=2)
    database.transact(
        lambda connection: connection.execute(
            quotas.insert(), [{"project": "p", "name": name, "value": 0} for name in ("a", "b")]
        )
    )
    yield database
    database.dispose()


def add(connection: Connection, name: str) -> bool:
    connection.execute(update(quotas).where(quotas.c.name == name).values(value=quotas.c.value + 1))
    return True


def values(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.execute(select(quotas.c.value).order_by(quotas.c.name)).scalars())


def test_a_deadlock_is_tried_again(database: Database) -> None:
    """Two transactions that wait for each other both happen, once each; the one that was undone ran again."""
    both = threading.Barrier(2, timeout=10)
    runs: list[str] = []

    def work(connection: Connection, first: str, second: str) -> None:
        runs.append(first)
        add(connection, first)
        if len(runs) <= 2:
            both.wait()
        add(connection, second)

    threads = [
        threading.Thread(target=database.transact, args=(lambda connection, pair=pair: work(connection, *pair),))
        for pair in (("a", "b"), ("b", "a"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(database) == [2, 2]
    assert len(runs) == 3


def test_a_collision_is_tried_again(database: Database) -> None:
    """A row that another transaction makes at the same moment is seen by the next try, which then need not make it."""
    tries = 0

    def ensure(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        there = connection.execute(select(quotas.c.value).where(quotas.c.name == "c")).first()
        if there is None:
            if tries == 1:
                database.transact(lambda other: other.execute(quotas.insert().values(project="p", name="c", value=7)))
            connection.execute(quotas.insert().values(project="p", name="c", value=1))

    database.transact(ensure)
    assert (values(database), tries) == ([0, 0, 7], 2)


def test_a_connection_that_breaks_in_a_statement_is_no_matter(database: Database, torn: Torn) -> None:
    """A transaction whose connection breaks before its commit is run again, and happens once."""
    torn.cut_at(b"UPDATE quotas", delivered=False)
    database.transact(lambda connection: add(connection, "a"))
    assert (values(database), torn.cuts) == ([1, 0], 1)


def test_connections_that_broke_while_idle_are_replaced(database: Database, torn: Torn) -> None:
    """What broke in the pool is noticed before it is used."""
    torn.cut_all()
    assert values(database) == [0, 0]


@pytest.mark.parametrize("delivered", [False, True], ids=["before", "after"])
def test_a_commit_whose_answer_is_lost_is_looked_up(database: Database, torn: Torn, delivered: bool) -> None:
    """A transaction that can tell whether it happened happens once, whichever side of the commit the connection broke
    on.
    """
    torn.cut_at(COMMIT, delivered=delivered)

    def done(connection: Connection) -> bool | None:
        return connection.execute(select(quotas.c.value).where(quotas.c.name == "a")).scalar_one() == 1 or None

    if delivered:
        # The server may still be at work on what nobody waits for.
        looks = iter([None, None])

        def look(connection: Connection) -> bool | None:
            next(looks, None)
            eventually(lambda: values(database) == [1, 0])
            return done(connection)

        assert database.transact(lambda connection: add(connection, "a"), done=look)
    else:
        assert database.transact(lambda connection: add(connection, "a"), done=done)
    assert (values(database), torn.cuts) == ([1, 0], 1)


def test_a_commit_that_lands_late_is_waited_for(database: Database, torn: Torn) -> None:
    """A commit that the server hears only after it was looked for happens once: as long as its session is there, it is
    not repeated.
    """
    late = threading.Event()
    torn.cut_at(COMMIT, late=late)
    runs = []

    def work(connection: Connection) -> bool:
        runs.append(1)
        return add(connection, "a")

    def done(connection: Connection) -> bool | None:
        found = connection.execute(select(quotas.c.value).where(quotas.c.name == "a")).scalar_one() == 1 or None
        late.set()  # It has been looked for, in vain the first time.
        return found

    assert database.transact(work, done=done)
    assert (values(database), len(runs), torn.cuts) == ([1, 0], 1, 1)


@pytest.mark.parametrize("raised", ["by the database", "by the work"])
def test_what_a_retry_meets_may_be_itself(
    database: Database, torn: Torn, monkeypatch: pytest.MonkeyPatch, raised: str
) -> None:
    """Where the session of a commit cannot be seen, behind a pooler, and the commit lands after it was looked for, the
    error that the retry makes is taken for what it is.
    """
    monkeypatch.setattr(database._dialect, "is_at_work", lambda *_: False)
    late = threading.Event()
    torn.cut_at(COMMIT, late=late)
    runs = []

    def is_there(connection: Connection) -> bool | None:
        return connection.execute(select(quotas.c.value).where(quotas.c.name == "c")).first() is not None or None

    def work(connection: Connection) -> bool:
        runs.append(1)
        if len(runs) == 2:
            late.set()
            eventually(lambda: values(database) == [0, 0, 1])
            if raised == "by the work":
                raise Conflict("It is there.")
        connection.execute(quotas.insert().values(project="p", name="c", value=1))
        return True

    assert database.transact(work, done=is_there)
    assert (values(database), len(runs)) == ([0, 0, 1], 2)


def test_a_commit_that_is_never_settled_is_said(
    database: Database, torn: Torn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server cannot tell in time what became of a commit, the caller learns that, and nothing is repeated."""
    monkeypatch.setattr(database._dialect, "is_at_work", lambda *_: True)
    torn.cut_at(COMMIT, delivered=False)
    with pytest.raises(OutcomeUnknown, match="look whether"):
        database.transact(lambda connection: add(connection, "a"), done=lambda _: None)
    assert values(database) == [0, 0]


@pytest.mark.parametrize("delivered", [False, True], ids=["before", "after"])
def test_a_commit_is_found_by_its_mark(database: Database, torn: Torn, delivered: bool) -> None:
    """Any transaction happens once, whichever side of the commit the connection broke on, and its result is that of
    the try that happened.
    """
    tries: list[int] = []

    def work(connection: Connection) -> int:
        add(connection, "a")
        tries.append(1)
        return len(tries)

    torn.cut_at(COMMIT, delivered=delivered)
    assert database.transact(work) == (1 if delivered else 2)
    assert (values(database), torn.cuts) == ([1, 0], 1)


def test_a_mark_keeps_a_late_commit_from_happening_twice(
    database: Database, torn: Torn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the session of a commit cannot be seen, and it lands after it was looked for, the retry finds the mark in
    its way; the result is that of the first try.
    """
    monkeypatch.setattr(database._dialect, "is_at_work", lambda *_: False)
    late = threading.Event()
    torn.cut_at(COMMIT, late=late)
    tries: list[int] = []

    def work(connection: Connection) -> int:
        tries.append(1)
        if len(tries) == 2:
            late.set()
            eventually(lambda: values(database) == [1, 0])
        add(connection, "a")
        return len(tries)

    assert database.transact(work) == 1
    assert (values(database), len(tries)) == ([1, 0], 2)


def test_marks_are_forgotten(database: Database) -> None:
    """The oldest first, and none that is younger than was said."""
    for _ in range(3):
        database.transact(lambda connection: add(connection, "a"))
    with database.read() as connection:
        made = sorted(connection.execute(select(table.c.id)).scalars())
    assert len(made) == 4
    before = int(made[2][:14], 16)
    assert database.transact(lambda connection: marks.forget(connection, before, 1)) == 1
    assert database.transact(lambda connection: marks.forget(connection, before, 10)) == 1
    with database.read() as connection:
        assert set(made[2:]) < set(connection.execute(select(table.c.id)).scalars())


def test_a_server_that_is_away_is_said_and_comes_back(database: Database, torn: Torn) -> None:
    """Without a server reads and changes end with a sentence; with it, the same pool works again."""
    torn.refuse(True)
    with pytest.raises(Unavailable, match="does not answer"):
        database.transact(lambda connection: add(connection, "a"))
    with pytest.raises(Unavailable, match="does not answer"):
        values(database)
    torn.refuse(False)
    database.transact(lambda connection: add(connection, "a"))
    assert values(database) == [1, 0]


def test_a_lock_that_is_held_too_long_is_said(database: Database) -> None:
    """A row that another transaction keeps locked is waited for, and then refused by a sentence with a remedy."""
    with database.write() as connection:
        add(connection, "a")
        with pytest.raises(Unavailable, match=r"2 s.*retry later"):
            database.transact(lambda other: add(other, "a"))
    assert values(database) == [1, 0]


def test_an_error_of_the_work_is_not_tried_again(database: Database) -> None:
    """What the work itself raises reaches the caller at once, and nothing of it stays."""
    tries = []

    def fail(connection: Connection) -> None:
        tries.append(1)
        add(connection, "a")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.transact(fail)
    assert (values(database), len(tries)) == ([0, 0], 1)
