"""Charging what Glare downloads on behalf of a project, whatever the outcome."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from glare.db import counters, leases
from glare.db.counters import UNLIMITED
from glare.domain.moment import SECOND
from glare.egress.measure import Bound
from glare.errors import TooManyRequests
from glare.operations.services import Services

_WRITE_EVERY = 64 << 20


class Charge:
    """What one outbound request costs the project, in bytes of body.

    It is written to the counter as it grows, so that a process that is killed has charged all but the last of it.
    `left` is what the window still had when the request began, None without a limit.
    """

    def __init__(self, services: Services, project: str, period: int, left: int | None) -> None:
        self._services = services
        self._key = project, period
        self._unwritten = 0
        self._spent = 0
        self.left = left

    def add(self, size: int) -> None:
        """Count `size` bytes more."""
        self._unwritten += size
        if self._unwritten >= _WRITE_EVERY:
            self._services.db.transact(self.write)
            self._unwritten = 0

    def spend(self, size: int) -> None:
        """Count `size` bytes more of a measurement. Raises `TooManyRequests` beyond what is left, also by what is
        measured anew.
        """
        self.add(size)
        self._spent += size
        if self.left is not None and self._spent > self.left:
            raise self.over()

    def within(self, limit: int, over: Callable[[], Exception]) -> Bound:
        """How much may be measured: `limit` bytes, with its error `over`, or what is left where that is less."""
        return Bound(limit, over) if self.left is None or limit <= self.left else Bound(self.left, self.over)

    def write(self, connection: Connection) -> None:
        """Add what was counted since the last time to the counter."""
        counters.add_outbound(connection, *self._key, size=self._unwritten)

    def over(self) -> TooManyRequests:
        """The error for a body that is larger than what is left."""
        return TooManyRequests(f"The project may measure {self.left} bytes more in this window; retry later.")


@contextmanager
def charged(services: Services, project: str, host: str) -> Iterator[Charge]:
    """Charge one request to `host`, and the bytes that the block adds, to `project`.

    Raises `TooManyRequests` where the project has used up its window, or too many requests of the project or to the
    host are under way on all nodes together.
    """
    limits = services.rules.outbound
    now = services.clock()
    period = now - now % (limits.window * SECOND)
    lease_id = uuid.uuid4().hex
    alive_since = now - int(services.rules.attempt_timeout * SECOND)

    def take(connection: Connection) -> int:
        # Counted first: whoever else asks for the same project or host now waits here, and then sees this lease.
        counters.add_outbound(connection, project, period, requests=1)
        counters.add_outbound_host(connection, host, period)
        of_project, of_host = leases.running(connection, project, host, alive_since)
        requests, size = counters.outbound_used(connection, project, period)
        _require_below(limits.concurrency, of_project, "measurements at the same time", "wait for one to end")
        _require_below(limits.host_concurrency, of_host, "measurements of this host at the same time", "retry later")
        _require_below(limits.requests, requests - 1, f"measurements in {limits.window} seconds", "retry later")
        _require_below(limits.bytes, size, f"bytes measured in {limits.window} seconds", "retry later")
        leases.take(connection, lease_id, project, host, now)
        return size

    size = services.db.transact(take)
    charge = Charge(services, project, period, None if limits.bytes == UNLIMITED else limits.bytes - size)
    try:
        with services.heartbeats.keep(lease_id):
            yield charge
    finally:

        def settle(connection: Connection) -> None:
            leases.release(connection, lease_id)
            charge.write(connection)

        services.db.transact(settle)


def charge_request(services: Services, connection: Connection, project: str) -> None:
    """Charge one request, which somebody sends later, to `project` in the caller's transaction. Raises
    `TooManyRequests`.
    """
    limits = services.rules.outbound
    now = services.clock()
    period = now - now % (limits.window * SECOND)
    counters.add_outbound(connection, project, period, requests=1)
    requests, _ = counters.outbound_used(connection, project, period)
    _require_below(limits.requests, requests - 1, f"outbound requests in {limits.window} seconds", "retry later")


def _require_below(limit: int, used: int, what: str, remedy: str) -> None:
    if limit != UNLIMITED and used >= limit:
        raise TooManyRequests(f"The project may have at most {limit} {what}; {remedy}.")
