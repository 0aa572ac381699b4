"""The pool of connections: as many as the server grants, in the order of asking, and none that has died."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from glare.db.dialects.failures import Failure, Sizes
from glare.db.dialects.pool import Connections, NoneGranted, Silent


class Crowded(Exception):
    """The server grants no further connection."""


class Lost(Exception):
    """There is no server."""


class Driver:
    """A connection of a driver that talks to nobody."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.dead = False

    def close(self) -> None:
        self.server.open.remove(self)

    def rollback(self) -> None:
        return None


class Server:
    """A server that grants `most` connections. It is the pool's rules and its dialect too."""

    def __init__(self) -> None:
        self.most = 100
        self.open: list[Driver] = []
        self.asked = 0
        self.pings = 0
        self.is_away = False

    def connect(self) -> Driver:
        self.asked += 1
        if self.is_away:
            raise Lost
        if len(self.open) >= self.most:
            raise Crowded("too many connections for role")
        self.open.append(Driver(self))
        return self.open[-1]

    def failure(self, error: BaseException | None) -> Failure | None:
        if isinstance(error, Crowded):
            return Failure.CROWDED
        return Failure.LOST if isinstance(error, Lost) else None

    def descriptor(self, connection: Any) -> int | None:
        return None

    is_async = False
    has_terminate = False

    def do_ping(self, connection: Driver) -> bool:
        self.pings += 1
        return not connection.dead

    def do_close(self, connection: Driver) -> None:
        connection.close()

    do_terminate = do_close

    def do_rollback(self, connection: Driver) -> None:
        connection.rollback()

    def get_driver_connection(self, connection: Driver) -> Driver:
        return connection


class Clock:
    """A clock that a test sets. `patience` of pools under test is long in real seconds, so that waiting is never by
    chance.
    """

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(server: Server, clock: Clock) -> Iterator[Connections]:
    """A pool of four, whose waiters give up when the clock says so."""
    pool = made(server, clock, patience=60)
    yield pool
    pool.dispose()


def made(server: Server, clock: Callable[[], float], *, patience: float) -> Connections:
    return Connections(server.connect, server, Sizes(4, patience), clock, dialect=server)


def waits(pool: Connections, count: int) -> None:
    """Wait until so many stand in line."""
    done = threading.Event()
    for _ in range(2000):
        if f"{count} in line" in pool.status():
            return
        done.wait(0.005)
    pytest.fail(pool.status())


class Asking:
    """Threads that want a connection, and tell when they get one."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool
        self._threads: list[threading.Thread] = []
        self.got: list[str] = []

    def ask(self, name: str) -> None:
        def work() -> None:
            connection = self._pool.connect()
            self.got.append(name)
            connection.close()

        before = len(self._threads) - len(self.got)
        thread = threading.Thread(target=work)
        thread.start()
        self._threads.append(thread)
        waits(self._pool, before + 1)

    def finish(self) -> list[str]:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        return self.got


def test_a_refused_connection_is_waited_for(pool: Connections, server: Server) -> None:
    """Whoever is refused because there are too many gets one that is given back, and the pool knows its bound."""
    server.most = 2
    held = [pool.connect(), pool.connect()]
    asking = Asking(pool)
    asking.ask("third")
    assert (pool.limit, pool.in_use) == (2, 2)
    held.pop().close()
    assert asking.finish() == ["third"]
    held.pop().close()
    assert (len(server.open), pool.in_use) == (2, 0)


def test_the_server_is_not_asked_for_what_it_has_refused(pool: Connections, server: Server, clock: Clock) -> None:
    """Those in line do not ask a server that is full, until some time has passed; then one of them does."""
    server.most = 1
    held = pool.connect()
    asking = Asking(pool)
    for name in ("first", "second", "third"):
        asking.ask(name)
    assert server.asked == 2
    server.most = 4
    clock.now += 6
    held.close()
    assert sorted(asking.finish()) == ["first", "second", "third"]
    again = [pool.connect() for _ in range(4)]
    assert (pool.limit, len(server.open)) == (4, 4)
    for connection in again:
        connection.close()


def test_a_server_that_grants_none_is_asked_again(server: Server) -> None:
    """While this process has no connection at all, nobody will give one back: it asks again soon, and gets one when
    others let go.
    """
    server.most = 0
    refused = threading.Event()
    connect = server.connect

    def connecting() -> Driver:
        try:
            return connect()
        except Crowded:
            refused.set()
            raise

    server.connect = connecting  # type: ignore[method-assign]  # to see when it was asked
    pool = Connections(connecting, server, Sizes(4, 60), dialect=server)
    got: list[bool] = []
    thread = threading.Thread(target=lambda: got.append(pool.connect().is_valid))
    thread.start()
    assert refused.wait(30)
    server.most = 1
    thread.join(30)
    assert (got, pool.limit) == ([True], 1)
    pool.dispose()


def test_waiting_for_nothing_says_how_many_are_granted(server: Server) -> None:
    """Whoever waits in vain learns whether the server grants too few, or whether the pool itself is too small."""
    pool = made(server, lambda: 0.0, patience=0)
    held = [pool.connect() for _ in range(4)]
    with pytest.raises(PoolTimeoutError) as full:
        pool.connect()
    assert not isinstance(full.value, NoneGranted)
    for connection in held:
        connection.close()
    pool.dispose()
    server.most = 1
    pool = made(server, lambda: 0.0, patience=0)
    first = pool.connect()
    with pytest.raises(NoneGranted) as few:
        pool.connect()
    assert few.value.granted == 1
    first.close()
    pool.dispose()


def test_connections_are_given_in_the_order_of_asking(pool: Connections) -> None:
    """Whoever comes later does not pass those who wait."""
    held = [pool.connect() for _ in range(4)]
    asking = Asking(pool)
    names = [f"number {number}" for number in range(6)]
    for name in names:
        asking.ask(name)
    held.pop().close()
    assert asking.finish() == names
    for connection in held:
        connection.close()


def test_one_that_broke_is_replaced_and_counted_right(pool: Connections, server: Server) -> None:
    """Connections that break, that cannot be opened, or that were dead when they were wanted leave the count as it
    is.
    """
    for _ in range(3):
        broken = pool.connect()
        broken.invalidate()
        broken.close()
    assert (pool.in_use, len(server.open)) == (0, 0)
    server.is_away = True
    for _ in range(3):
        with pytest.raises(Lost):
            pool.connect()
    assert pool.in_use == 0
    server.is_away = False
    held = [pool.connect() for _ in range(4)]
    for connection in held[1:]:
        connection.close()
    for idle in server.open[1:]:
        idle.dead = True
    pool._invalidate(held[0])
    again = pool.connect()
    assert (pool.in_use, len(server.open)) == (1, 1)
    again.close()
    held[0].close()
    assert pool.in_use == 0


def test_numbers_are_told_with_each_change(pool: Connections, server: Server) -> None:
    """Whoever observes the pool knows how many are in use and how many there may be, and never less than none."""
    seen: list[tuple[int, int]] = []
    pool.observe = lambda in_use, limit: seen.append((in_use, limit))
    server.most = 2
    held = [pool.connect(), pool.connect()]
    asking = Asking(pool)
    asking.ask("third")
    held[0].close()
    asking.finish()
    held[1].invalidate()
    held[1].close()
    assert seen[-1] == (0, 2)
    assert all(0 <= in_use <= 3 for in_use, _ in seen)


def test_only_what_may_have_died_is_tried(pool: Connections, server: Server, clock: Clock) -> None:
    """A connection that was used a moment ago costs no round trip before it is used again; one that nobody used for
    long does.
    """
    pool.connect().close()
    pool.connect().close()
    assert server.pings == 0
    clock.now += 31
    pool.connect().close()
    assert server.pings == 1


def test_what_is_not_needed_is_closed(pool: Connections, server: Server, clock: Clock) -> None:
    """After a rush the connections that nobody used for two minutes are closed one after the other, for others that
    need them.
    """
    held = [pool.connect() for _ in range(4)]
    for connection in held:
        connection.close()
    clock.now += 121
    for _ in range(5):
        pool.connect().close()
    assert len(server.open) == 1


def test_one_at_a_time_tries_a_silent_server(
    pool: Connections, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a server has fallen silent one request tries it, others are told soon; when it answers all is as before."""
    pool.connect().close()
    pool.fell_silent()
    assert server.open == []
    reached, go_on = threading.Event(), threading.Event()
    connect = server.connect

    def silent() -> Driver:
        reached.set()
        go_on.wait(30)
        return connect()

    monkeypatch.setattr(pool, "_invoke_creator", lambda _: silent())
    thread = threading.Thread(target=lambda: pool.connect().close())
    thread.start()
    assert reached.wait(30)
    with pytest.raises(Silent):
        pool.connect()
    go_on.set()
    thread.join(30)
    held = [pool.connect() for _ in range(4)]
    for connection in held:
        connection.close()
    assert pool.in_use == 0


def hanging(
    pool: Connections, server: Server, monkeypatch: pytest.MonkeyPatch
) -> tuple[threading.Event, threading.Event]:
    """Let new connections hang: the first event tells that one is being opened, the second one lets it be."""
    reached, go_on = threading.Event(), threading.Event()

    def connect() -> Driver:
        reached.set()
        assert go_on.wait(30)
        return server.connect()

    monkeypatch.setattr(pool, "_invoke_creator", lambda _: connect())
    return reached, go_on


def test_work_that_ends_well_elsewhere_ends_the_silence(
    pool: Connections, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one connection fell silent, another one that comes back well is given to whoever asks, while the trial
    still hangs.
    """
    broken, well = pool.connect(), pool.connect()
    broken.invalidate()
    broken.close()
    pool.fell_silent()
    reached, go_on = hanging(pool, server, monkeypatch)
    thread = threading.Thread(target=lambda: pool.connect().close())
    thread.start()
    assert reached.wait(30)
    well.close()
    for _ in range(3):
        pool.connect().close()
    go_on.set()
    thread.join(30)
    assert pool.in_use == 0


def test_a_connection_that_broke_does_not_end_the_silence(
    pool: Connections, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes back broken is no sign that the server answers."""
    broken = pool.connect()
    pool.fell_silent()
    broken.invalidate()
    broken.close()
    reached, go_on = hanging(pool, server, monkeypatch)
    thread = threading.Thread(target=lambda: pool.connect().close())
    thread.start()
    assert reached.wait(30)
    with pytest.raises(Silent):
        pool.connect()
    go_on.set()
    thread.join(30)


def test_the_result_of_the_trial_is_waited_for(
    pool: Connections, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks while somebody tries the server is not refused where the trial ends well in a moment."""
    monkeypatch.setattr("glare.db.dialects.pool._HOPE", 30)
    pool.fell_silent()
    reached, go_on = hanging(pool, server, monkeypatch)
    got: list[bool] = []

    def ask() -> None:
        connection = pool.connect()
        got.append(connection.is_valid)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    threads[0].start()
    assert reached.wait(30)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert got == [True] * 4


def test_a_pool_that_is_disposed_keeps_nothing(pool: Connections, server: Server) -> None:
    """What is in use when a pool is disposed is closed when it is given back."""
    one, other = pool.connect(), pool.connect()
    other.close()
    pool.dispose()
    assert len(server.open) == 1
    one.close()
    assert (server.open, pool.in_use) == ([], 0)
