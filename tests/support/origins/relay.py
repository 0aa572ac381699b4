"""A TCP relay in front of a server of this machine, which a test cuts, silences and restores."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Passes connections to `target` on, from a port of its own that stays the same. It begins cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener: socket.socket | None = None
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._mute = threading.Event()
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            self.port: int = trial.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        for thread in self._threads:
            thread.join()

    def restore(self) -> None:
        """Listen, and pass everything on."""
        self._mute.clear()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._start(self._accept, self._listener)

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.drop()

    def drop(self) -> None:
        """Break all connections; new ones work."""
        while self._sockets:
            _end(self._sockets.pop())

    def silence_target(self) -> None:
        """From now on nothing that the target says comes through, while what is sent to it does."""
        self._mute.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                target = socket.create_connection(self._target)
            except OSError:
                return
            self._sockets += [client, target]
            self._start(self._pump, client, target, False)
            self._start(self._pump, target, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, mutable: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not (mutable and self._mute.is_set()):
                    sink.sendall(data)
        _end(source)
        _end(sink)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]  # our own methods
        thread.start()
        self._threads.append(thread)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
