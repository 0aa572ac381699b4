"""One TCP connection, to an address that was decided on, whose every wait is bounded and can be cancelled."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from dataclasses import dataclass

from glare.egress.cancellation import CANCELLED, Cancellation
from glare.errors import Cause, OriginFailed

_SLICE = 0.25  # How long a wait lasts before it asks whether it was cancelled.


class Deadline:
    """A point in time after which everything that waits fails with one message."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._until

    def extend(self, seconds: float) -> None:
        """Move it: so long was waited for something of ours, which is not the origin's fault."""
        self._until += seconds

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


@dataclass(frozen=True, slots=True)
class Timing:
    """The deadline of all hops of a request, and how long one origin may take to show a first sign of life, in
    seconds.
    """

    deadline: Deadline
    connect: float
    answer: float

    def connecting(self) -> float:
        """How long connecting may take from now on. Raises `OriginFailed` past the deadline."""
        return min(self.connect, self.deadline.remaining())

    def answering(self) -> float:
        """How long the first byte may take from now on. Raises `OriginFailed` past the deadline."""
        return min(self.answer, self.deadline.remaining())

    def silent(self, reason: str) -> OriginFailed:
        """The error for an origin that did not answer in time. Raises it in the words of the deadline, where that has
        passed.
        """
        self.deadline.remaining()
        return OriginFailed(
            f"The origin did not begin to answer within {self.answer:g} s.", reason=reason, cause=Cause.TIMEOUT
        )


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
        """Speak TLS from here on, with a certificate for `name` (or an address). Raises OSError (ssl.SSLError is
        one).
        """
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
