"""Fair shares of something that there is little of: threads, transfers, look-ups, the writer's turn.

Whoever wants a part says for which `Party`. Parts in use are bounded in all and for each party; whoever has to wait
stands in a queue that is bounded likewise. The next part goes to the party that has had least, so that a thousand
waiting for one party delay another by no more than one of them. The rules, in the order in which they are asked:

1. Who fits into what is free, and into its party's share, goes in at once unless others wait who fit too.
2. A party whose queue is full is refused with `TooManyRequests`: it is alone to blame.
3. Where all queues together are full, the youngest of the party that waits with most makes room; when that is the party
   that comes, it is refused itself. Both with `Unavailable`.
4. Whoever would wait for longer than `patience` seconds for those of its own party alone, by what its work took until
   now, is refused with `Unavailable` at once, and who has waited for so long after all then: the answer would come too
   late.
5. Whoever has gone while it waited is not begun.

All refusals carry `retry_after`, and are reported to `refused`; those that come at once can be asked `again`. Nothing
here blocks but `hold`, which is for worker threads; the event loop uses `share`. Both may be used on one `Shares` at
the same time.

    >>> shares = Shares("example", Bounds(together=2, of_party=1, waiting=10, waiting_of_party=5, patience=1.0))
    >>> with shares.hold(Party.project("p")):
    ...     shares.in_use, shares.waiting
    (1, 0)
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address, ip_network
from math import ceil
from typing import Any, Final

from glare.errors import ClientDisconnected, GlareError, TooManyRequests, Unavailable

_FIRST_TIME: Final = 0.1
_LONGEST_RETRY: Final = 60
_WEIGHT_OF_NEWS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Party:
    """Whom work belongs to: a project, the network of an anonymous caller, or the service itself.

    `kind` is ``project``, ``network`` or ``service``; two parties of different kinds are never the same.
    """

    kind: str
    name: str

    @classmethod
    def project(cls, name: str) -> Party:
        """A project by its id."""
        return cls("project", name)

    @classmethod
    def network(cls, address: str | None) -> Party:
        """The /24 or /64 of an address; one party for all whose address is unknown. An IPv4 address inside IPv6 counts
        as IPv4.
        """
        try:
            found = ip_address(address or "")
        except ValueError:
            return cls("network", "unknown")
        mapped = getattr(found, "ipv4_mapped", None) or found
        return cls("network", str(ip_network((mapped, 24 if mapped.version == 4 else 64), strict=False)))

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


SERVICE: Final = Party("service", "")
"""The service's own work."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much there is. All but `patience` (seconds) are sums of weights; what waits is counted by heads.

    `together` may be in use at the same time, `of_party` by one party. `waiting` may wait in all, `waiting_of_party` of
    one party.
    """

    together: int
    of_party: int
    waiting: int
    waiting_of_party: int
    patience: float


Refused = Callable[[str, str], None]
"""Takes the name of the shares and the reason (``party``, ``all``, ``time``, ``gone``) of each refusal."""


def no_listener(_: str, __: str) -> None:
    """Where nobody counts refusals."""


@dataclass(slots=True, eq=False)
class _Ticket:
    """One who waits or is in. `settle` is called once, without a lock: with None when it may go in, with the reason
    otherwise.
    """

    party: Party
    weight: int
    settle: Callable[[GlareError | None], None]
    inside: bool = False
    began: float = 0.0
    charged: float = 0.0


@dataclass(slots=True)
class _Account:
    """What a party has: `spent` in weights times seconds, `in_use` in weights. `piece` is what one piece of its work
    took lately, counted as `spent` is; None where none has ended yet.
    """

    spent: float
    in_use: int = 0
    piece: float | None = None
    tickets: deque[_Ticket] = field(default_factory=deque)

    @property
    def is_idle(self) -> bool:
        return not self.in_use and not self.tickets


class Shares:
    """Parts for parties, given out fairly. Safe for threads and for several event loops.

    `name` is what messages and metrics call it; `what` says in a sentence what there is too little of. `clock` gives
    seconds.
    """

    def __init__(
        self,
        name: str,
        bounds: Bounds,
        *,
        what: str = "requests",
        refused: Refused = no_listener,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.bounds = bounds
        self._what = what
        self._refused = refused
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[Party, _Account] = {}
        self._in_use = 0
        self._waiting = 0
        self._level = (
            0.0  # What the party that was served last had spent: newcomers begin there, and gain nothing by waiting.
        )
        self._typical = _FIRST_TIME

    @property
    def in_use(self) -> int:
        """The weights that are in use."""
        return self._in_use

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting

    def queues(self) -> dict[Party, tuple[int, int]]:
        """Of each party that waits: how many go in as soon as there is room, and how many only when others of the party
        leave.
        """
        with self._lock:
            return {party: self._queue(account) for party, account in self._accounts.items() if account.tickets}

    @contextmanager
    def hold(
        self, party: Party, weight: int = 1, *, cancelled: Callable[[], GlareError | None] = lambda: None
    ) -> Iterator[None]:
        """A part for the block; waits for it in this thread.

        `cancelled` is asked a few times a second while it waits; what it returns is raised. Raises `TooManyRequests`,
        `Unavailable`.
        """
        settled = threading.Event()
        outcome: list[GlareError | None] = []

        def settle(error: GlareError | None) -> None:
            outcome.append(error)
            settled.set()

        ticket = self._enter(party, weight, settle)
        try:
            self._await(settled, ticket, cancelled)
            if outcome[0] is not None:
                raise outcome[0]
            yield
        finally:
            self._leave(ticket)

    @contextmanager
    def take(self, party: Party, weight: int) -> Iterator[None]:
        """A part for the block, at once and whatever the bounds: for what is there already. Whoever comes later waits
        for it.
        """
        ticket = _Ticket(party, weight, lambda _: None)
        with self._lock:
            account = self._accounts.get(party)
            if account is None:
                account = self._accounts[party] = _Account(self._level)
            self._let_in(account, ticket)
        try:
            yield
        finally:
            self._leave(ticket)

    def require_room(self, party: Party) -> None:
        """Raises `TooManyRequests` where the party has all of its share."""
        with self._lock:
            account = self._accounts.get(party)
            if account is None or account.in_use < self.bounds.of_party:
                return
            refusal = self._refusal("party", party)
        raise refusal

    def refuse_again(self, party: Party, weight: int) -> GlareError | None:
        """The refusal that so large a part would meet at once, counted as one; None where it would go in or wait."""
        with self._lock:
            account = self._accounts.get(party)
            reason = None if account is None else self._reason(account, weight)
            return None if reason is None else self._refusal(reason, party, weight)

    @asynccontextmanager
    async def share(
        self, party: Party, weight: int = 1, *, gone: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncIterator[None]:
        """A part for the block; waits for it on the event loop. Whoever is cancelled while it waits leaves the queue at
        once.

        `gone` is awaited only where there is a wait, and returns when nobody wants the work any more; it is cancelled
        at the end of the wait. Raises `TooManyRequests`, `Unavailable`, `ClientDisconnected`.
        """
        loop = asyncio.get_running_loop()
        here = threading.get_ident()
        settled: asyncio.Future[GlareError | None] = loop.create_future()

        def note(error: GlareError | None) -> None:
            if not settled.done():
                settled.set_result(error)

        def settle(error: GlareError | None) -> None:
            if threading.get_ident() == here:
                note(error)
            else:
                _on(loop, note, error)

        ticket = self._enter(party, weight, settle)
        try:
            error = settled.result() if settled.done() else await self._wait(ticket, settled, gone)
            if error is not None:
                raise error
            yield
        finally:
            self._leave(ticket)

    async def _wait(
        self,
        ticket: _Ticket,
        settled: asyncio.Future[GlareError | None],
        gone: Callable[[], Awaitable[None]] | None,
    ) -> GlareError | None:
        """What becomes of a ticket that stands in the queue."""
        watch = asyncio.ensure_future(gone()) if gone is not None else None
        try:
            # No task of its own and no exception where it is let in: this is what happens to every request of a busy
            # service.
            waiting: list[asyncio.Future[Any]] = [settled] if watch is None else [settled, watch]
            await asyncio.wait(
                waiting,
                timeout=self.bounds.patience,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            if watch is not None:
                watch.cancel()
        if settled.done():
            return settled.result()
        if watch is not None and watch.done():
            self._refused(self.name, "gone")
            return ClientDisconnected("The client has left; what it asked for was not begun.")
        return self._give_up(ticket)

    def _await(self, settled: threading.Event, ticket: _Ticket, cancelled: Callable[[], GlareError | None]) -> None:
        until = self._clock() + self.bounds.patience
        while not settled.wait(min(0.25, max(0.0, until - self._clock()))):
            reason = cancelled()
            if reason is None and self._clock() >= until:
                reason = self._give_up(ticket)
            if reason is not None:
                raise reason

    def _enter(self, party: Party, weight: int, settle: Callable[[GlareError | None], None]) -> _Ticket:
        ticket = _Ticket(party, min(weight, self.bounds.together, self.bounds.of_party), settle)
        with self._lock:
            account = self._accounts.get(party)
            if account is None:
                account = self._accounts[party] = _Account(self._level)
            elif account.is_idle:
                account.spent = max(account.spent, self._level)
            evicted = self._make_room(account, ticket)
            if evicted is None or evicted[0] is not ticket:
                account.tickets.append(ticket)
                self._waiting += 1
            ended = ([] if evicted is None else [evicted]) + self._admit()
            self._forget(party)
        for one, error in ended:
            one.settle(error)
        return ticket

    def _make_room(self, account: _Account, ticket: _Ticket) -> tuple[_Ticket, GlareError] | None:
        """Whom the newcomer's coming costs the place in the queue, which may be itself; None where there is room."""
        reason = self._reason(account, ticket.weight)
        if reason is not None:
            return ticket, self._refusal(reason, ticket.party, ticket.weight)
        if self._waiting < self.bounds.waiting or (self._fits(account, ticket.weight) and not account.tickets):
            return None
        youngest = self._longest().tickets.pop()
        self._waiting -= 1
        return youngest, self._refusal("all", youngest.party, youngest.weight)

    def _reason(self, account: _Account, weight: int) -> str | None:
        """Why a newcomer is refused at once; None where it is not."""
        bounds, waiting = self.bounds, len(account.tickets)
        if not waiting and self._fits(account, weight):
            return None  # It goes in now, or next: the queue is for those who cannot.
        if waiting >= bounds.waiting_of_party:
            return "party" if waiting or account.in_use + weight > bounds.of_party else "all"
        if account.piece is not None and waiting * account.piece > bounds.patience * bounds.of_party:
            return "time"
        if self._waiting >= bounds.waiting and len(self._longest().tickets) <= waiting + 1:
            return "all"
        return None

    def _longest(self) -> _Account:
        return max(self._accounts.values(), key=lambda each: len(each.tickets))

    def _queue(self, account: _Account) -> tuple[int, int]:
        room, ready = self.bounds.of_party - account.in_use, 0
        for ticket in account.tickets:
            room -= ticket.weight
            if room < 0:
                break
            ready += 1
        return ready, len(account.tickets) - ready

    def _fits(self, account: _Account, weight: int) -> bool:
        return self._in_use + weight <= self.bounds.together and account.in_use + weight <= self.bounds.of_party

    def _admit(self) -> list[tuple[_Ticket, GlareError | None]]:
        """Let in who fits, the party first that has spent least. One that needs more than is free holds up those after
        it, so that it is not passed by for ever; a party at its own bound holds up nobody.
        """
        let_in: list[tuple[_Ticket, GlareError | None]] = []
        while True:
            ready = [
                each
                for each in self._accounts.values()
                if each.tickets and each.in_use + each.tickets[0].weight <= self.bounds.of_party
            ]
            if not ready:
                return let_in
            account = min(ready, key=lambda each: each.spent)
            ticket = account.tickets[0]
            if self._in_use + ticket.weight > self.bounds.together:
                return let_in
            account.tickets.popleft()
            self._waiting -= 1
            self._level = max(self._level, account.spent)
            self._let_in(account, ticket)
            let_in.append((ticket, None))

    def _let_in(self, account: _Account, ticket: _Ticket) -> None:
        ticket.charged = ticket.weight * self._typical  # Corrected when it leaves.
        account.spent += ticket.charged
        account.in_use += ticket.weight
        self._in_use += ticket.weight
        ticket.inside, ticket.began = True, self._clock()

    def _leave(self, ticket: _Ticket) -> None:
        """Give back the part, or the place in the queue. Whatever was said before, it may be called once."""
        with self._lock:
            account = self._accounts.get(ticket.party)
            if account is None:
                return
            if ticket.inside:
                ticket.inside = False
                seconds = self._clock() - ticket.began
                piece = ticket.weight * seconds
                account.spent += piece - ticket.charged
                account.piece = _nearer(piece if account.piece is None else account.piece, piece)
                self._typical = _nearer(self._typical, seconds)
                account.in_use -= ticket.weight
                self._in_use -= ticket.weight
            elif ticket in account.tickets:
                account.tickets.remove(ticket)
                self._waiting -= 1
            let_in = self._admit()
            self._forget(ticket.party)
        for one, error in let_in:
            one.settle(error)

    def _give_up(self, ticket: _Ticket) -> GlareError | None:
        """The refusal of one who has waited too long; None where it was let in at this moment."""
        with self._lock:
            if ticket.inside:
                return None
            return self._refusal("time", ticket.party)

    def _forget(self, party: Party) -> None:
        """Close the party's account when it has nothing and owes nothing. Debts of the idle are let off, the smallest
        first, when there are more accounts than could wait or be in.
        """
        account = self._accounts.get(party)
        if account is not None and account.is_idle and account.spent <= self._level:
            del self._accounts[party]
        if len(self._accounts) > 2 * (self.bounds.together + self.bounds.waiting):
            idle = [name for name, each in self._accounts.items() if each.is_idle]
            for name in sorted(idle, key=lambda name: self._accounts[name].spent)[: ceil(len(idle) / 2)]:
                del self._accounts[name]

    def _refusal(self, reason: str, party: Party, weight: int | None = None) -> GlareError:
        """Counted as one. With the `weight` of a newcomer it can be asked again."""
        self._refused(self.name, reason)
        refusal = self._said(reason, party)
        if weight is not None:
            refusal.again = partial(self.refuse_again, party, weight)
        return refusal

    def _said(self, reason: str, party: Party) -> GlareError:
        after = self._retry_after()
        if reason == "party":
            return TooManyRequests(
                f"The {party} has all of its share of this server process ({self.bounds.of_party}, and "
                f"{self.bounds.waiting_of_party} that wait) "
                f"for {self._what}; send fewer at the same time, and this one again in {after} s.",
                retry_after=after,
            )
        return Unavailable(
            f"This server process has no room for more {self._what} now; send it again in {after} s.", retry_after=after
        )

    def _retry_after(self) -> int:
        """Seconds in which those who wait now will probably have been served."""
        return max(1, min(_LONGEST_RETRY, ceil(self._typical * self._waiting / self.bounds.together)))


def _nearer(mean: float, news: float) -> float:
    return mean + _WEIGHT_OF_NEWS * (news - mean)


def _on(loop: asyncio.AbstractEventLoop, note: Callable[[GlareError | None], None], error: GlareError | None) -> None:
    try:
        loop.call_soon_threadsafe(note, error)
    except RuntimeError:
        return  # The loop has ended, and nobody waits on it any more.
