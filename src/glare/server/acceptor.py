"""New connections: each gets a place before it gets anything else."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import sys
import time
from asyncio.sslproto import SSLProtocol
from collections import Counter
from functools import partial
from typing import Final

from glare.server.arrival import Arrival
from glare.server.connection import LANE_SECONDS, Connection, Site
from glare.server.outlet import UNSENT
from glare.server.places import Place, Places
from glare.server.sockets import closed_by_peer
from glare.server.turns import Turns

_log = logging.getLogger(__name__)

_ACCEPTING_SECONDS: Final = 0.001  # For so long connections are taken from the kernel before others have their turn,
_AT_ONCE: Final = 4  # so many of them begin in a round of the loop,
_HANDSHAKES: Final = 1  # or with TLS, where each takes it a millisecond.
_OF_ADDRESS: Final = 32  # Handshakes of one address that are under way: each takes 100 KB.
_HANDSHAKE_SECONDS: Final = 2.0  # After so long it makes room for another one of its address that waits.
_TLS_END_SECONDS: Final = 3600.0  # Each connection is judged by how it reads its last answer, and ends long before.
_TLS_BUFFER: Final = 16 << 10  # A record of TLS. The library has 256 KiB for each connection, before a byte is read.
_LEAST_SECONDS: Final = 1.0  # For a handshake whose beginning took nearly all of its time.
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_ROOM_SECONDS: Final = 0.1


class Acceptor:
    """Accepts from one listening socket.

    What the kernel has accepted waits in one line, whoever it is from. So it is taken in at once, as an `Arrival`, and
    begins in turns, one network after the other. With TLS it has its turn once the client has said hello.
    """

    def __init__(self, site: Site, listener: socket.socket, places: Places, tls: ssl.SSLContext | None) -> None:
        self._site = site
        self._listener = listener
        self._places = places
        self._tls = tls
        self._turns = Turns(site.loop, _AT_ONCE if tls is None else _HANDSHAKES)
        self._arrivals: set[Arrival] = set()
        self._under_way: Counter[str] = Counter()  # Handshakes by address, those that have yet to begin among them,
        self._begun: dict[str, dict[Connection, float]] = {}  # since when, the one first that began first,
        self._behind: dict[str, dict[Arrival, None]] = {}  # and what waits for them.
        self._looked_at: set[str] = set()  # Addresses at whose handshakes there will be a look.
        self._tasks: set[asyncio.Task[None]] = set()
        listener.setblocking(False)
        if tls is not None:
            SSLProtocol.max_size = _TLS_BUFFER

    def start(self) -> None:
        """Begin to accept."""
        self._site.loop.add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Accept no more; the socket is left open."""
        self._site.loop.remove_reader(self._listener)

    def end(self) -> None:
        """Let go what was taken in and has not begun."""
        for arrival in tuple(self._arrivals):
            self._drop(arrival)

    def _accept(self) -> None:
        until = time.perf_counter() + _ACCEPTING_SECONDS
        while time.perf_counter() < until:
            try:
                sock, peer = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    # Among them what went wrong on the network before the connection was taken: accept(2) hands it on.
                    _log.warning("a connection was not accepted", extra={"reason": error.strerror})
                    return
                self._hold_back(error)
                return
            if closed_by_peer(sock):
                # It waited for longer than its client did. What was sent on it is not read, and nobody would read an
                # answer.
                self._site.tally.left()
                sock.close()
                continue
            self._take_in(sock, peer[0] if isinstance(peer, tuple) else "")

    def _take_in(self, sock: socket.socket, address: str) -> None:
        arrival = Arrival(sock, self._site.loop, self._drop)
        place = self._places.take(arrival, address)
        if not isinstance(place, Place):
            self._site.tally.turned_away(place)
            sock.close()
            return
        arrival.place = place
        self._arrivals.add(arrival)
        self._site.tally.opened()
        sock.setblocking(False)
        if self._tls is None:
            self._await_turn(arrival)
        else:
            seconds = self._site.limits.head_seconds
            arrival.await_hello(seconds if place.bound is None else min(LANE_SECONDS, seconds), self._said_hello)

    def _said_hello(self, arrival: Arrival) -> None:
        network = arrival.place.network
        if self._under_way[network] < _OF_ADDRESS or arrival.place.exempt:
            self._under_way[network] += 1
            self._await_turn(arrival)
        else:
            self._behind.setdefault(network, {})[arrival] = None
            self._look_later(network)

    def _await_turn(self, arrival: Arrival) -> None:
        arrival.turn = self._turns.take(arrival.place.neighbours, partial(self._open, arrival))

    def _drop(self, arrival: Arrival, reason: str | None = None) -> None:
        """Let it go; `reason` is what is counted. Idempotent."""
        arrival.end()
        if arrival not in self._arrivals:
            return
        if reason == "left":
            self._site.tally.left()
        elif reason is not None:
            self._site.tally.cut_off(reason)
        place = arrival.place
        self._arrivals.discard(arrival)
        self._site.tally.closed()
        place.free()
        arrival.sock.close()
        if arrival in self._behind.get(place.network, {}):
            self._let_go(place.network, arrival)
        elif self._turns.forget(place.neighbours, arrival.turn):
            self._end_handshake(place.network)

    def _open(self, arrival: Arrival) -> bool:
        """Begin the connection; true where its client has left."""
        sock, place = arrival.sock, arrival.place
        if closed_by_peer(sock):
            self._drop(arrival, "left")
            self._end_handshake(place.network)
            return True
        self._arrivals.discard(arrival)
        connection = Connection(self._site, sock, tls=self._tls is not None)
        place.occupant = connection
        connection.take(place)
        self._site.connections.add(connection)
        # The kernel would take megabytes for a peer that takes nothing, and they would count as taken.
        if sys.platform == "linux":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        task = self._site.loop.create_task(self._connect(connection, sock, arrival.seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return False

    async def _connect(self, connection: Connection, sock: socket.socket, seconds: float) -> None:
        times = (
            {"ssl_handshake_timeout": max(seconds, _LEAST_SECONDS), "ssl_shutdown_timeout": _TLS_END_SECONDS}
            if self._tls
            else {}
        )
        network = connection.place.network
        if self._tls is not None:
            self._begun.setdefault(network, {})[connection] = self._site.loop.time()
        try:
            await self._site.loop.connect_accepted_socket(lambda: connection, sock, ssl=self._tls, **times)
        except OSError:  # No TLS, or the client has left; ssl.SSLError is one too.
            connection.failed()
            sock.close()
        finally:
            self._forget(network, connection)
            self._end_handshake(network)

    def _look_later(self, network: str) -> None:
        if network in self._looked_at:
            return
        self._looked_at.add(network)
        begun = self._begun.get(network)
        since = next(iter(begun.values())) if begun else self._site.loop.time()
        self._site.loop.call_at(since + _HANDSHAKE_SECONDS, self._look, network)

    def _look(self, network: str) -> None:
        """End the handshakes of an address that have had their time, as many as wait behind them: those who stand still
        keep nobody out who comes from there too.
        """
        self._looked_at.discard(network)
        now = self._site.loop.time()
        waiting = len(self._behind.get(network, ()))
        for connection, since in tuple(self._begun.get(network, {}).items())[:waiting]:
            if now - since < _HANDSHAKE_SECONDS:
                break
            self._forget(network, connection)
            connection.make_room()
        if waiting:
            self._look_later(network)

    def _forget(self, network: str, connection: Connection) -> None:
        begun = self._begun.get(network, {})
        begun.pop(connection, None)
        if not begun:
            self._begun.pop(network, None)

    def _end_handshake(self, network: str) -> None:
        """The next one of this address may begin."""
        if self._tls is None:
            return
        self._under_way[network] -= 1
        if not self._under_way[network]:
            del self._under_way[network]
        behind = self._behind.get(network)
        if behind:
            arrival = next(iter(behind))
            self._let_go(network, arrival)
            self._under_way[network] += 1
            self._await_turn(arrival)

    def _let_go(self, network: str, arrival: Arrival) -> None:
        behind = self._behind[network]
        del behind[arrival]
        if not behind:
            del self._behind[network]

    def _hold_back(self, error: OSError) -> None:
        """The system has no room: make some, and accept again a moment later instead of at once and for ever."""
        made = self._places.make_room()
        _log.error("the system has no room for a connection", extra={"reason": error.strerror, "made room": made})
        self.stop()
        self._site.loop.call_later(_NO_ROOM_SECONDS, self._resume)

    def _resume(self) -> None:
        if not self._site.closing:
            self.start()
