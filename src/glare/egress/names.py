"""Name resolution in threads of its own, shared fairly, so that a silent name server takes nothing from others.

A look-up cannot be broken off: the system answers when it likes, and its thread is held until then. So three bounds
limit what is under way: for one party, for one site (the registered domain), and for all. A look-up that is not
answered soon gives its place to the next and goes on in the slow lane. The wait for a place is no part of the time that
a look-up has, and whoever gets none is refused with an error of ours, which counts against nobody.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from math import ceil
from typing import Final

from glare.context import PARTY
from glare.domain.origins.sites import site_of
from glare.egress.decision import UNREACHABLE, Address
from glare.errors import Cause, LocationRefused, OutboundBusy, TooManyRequests, Unavailable
from glare.shares import Bounds, Party, Refused, Shares, no_listener

Resolver = Callable[[str], Sequence[Address]]
"""All addresses of a name. It may block, and raises OSError where the name has none."""

NAME: Final = "names"
"""What metrics call these shares."""

_REMEMBERED: Final = 4096


def system_resolve(host: str) -> tuple[Address, ...]:
    """The addresses that the system knows for the absolute name `host`: the trailing dot keeps search domains away."""
    found = socket.getaddrinfo(f"{host}.", None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


@dataclass(frozen=True, slots=True)
class NameBounds:
    """How many look-ups may be under way, and the times of one, in seconds.

    `threads` are for look-ups that are younger than `quick`, `slow_threads` for older ones. `of_party` and `of_site`
    count both; one party may have half of what one site may. A place is waited for `patience` seconds, by `waiting` at
    most. A name that was not answered is not asked for again for `memory` seconds.
    """

    threads: int = 16
    slow_threads: int = 128
    of_party: int = 8
    of_site: int = 8
    waiting: int = 1000
    patience: float = 2.0
    quick: float = 1.0
    memory: float = 10.0


@dataclass(slots=True, eq=False)
class _LookUp:
    """One question to the system. `place` is its place among the quick ones, until it is given back."""

    host: str
    site: str
    party: Party
    began: float
    place: ExitStack
    answer: Future[Sequence[Address]]
    slow: bool = False


class Names:
    """Look-ups with a deadline, bounded by `bounds` and fair by the party of the context. Safe for threads.

    Whoever asks for a name that is being looked up already waits for that answer. `refused` is called for every look-up
    that got no place.
    """

    def __init__(
        self,
        resolve: Resolver,
        bounds: NameBounds,
        *,
        refused: Refused = no_listener,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolve = resolve
        self._bounds = bounds
        self._refused = refused
        self._clock = clock
        self._places = Shares(
            NAME,
            Bounds(bounds.threads, bounds.of_party, bounds.waiting, bounds.waiting, bounds.patience),
            what="name look-ups",
            refused=refused,
            clock=clock,
        )
        self._changed = threading.Condition()
        self._under_way: list[_LookUp] = []
        self._silent: OrderedDict[str, float] = OrderedDict()
        self._without_room = 0  # Those that wait because their site or party has too many.

    @property
    def under_way(self) -> int:
        """How many look-ups hold a thread, slow ones included."""
        return len(self._under_way)

    @property
    def now(self) -> tuple[int, int, int]:
        """How many look-ups are quick, how many slow, and how many wait for a place."""
        with self._changed:
            slow = sum(one.slow for one in self._under_way)
            return len(self._under_way) - slow, slow, self._places.waiting + self._without_room

    def addresses(
        self, host: str, seconds: float, *, waited: Callable[[float], None] = lambda _: None
    ) -> Sequence[Address]:
        """The addresses of `host`, within `seconds` of the begin of its look-up. `waited` is called with the seconds
        until there was a place.

        Raises `LocationRefused` with the message that all unreachable places share, and `OutboundBusy` where we have no
        place for it.
        """
        asked = self._clock()
        self._require_not_silent(host, asked)
        found = self._find(host) or self._begin(host)
        waited(self._clock() - asked)
        return self._answer(found, seconds)

    def _require_not_silent(self, host: str, now: float) -> None:
        with self._changed:
            until = self._silent.get(host, 0.0)
            if until <= now:
                self._silent.pop(host, None)
                return
        raise LocationRefused(UNREACHABLE, reason="the name was not answered a moment ago", cause=Cause.DNS)

    def _find(self, host: str) -> _LookUp | None:
        """The look-up of `host` that is under way."""
        with self._changed:
            return next((one for one in self._under_way if one.host == host), None)

    def _begin(self, host: str) -> _LookUp:
        """A look-up of `host`, which waits for its place. Raises `OutboundBusy`."""
        site, party = site_of(host), PARTY.get()
        until = self._clock() + self._bounds.patience
        while True:
            self._await_room(site, party, until)
            with ExitStack() as stack:
                try:
                    stack.enter_context(self._places.hold(party))
                except (TooManyRequests, Unavailable) as full:
                    raise OutboundBusy(full.message, retry_after=full.retry_after) from full
                with self._changed:
                    found = next((one for one in self._under_way if one.host == host), None)
                    if found is not None:
                        return found
                    if self._shortage(site, party) is None:
                        found = _LookUp(host, site, party, self._clock(), stack.pop_all(), Future())
                        self._under_way.append(found)
            if found is not None:
                self._start(found)
                return found

    def _await_room(self, site: str, party: Party, until: float) -> None:
        """Return when `site` and `party` may have one more. Where all that they have is slow, it is no use to wait."""
        with self._changed:
            while (short := self._shortage(site, party)) is not None:
                reason, theirs = short
                now = self._clock()
                quick = [one.began + self._bounds.quick - now for one in theirs if not one.slow]
                left = until - now
                if left <= 0 or not quick or max(quick) <= 0:
                    self._refused(NAME, reason)
                    raise OutboundBusy(
                        "This server process has too many name look-ups under way that are not answered; send the "
                        f"request again in {ceil(self._bounds.quick)} s.",
                        retry_after=ceil(self._bounds.quick),
                    )
                self._without_room += 1
                try:
                    self._changed.wait(min(left, max(quick)))
                finally:
                    self._without_room -= 1

    def _shortage(self, site: str, party: Party) -> tuple[str, list[_LookUp]] | None:
        """Which bound one more look-up would break, and by which look-ups it is used up; None where there is room."""
        bounds = self._bounds
        of_site = [one for one in self._under_way if one.site == site]
        of_both = [one for one in of_site if one.party == party]
        if len(of_both) >= max(1, bounds.of_site // 2):
            return "site", of_both
        if len(of_site) >= bounds.of_site:
            return "site", of_site
        of_party = [one for one in self._under_way if one.party == party]
        return ("party", of_party) if len(of_party) >= bounds.of_party else None

    def _start(self, one: _LookUp) -> None:
        try:
            threading.Thread(target=self._look_up, args=(one,), name="glare-resolve", daemon=True).start()
        except RuntimeError as error:
            self._end([one])
            raise OutboundBusy(retry_after=1) from error

    def _look_up(self, one: _LookUp) -> None:
        try:
            one.answer.set_result(self._resolve(one.host))
        except Exception as error:  # noqa: BLE001 - it belongs to the caller, who waits in another thread.
            one.answer.set_exception(error)
        finally:
            self._end([one])

    def _end(self, ended: Iterable[_LookUp]) -> None:
        with self._changed:
            places = []
            for one in ended:
                self._under_way.remove(one)
                places.append(one.place.pop_all())
            self._changed.notify_all()
        for place in places:
            place.close()

    def _answer(self, one: _LookUp, seconds: float) -> Sequence[Address]:
        until = one.began + seconds
        soon = min(until, one.began + self._bounds.quick)
        try:
            try:
                return one.answer.result(max(0.0, soon - self._clock()))
            except TimeoutError:
                if one.answer.done():
                    raise  # The system's own, which is an OSError.
                self._slow_down(one)
                return one.answer.result(max(0.0, until - self._clock()))
        except (OSError, UnicodeError) as error:
            if one.answer.done():
                reason = f"the name does not resolve: {error}"
                raise LocationRefused(UNREACHABLE, reason=reason, cause=Cause.DNS) from error
        self._remember(one.host)
        raise LocationRefused(UNREACHABLE, reason=f"no answer to the name within {seconds:.1f} s", cause=Cause.DNS)

    def _slow_down(self, one: _LookUp) -> None:
        """Give its place to others, where the slow lane has room for it."""
        with self._changed:
            if one.slow or one not in self._under_way:
                return
            if sum(each.slow for each in self._under_way) >= self._bounds.slow_threads:
                return
            one.slow = True
            place = one.place.pop_all()
            self._changed.notify_all()
        place.close()

    def _remember(self, host: str) -> None:
        with self._changed:
            self._silent[host] = self._clock() + self._bounds.memory
            self._silent.move_to_end(host)
            while len(self._silent) > _REMEMBERED:
                self._silent.popitem(last=False)
