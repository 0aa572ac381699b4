"""What readers make this service fetch from origins: whose bytes they are, and how many there may be.

Every byte that is read through the verified proxy belongs to the reader's party and to the host that sends it. Both are
bounded by window, on all nodes together: each process counts in memory and adds to the database now and then, when it
learns of the others too. What anonymous networks make us fetch beyond what they take is bounded besides, so that nobody
uses this service as a reflector.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from glare.db import counters
from glare.db.counters import UNLIMITED
from glare.db.engine import Database
from glare.domain.moment import SECOND
from glare.egress.lately import Lately
from glare.errors import GlareError, OutboundBusy, TooManyRequests
from glare.shares import Party, Refused, no_listener

_log = logging.getLogger(__name__)

NAME: Final = "reads"
"""What metrics call these bounds."""

_WRITE_BYTES: Final = 64 << 20
_WRITE_SECONDS: Final = 30
_MOST_ACCOUNTS: Final = 8192
_LONGEST_KEY: Final = 255
_HOST: Final = "read host "


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What readers may have fetched in a window of `window` seconds; -1 is unlimited.

    Requests are those that this service sends. `network_waste` are bytes that were fetched for an anonymous network and
    not sent to it. `skip` are bytes that an origin which knows no ranges may be read for, for a range behind them.
    """

    window: int = 3600
    project_requests: int = UNLIMITED
    project_bytes: int = UNLIMITED
    network_requests: int = UNLIMITED
    network_bytes: int = UNLIMITED
    network_waste: int = UNLIMITED
    host_requests: int = UNLIMITED
    host_bytes: int = UNLIMITED
    skip: int = 16 << 20


@dataclass(slots=True)
class _Account:
    """What a party or host has used in a window: as the database had it, and since. `sent` is what the party took, in
    this process.
    """

    period: int
    requests: int
    bytes: int
    written_at: int
    new_requests: int = 0
    new_bytes: int = 0
    fetched: int = 0
    sent: int = 0
    forgotten: bool = False


class Reads:
    """Charges fetched bytes to parties and hosts. Safe for threads. `clock` gives microseconds.

    `rangeless` remembers locations whose origin has answered a range with the whole.
    """

    def __init__(
        self,
        limits: ReadLimits,
        db: Database,
        *,
        rangeless: Lately | None = None,
        refused: Refused = no_listener,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.limits = limits
        self.rangeless = rangeless or Lately(limits.window, _MOST_ACCOUNTS)
        self._db = db
        self._refused = refused
        self._clock = clock
        # Parties and hosts apart, so that who makes us ask many hosts is not forgotten for them.
        self._accounts: dict[bool, OrderedDict[str, _Account]] = {True: OrderedDict(), False: OrderedDict()}
        self._lock = threading.Lock()

    @property
    def now(self) -> tuple[int, int, int]:
        """How many parties and how many hosts are counted here, and how many bytes other nodes do not know of yet."""
        with self._lock:
            parties, hosts = self._accounts[False], self._accounts[True]
            return len(parties), len(hosts), sum(account.new_bytes for account in hosts.values())

    def admit(self, party: Party) -> None:
        """Raises `TooManyRequests` where the party has used up its window."""
        limits = self.limits
        if party.kind == "service":
            return
        anonymous = party.kind == "network"
        most_requests, most_bytes = (
            (limits.network_requests, limits.network_bytes)
            if anonymous
            else (limits.project_requests, limits.project_bytes)
        )
        account = self._account(_key(party))
        wasted = account.fetched - account.sent
        for used, most, what in (
            (account.requests + account.new_requests, most_requests, "requests to origins"),
            (account.bytes + account.new_bytes, most_bytes, "bytes from origins"),
            (wasted, limits.network_waste if anonymous else UNLIMITED, "bytes from origins that were not taken"),
        ):
            if most != UNLIMITED and used >= most:
                self._refused(NAME, "party")
                after = self._left(account)
                raise TooManyRequests(
                    f"The {party} may have at most {most} {what} in {limits.window} seconds; retry in {after} s.",
                    retry_after=after,
                )

    def begin(self, party: Party, host: str) -> None:
        """Charge one request to `host`. Raises `OutboundBusy` where all parties together have used up its window."""
        limits = self.limits
        account = self._account(_host_key(host))
        for used, most in (
            (account.requests + account.new_requests, limits.host_requests),
            (account.bytes + account.new_bytes, limits.host_bytes),
        ):
            if most != UNLIMITED and used >= most:
                self._refused(NAME, "host")
                raise OutboundBusy(
                    "The external location was read as much as it may in this window; retry later.",
                    retry_after=self._left(account),
                )
        self._add(_host_key(host), 1, 0)
        if party.kind != "service":
            self._add(_key(party), 1, 0)

    def fetched(self, party: Party, host: str, size: int) -> None:
        """Charge `size` bytes that `host` has sent."""
        self._add(_host_key(host), 0, size)
        if party.kind != "service":
            self._add(_key(party), 0, size)

    def sent(self, party: Party, size: int) -> None:
        """The party has taken `size` bytes."""
        if party.kind == "network":
            with self._kept(_key(party)) as account:
                account.sent += size

    def _add(self, key: str, requests: int, size: int) -> None:
        with self._kept(key) as account:
            account.new_requests += requests
            account.new_bytes += size
            account.fetched += size
            late = self._clock() - account.written_at >= _WRITE_SECONDS * SECOND
            if not late and account.new_bytes < _WRITE_BYTES:
                return
            written = self._written(account)
        self._write(key, account, *written)

    @contextmanager
    def _kept(self, key: str) -> Iterator[_Account]:
        """The account of a key, under the lock: what is added to it inside the block is not lost."""
        while True:
            account = self._account(key)
            with self._lock:
                if not account.forgotten:  # Between the two lines.
                    yield account
                    return

    def _written(self, account: _Account) -> tuple[int, int]:
        """What is to be reported of an account; from now on it counts as reported."""
        written = account.new_requests, account.new_bytes
        account.new_requests, account.new_bytes, account.written_at = 0, 0, self._clock()
        account.requests += written[0]
        account.bytes += written[1]
        return written

    def _write(self, key: str, account: _Account, requests: int, size: int) -> None:
        """Tell the other nodes, and learn of them. What cannot be reported stays known here."""

        def tell(connection: Connection) -> tuple[int, int]:
            counters.add_outbound(connection, key, account.period, requests=requests, size=size)
            return counters.outbound_used(connection, key, account.period)

        try:
            used = self._db.transact(tell)
        except GlareError:
            _log.exception("what was read from origins could not be charged")
            return
        with self._lock:
            account.requests, account.bytes = used

    def _account(self, key: str) -> _Account:
        now = self._clock()
        period = now - now % (self.limits.window * SECOND)
        accounts = self._accounts[key.startswith(_HOST)]
        with self._lock:
            found = accounts.get(key)
            if found is not None and found.period == period:
                accounts.move_to_end(key)
                return found
        with self._db.look() as connection:
            requests, size = counters.outbound_used(connection, key, period)
        forgotten: list[tuple[str, _Account]] = []
        with self._lock:
            found = accounts.get(key)
            if found is None or found.period != period:
                if found is not None:
                    forgotten.append((key, found))
                found = accounts[key] = _Account(period, requests, size, now)
            accounts.move_to_end(key)
            while len(accounts) > _MOST_ACCOUNTS:
                forgotten.append(accounts.popitem(last=False))
            owed = [(name, old, self._forget(old)) for name, old in forgotten]
        for name, old, written in owed:
            if any(written):
                self._write(name, old, *written)
        return found

    def _forget(self, account: _Account) -> tuple[int, int]:
        account.forgotten = True
        return self._written(account)

    def _left(self, account: _Account) -> int:
        """Seconds until the window ends."""
        end = account.period + self.limits.window * SECOND
        return max(1, -(-(end - self._clock()) // SECOND))


def _key(party: Party) -> str:
    return f"read {party}"[:_LONGEST_KEY]


def _host_key(host: str) -> str:
    return f"{_HOST}{host}"[:_LONGEST_KEY]
