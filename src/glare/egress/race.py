"""A connection to the first of several addresses that answers: attempts are staggered, and race (RFC 8305, section
5).
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Final

from glare.egress.cancellation import CANCELLED, Cancellation
from glare.egress.decision import UNREACHABLE, Address
from glare.egress.lately import Lately
from glare.errors import Cause, LocationRefused, OriginFailed

Connect = Callable[[str, int], socket.socket]
"""Address text and port to a socket that does not block and is on its way to be connected. Raises OSError."""

_SLICE: Final = 0.25  # How long a wait lasts before it asks whether it was cancelled.
_UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK})


def begin_connect(host: str, port: int) -> socket.socket:
    """A TCP connection that is being made. `host` is an address, so that no name is resolved here."""
    family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = connection.connect_ex((host, port))
        if code not in _UNDER_WAY:
            raise OSError(code, os.strerror(code))
    except BaseException:
        connection.close()
        raise
    return connection


@dataclass(frozen=True, slots=True)
class Course:
    """The rules of a race: it lasts `seconds`; the next attempt begins `delay` seconds after the last one, at most
    `most` in all.
    """

    seconds: float
    delay: float
    most: int


def address_key(address: Address, port: int) -> tuple[str, str, int]:
    """Under which `Lately` knows a server."""
    return ("address", str(address), port)


def in_order(addresses: Sequence[Address], port: int, lately: Lately) -> list[Address]:
    """The addresses in the order of attempts: what failed lately last, and families in turn, beginning with that of the
    first.
    """
    if not addresses:
        return []
    ordered = lately.ordered(addresses, lambda address: [address_key(address, port)])
    well = [address for address in ordered if not lately.has_failed(address_key(address, port))]
    return [*_interleaved(well), *_interleaved(ordered[len(well) :])]


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    first = [address for address in addresses if address.version == addresses[0].version]
    other = [address for address in addresses if address.version != addresses[0].version]
    return [address for address in chain.from_iterable(zip_longest(first, other)) if address is not None]


def race(
    addresses: Sequence[Address],
    port: int,
    course: Course,
    connect: Connect,
    lately: Lately,
    cancellation: Cancellation,
) -> tuple[socket.socket, Address]:
    """A connected socket, which does not block, and where it leads. What loses is closed, and remembered as having
    failed.

    Raises `LocationRefused` with the message that all unreachable places share, `OriginFailed` where it was cancelled.
    """
    attempts = _Attempts(port, course, connect, lately)
    try:
        waiting = deque(in_order(addresses, port, lately)[: course.most])
        began = next_at = time.monotonic()
        while waiting or attempts.under_way:
            now = time.monotonic()
            if cancellation.cancelled:
                raise OriginFailed(CANCELLED, reason="cancelled")
            if now >= began + course.seconds:
                break
            if waiting and (now >= next_at or not attempts.under_way):
                attempts.begin(waiting.popleft())
                next_at = now + course.delay
            until = min(began + course.seconds, next_at) if waiting else began + course.seconds
            failures = len(attempts.failures)
            won = attempts.look(min(_SLICE, max(0.0, until - now)))
            if won is not None:
                return won
            if len(attempts.failures) > failures:
                next_at = now  # It was refused: nothing is gained by waiting.
        raise LocationRefused(UNREACHABLE, reason=attempts.reasons(), cause=Cause.CONNECT)
    finally:
        attempts.close()


class _Attempts:
    """The connections that are being made."""

    def __init__(self, port: int, course: Course, connect: Connect, lately: Lately) -> None:
        self.failures: list[str] = []
        self._port = port
        self._course = course
        self._connect = connect
        self._lately = lately
        self._selector = selectors.DefaultSelector()
        self._under_way: dict[socket.socket, tuple[Address, float]] = {}

    @property
    def under_way(self) -> bool:
        return bool(self._under_way)

    def begin(self, address: Address) -> None:
        try:
            connection = self._connect(str(address), self._port)
        except OSError as error:
            self._failed(address, error)
            return
        self._under_way[connection] = address, time.monotonic()
        self._selector.register(connection, selectors.EVENT_WRITE)

    def look(self, seconds: float) -> tuple[socket.socket, Address] | None:
        """The first connection that is made within so many seconds; sooner none, where one fails."""
        if not self._under_way:
            return None
        for key, _ in self._selector.select(seconds):
            connection = key.fileobj
            if not isinstance(connection, socket.socket):
                continue
            self._selector.unregister(connection)
            address, _ = self._under_way.pop(connection)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return connection, address
            connection.close()
            self._failed(address, OSError(code, os.strerror(code)))
        return None

    def reasons(self) -> str:
        """What became of each address, for the operator."""
        silent = [f"{address}: no answer" for address, _ in self._under_way.values()]
        return "; ".join([*self.failures, *silent]) or "no time was left to connect"

    def close(self) -> None:
        """Give up what is under way. What had its chance before the next one began was overtaken, or is silent."""
        now = time.monotonic()
        for connection, (address, began) in self._under_way.items():
            connection.close()
            if now - began >= min(self._course.delay, self._course.seconds):
                self._lately.failed(address_key(address, self._port))
        self._selector.close()

    def _failed(self, address: Address, error: OSError) -> None:
        self.failures.append(f"{address}: {error}")
        self._lately.failed(address_key(address, self._port))
