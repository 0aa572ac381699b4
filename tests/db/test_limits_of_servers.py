"""Servers that grant few connections, that fall silent, and that are asked for too much."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, make_url, select, text, update
from sqlalchemy.pool import NullPool

from glare.db.engine import Database, OutcomeUnknown
from glare.db.tables import quotas
from glare.errors import Unavailable
from support.databases import KIND, database_of
from support.origins.relay import Relay

pytestmark = pytest.mark.server

ROLE = f"glare_few_{os.getpid()}"
GRANTED = 2


@pytest.fixture
def url(tmp_path: Path) -> str:
    return database_of(tmp_path)


@pytest.fixture
def few(url: str) -> Iterator[str]:
    """URL of the database for a user that is granted two connections."""
    mine = make_url(url)
    if KIND == "postgresql":
        before = [
            f"CREATE ROLE {ROLE} LOGIN PASSWORD 'few' CONNECTION LIMIT {GRANTED}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}",
        ]
        after = [f"DROP OWNED BY {ROLE}", f"DROP ROLE {ROLE}"]
    else:
        user = f"{ROLE}@'127.0.0.1'"
        before = [
            f"CREATE USER {user} IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS {GRANTED}",
            f"GRANT ALL ON {mine.database}.* TO {user}",
        ]
        after = [f"DROP USER {user}"]
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    def tell(statements: list[str]) -> None:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    tell(before)
    yield mine.set(username=ROLE, password="few").render_as_string(hide_password=False)
    tell(after)


def add(connection: Connection) -> bool:
    connection.execute(update(quotas).values(value=quotas.c.value + 1))
    return True


def counter(database: Database) -> int:
    with database.read() as connection:
        value: int = connection.execute(select(quotas.c.value)).scalar_one()
    return value


def with_counter(database: Database) -> Database:
    database.transact(lambda connection: connection.execute(quotas.insert().values(project="p", name="n", value=0)))
    return database


def test_fewer_connections_than_wanted_serve_all(few: str) -> None:
    """Ten threads share the two connections that their user is granted, and all of their changes happen."""
    database = with_counter(Database(few, pool_size=10, busy_timeout=30))
    held, go_on = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        with database.read():
            held.release()
            go_on.wait(30)

    holders = [threading.Thread(target=hold) for _ in range(GRANTED)]
    failures: list[BaseException] = []

    def change() -> None:
        try:
            for _ in range(3):
                database.transact(add)
        except BaseException as error:
            failures.append(error)
            raise

    for holder in holders:
        holder.start()
        assert held.acquire(timeout=30)
    threads = [threading.Thread(target=change) for _ in range(10)]
    for thread in threads:
        thread.start()
    go_on.set()
    for thread in (*threads, *holders):
        thread.join()
    limit = database.engine.pool.limit  # type: ignore[attr-defined]  # the pool is ours
    assert (failures, counter(database), limit) == ([], 30, GRANTED)
    database.dispose()


def test_waiting_in_vain_names_the_reason(few: str) -> None:
    """A request that gets none of the few connections says in its own line that there are too many."""
    database = Database(few, pool_size=10, busy_timeout=0.3)
    names = pytest.raises(Unavailable, match=r"2 connections that the database grants .*too many connections")
    with database.read(), database.read(), names:
        counter(database)
    database.dispose()


def test_other_processes_that_take_all_are_waited_for(few: str) -> None:
    """A process that is granted no connection at all says so, and works as soon as others let go."""
    other, database = Database(few, pool_size=2, busy_timeout=1), Database(few, pool_size=10, busy_timeout=1)
    with other.read(), other.read(), pytest.raises(Unavailable, match="too many connections"):
        counter(database)
    other.dispose()
    with_counter(database)
    assert counter(database) == 0
    database.dispose()


@pytest.fixture
def relay(url: str) -> Iterator[Relay]:
    """The server, behind something that a test silences."""
    parsed = make_url(url)
    with Relay((parsed.host or "", parsed.port or 0)) as relay:
        relay.restore()
        yield relay


def behind(relay: Relay, url: str) -> Database:
    here = make_url(url).set(host="127.0.0.1", port=relay.port).render_as_string(hide_password=False)
    return with_counter(Database(here, pool_size=4, busy_timeout=2, answer_timeout=1))


def test_a_silent_server_is_given_up_and_comes_back(url: str, relay: Relay) -> None:
    """What waits for a server that has fallen silent ends after `answer_timeout`; when it speaks again the same pool
    works.
    """
    database = behind(relay, url)
    relay.silence_target()
    with pytest.raises(Unavailable, match="fallen silent"):
        counter(database)
    relay.restore()
    assert counter(database) == 0
    database.transact(add)
    assert counter(database) == 1
    database.dispose()


def test_a_commit_into_silence_is_unknown(url: str, relay: Relay) -> None:
    """A server that falls silent at the commit leaves the outcome unknown, and the caller learns that."""
    database = behind(relay, url)

    def work(connection: Connection) -> None:
        add(connection)
        relay.silence_target()

    with pytest.raises(OutcomeUnknown):
        database.transact(work)
    database.dispose()


def test_threads_are_not_kept_by_a_silent_server(url: str, relay: Relay) -> None:
    """While one request waits for the server that has fallen silent, the others are told at once."""
    database = behind(relay, url)
    relay.silence_target()
    with pytest.raises(Unavailable):
        counter(database)
    trying = threading.Event()
    create = database.engine.pool._create_connection

    def connecting() -> object:
        trying.set()
        return create()

    database.engine.pool._create_connection = connecting  # type: ignore[method-assign,assignment]  # to see its tries
    outcomes: list[str] = []

    def look() -> None:
        with pytest.raises(Unavailable) as reported:
            counter(database)
        outcomes.append(reported.value.message)

    first = threading.Thread(target=look)
    first.start()
    assert trying.wait(30)
    look()
    assert first.is_alive()
    first.join()
    assert all("silent" in outcome for outcome in outcomes)
    database.dispose()


def test_a_statement_that_takes_too_long_is_stopped(url: str) -> None:
    """The server itself ends a statement after `statement_timeout`, and the connection works on."""
    database = Database(url, pool_size=1, busy_timeout=5, statement_timeout=0.3, answer_timeout=20)
    sleep = "SELECT pg_sleep(30)" if KIND == "postgresql" else "SELECT SLEEP(30)"
    with pytest.raises(Unavailable, match=r"one statement for 0\.3 s"), database.read() as connection:
        connection.execute(text(sleep))
    with database.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    database.dispose()
