"""One TCP connection, to an address that was decided on, whose every wait is bounded and can be cancelled."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence

from glare.egress.cancellation import Cancellation
from glare.egress.decision import UNREACHABLE, Address
from glare.errors import Cause, LocationRefused, OriginFailed

Connect = Callable[[str, int, float], socket.socket]
"""Address text (or the operator's proxy), port and timeout in seconds to a connected socket. Raises OSError."""

CANCELLED = "The request to the origin was cancelled."
_SLICE = 0.25  # How long a wait lasts before it asks whether it was cancelled.


def system_connect(host: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection. `host` is an address, so that no name is resolved here, except for the operator's proxy."""
    connection = socket.create_connection((host, port), seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Deadline:
    """A point in time after which everything that waits fails with one message."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left. Raises `OriginFailed` where none are."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise OriginFailed(
                f"The origin did not answer with its headers within {self._seconds:g} s.",
                reason="header deadline",
                cause=Cause.TIMEOUT,
            )
        return left


class Wire:
    """A connected socket, plain or TLS. `cancellation` is asked while it waits; `cancel` may come from any thread."""

    def __init__(self, connection: socket.socket, cancellation: Cancellation) -> None:
        self._socket = connection
        self._cancellation = cancellation
        self._stopped = False
        self._lock = threading.Lock()

    def receive(self, size: int, patience: float) -> bytes:
        """Up to `size` bytes, b"" at the end. Raises TimeoutError after `patience` seconds, OSError, `OriginFailed`."""
        until = time.monotonic() + patience
        while True:
            left = until - time.monotonic()
            self._check()
            if left <= 0:
                raise TimeoutError
            try:
                self._socket.settimeout(min(_SLICE, left))
                data = self._socket.recv(size)
            except TimeoutError:
                continue
            except (OSError, ValueError):
                self._check()  # A cancelled socket fails in many ways.
                raise
            if not data:
                self._check()
            return data

    def send(self, data: bytes, patience: float) -> None:
        """Send everything. Raises TimeoutError, OSError, `OriginFailed`."""
        self._check()
        self._socket.settimeout(patience)
        self._socket.sendall(data)

    def start_tls(self, context: ssl.SSLContext, name: str, patience: float) -> None:
        """Speak TLS from here on, with a certificate for `name` (or an address). Raises OSError (ssl.SSLError is one)."""
        self._socket.settimeout(patience)
        secured = context.wrap_socket(self._socket, server_hostname=name)
        with self._lock:
            self._socket = secured
        self._check()

    def cancel(self) -> None:
        """End every wait now, with `OriginFailed`."""
        with self._lock:
            self._stopped = True
            self._shut()

    def close(self) -> None:
        with self._lock:
            self._shut()
            self._socket.close()

    def _check(self) -> None:
        if self._stopped or self._cancellation.cancelled:
            raise OriginFailed(CANCELLED, reason="cancelled")

    def _shut(self) -> None:
        # The plain method, since that of SSLSocket would take TLS away under the thread that reads.
        try:
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            return  # Already ended, by either side.


def dial(addresses: Sequence[Address], port: int, deadline: Deadline, connect: Connect) -> socket.socket:
    """A connection to the first of `addresses` that answers; each gets an equal share of the time that is left.

    Raises `LocationRefused` with the message that all unreachable places share.
    """
    failures = []
    for at, address in enumerate(addresses):
        try:
            return connect(str(address), port, deadline.remaining() / (len(addresses) - at))
        except (OSError, OriginFailed) as error:  # A deadline that ends between two addresses tells no more either.
            failures.append(f"{address}: {error}")
    raise LocationRefused(UNREACHABLE, reason="; ".join(failures), cause=Cause.CONNECT)
