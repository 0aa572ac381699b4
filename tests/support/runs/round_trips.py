"""Counts what an operation costs of a database: transactions, statements, and round trips on the wire.

with Counting(glare.services.db) as counting:
    with counting.cost() as cost:
        glare.alice.show(image)
    assert cost.round_trips == 1

A round trip is one message for whose answer the client waits: on PostgreSQL a simple query, or a synchronisation of the
extended protocol; on MariaDB a command. It is read off what a relay passes on, so that nothing of the driver or of the
product is asked. SQLite has none.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import event

from glare.db.engine import Database
from support.databases import KIND

_PIECE: Final = 65536
_WAITED_FOR: Final = frozenset(b"QSp")


@dataclass(slots=True)
class Cost:
    """What an operation has cost so far."""

    transactions: int = 0
    statements: int = 0
    round_trips: int = 0

    @property
    def figures(self) -> tuple[int, int, int]:
        return self.transactions, self.statements, self.round_trips


class Counting:
    """Counts on all connections of a database that are opened from now on; those that idle are closed."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._now = Cost()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._engine = engine = self._db.engine
        event.listen(engine, "begin", self._began)
        event.listen(engine, "before_cursor_execute", self._executed)
        if KIND != "sqlite":
            self._listener = socket.create_server(("127.0.0.1", 0))
            self._start(self._accept)
            event.listen(engine, "do_connect", self._through_here)
        engine.dispose()  # The pool is made anew: one that is disposed of keeps no connection.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        event.remove(self._engine, "begin", self._began)
        event.remove(self._engine, "before_cursor_execute", self._executed)
        if KIND != "sqlite":
            event.remove(self._engine, "do_connect", self._through_here)
            self._db.dispose()
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for one in self._open:
                _break(one)
            for thread in self._threads:
                thread.join()

    @contextmanager
    def cost(self) -> Iterator[Cost]:
        """What the block costs."""
        with self._lock:
            self._now = mine = Cost()
        yield mine

    def _began(self, *_: object) -> None:
        with self._lock:
            self._now.transactions += 1

    def _executed(self, *_: object) -> None:
        with self._lock:
            self._now.statements += 1

    def _asked(self) -> None:
        with self._lock:
            self._now.round_trips += 1

    def _through_here(self, _: object, __: object, ___: object, arguments: dict[str, Any]) -> None:
        self._target = (arguments["host"], int(arguments["port"]))
        arguments.update(host="127.0.0.1", port=self._listener.getsockname()[1])
        if KIND == "postgresql":
            # A statement is prepared when it comes for the sixth time, which costs a round trip once.
            arguments.update(sslmode="disable", gssencmode="disable", prepare_threshold=None)

    def _start(self, target: Any, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                reader = _postgresql if KIND == "postgresql" else _mariadb
                self._start(self._forward, client, server, reader())
                self._start(self._forward, server, client, None)

    def _forward(self, source: socket.socket, sink: socket.socket, messages: Any) -> None:
        if messages is not None:
            next(messages)
        with suppress(OSError):
            while data := source.recv(_PIECE):
                if messages is not None:
                    for _ in range(messages.send(data)):
                        self._asked()
                sink.sendall(data)
        _break(source)
        _break(sink)


def _postgresql() -> Generator[int, bytes, None]:
    """Takes what the client says, piece by piece; gives how many messages in it are waited for."""
    held = b""
    found, begun = 0, False
    while True:
        held += yield found
        found = 0
        while len(held) >= 5:
            kind, size = (held[0], 1 + int.from_bytes(held[1:5])) if begun else (0, int.from_bytes(held[:4]))
            if len(held) < size:
                break
            found += kind in _WAITED_FOR
            held, begun = held[size:], True


def _mariadb() -> Generator[int, bytes, None]:
    """Likewise. A command begins with a packet of the number 0; closing a connection is none."""
    held = b""
    found = 0
    while True:
        held += yield found
        found = 0
        while len(held) >= 5:
            size = 4 + int.from_bytes(held[:3], "little")
            if len(held) < size:
                break
            found += held[3] == 0 and held[4] != 1
            held = held[size:]


def _break(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
