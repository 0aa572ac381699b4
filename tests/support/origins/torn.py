"""A proxy in front of a database server that breaks connections off where a test wants it.

with Torn("127.0.0.1", 5432) as proxy:
    proxy.cut_at(COMMIT, delivered=True)   # the server hears it, the client never hears the answer
    proxy.cut_at(COMMIT, late=event)       # likewise, and the server hears it only when the event is set
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy import make_url

from support.databases import KIND

_PIECE = 65536

COMMIT = rb"COMMIT\0" if KIND == "postgresql" else rb"[\x03;]COMMIT$"
"""What the client says to commit, as a message of its own or with what comes before it."""


class Torn:
    """Forwards to the server of a database URL. `url` is the same database through this proxy."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        assert parsed.host is not None
        assert parsed.port is not None
        self._target = (parsed.host, parsed.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._word: bytes | None = None
        self._delivered = False
        self._late: threading.Event | None = None
        self._refusing = False
        self.cuts = 0
        here = parsed.set(host="127.0.0.1", port=self._listener.getsockname()[1])
        self.url = here.render_as_string(hide_password=False)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.cut_all()

    def cut_at(self, word: bytes, *, delivered: bool = True, late: threading.Event | None = None) -> None:
        """Break the next connection on which the client says what matches `word`, once: before, or after, the server
        hears it.

        With `late` the server hears it when that is set.
        """
        with self._lock:
            self._word, self._delivered, self._late = word, delivered, late

    def refuse(self, refusing: bool) -> None:
        """Let no connection through, and break those that are open; or let them through again."""
        self._refusing = refusing
        if refusing:
            self.cut_all()

    def cut_all(self) -> None:
        """Break every connection."""
        with self._lock:
            sockets, self._open = self._open, []
        for one in sockets:
            _break(one)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._refusing:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                with self._lock:
                    self._open += [client, server]
                threading.Thread(target=self._forward, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_PIECE):
                if from_client and self._is_last(data):
                    if self._delivered:
                        _break(source)  # The answer has nobody to go to.
                        if self._late is not None:
                            self._late.wait(30)
                        target.sendall(data)
                        target.shutdown(socket.SHUT_WR)
                        return
                    break
                target.sendall(data)
        _break(source)
        _break(target)

    def _is_last(self, data: bytes) -> bool:
        with self._lock:
            if self._word is None or not re.search(self._word, data):
                return False
            self._word = None
            self.cuts += 1
            return True


def _break(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
