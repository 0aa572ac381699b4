"""New connections: each gets a place before it gets anything else."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import sys
from asyncio.sslproto import SSLProtocol
from typing import Final

from glare.server.connection import Connection, Site
from glare.server.outlet import UNSENT
from glare.server.places import Place, Places
from glare.server.sockets import closed_by_peer

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 8  # Connections that are opened before others have their turn,
_HANDSHAKES: Final = 1  # The same with TLS, where each takes the loop a millisecond.
_LOOKED_AT: Final = 32  # and such as are looked at: those whose clients have left again cost little.
_TLS_END_SECONDS: Final = 3600.0  # Each connection is judged by how it reads its last answer, and ends long before.
_TLS_BUFFER: Final = 16 << 10  # A record of TLS. The library has 256 KiB for each connection, before a byte is read.
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_ROOM_SECONDS: Final = 0.1


class Acceptor:
    """Accepts from one listening socket."""

    def __init__(self, site: Site, listener: socket.socket, places: Places, tls: ssl.SSLContext | None) -> None:
        self._site = site
        self._listener = listener
        self._places = places
        self._tls = tls
        self._at_once = _AT_ONCE if tls is None else _HANDSHAKES
        self._handshakes: set[asyncio.Task[None]] = set()
        listener.setblocking(False)
        if tls is not None:
            SSLProtocol.max_size = _TLS_BUFFER

    def start(self) -> None:
        """Begin to accept."""
        self._site.loop.add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Accept no more; the socket is left open."""
        self._site.loop.remove_reader(self._listener)

    def _accept(self) -> None:
        opened = 0
        for _ in range(_LOOKED_AT):
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
            self._admit(sock, peer[0] if isinstance(peer, tuple) else "")
            opened += 1
            if opened >= self._at_once:
                return

    def _admit(self, sock: socket.socket, address: str) -> None:
        connection = Connection(self._site, sock, tls=self._tls is not None)
        place = self._places.take(connection, address)
        if not isinstance(place, Place):
            self._site.tally.turned_away(place)
            sock.close()
            return
        connection.take(place)
        self._site.connections.add(connection)
        self._site.tally.opened()
        sock.setblocking(False)
        # The kernel would take megabytes for a peer that takes nothing, and they would count as taken.
        if sys.platform == "linux":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        task = self._site.loop.create_task(self._connect(connection, sock))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _connect(self, connection: Connection, sock: socket.socket) -> None:
        times = (
            {"ssl_handshake_timeout": connection.head_seconds, "ssl_shutdown_timeout": _TLS_END_SECONDS}
            if self._tls
            else {}
        )
        try:
            await self._site.loop.connect_accepted_socket(lambda: connection, sock, ssl=self._tls, **times)
        except OSError:  # No TLS, or the client has left; ssl.SSLError is one too.
            connection.failed()
            sock.close()

    def _hold_back(self, error: OSError) -> None:
        """The system has no room: make some, and accept again a moment later instead of at once and for ever."""
        made = self._places.make_room()
        _log.error("the system has no room for a connection", extra={"reason": error.strerror, "made room": made})
        self.stop()
        self._site.loop.call_later(_NO_ROOM_SECONDS, self._resume)

    def _resume(self) -> None:
        if not self._site.closing:
            self.start()
