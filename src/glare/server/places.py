"""Who may have a connection: bounds by address and in all, and what makes room for a new one."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, Literal, Protocol

from glare.server.limits import LANE, LANE_OF_NETWORK, Limits

Bound = Literal["address", "total"]

NOWHERE: Final = ""
"""The network of a peer without an address."""


class Occupant(Protocol):
    """A connection."""

    def owed(self) -> bool:
        """Whether the last answer has yet to be taken. If so, it calls `Place.idle` when it has been."""

    def make_room(self) -> None:
        """End at once, because somebody else needs the place."""


class Place:
    """The place of one connection. It begins idle: no request is under way.

    `bound` says which bound the connection is over: then it is in the lane, and may only be refused, or serve a probe.
    An `exempt` address has no bound of its own.
    """

    __slots__ = ("_free", "_places", "bound", "exempt", "network", "occupant", "works")

    def __init__(self, places: Places, occupant: Occupant, network: str, bound: Bound | None) -> None:
        self._places = places
        self._free = False
        self.occupant = occupant
        self.network = network
        self.bound = bound
        self.exempt = False
        self.works = False

    @property
    def neighbours(self) -> str:
        """What the peer shares its turns with: the /24 of an IPv4 address, the /64 of another."""
        return self.network.rpartition(".")[0] or self.network

    def busy(self) -> None:
        """A request is under way: nobody takes this place."""
        self._places.set_busy(self)

    def idle(self) -> None:
        """No request is under way any more."""
        if not self._free:
            self._places.set_idle(self)

    def free(self) -> None:
        """The connection is over. Idempotent."""
        if not self._free:
            self._free = True
            self._places.give_back(self)


class Places:
    """All places of a process. Used on the event loop only; each call costs the same, however many connections there
    are.

    Over the bound of an address, the connection of it that is idle longest makes room for its next one; over the bound
    in all, whichever is idle longest. Where nobody is idle, a new connection comes into the lane, where a network has a
    few places. There, too, who is idle makes room, the network first that has most; where nobody is, a request of the
    network that has most makes room for one that has less.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counts: Counter[str] = Counter()
        self._total = 0
        self._idle: OrderedDict[Place, None] = OrderedDict()
        self._idle_of: dict[str, OrderedDict[Place, None]] = {}
        self._lane: OrderedDict[Place, None] = OrderedDict()  # The one that came, or was idle again, longest ago first.
        # Those who come often come from few addresses, and reading one costs more than all the rest.
        self._network = lru_cache(4096)(self._read)

    @property
    def total(self) -> int:
        """Connections, those in the lane included."""
        return self._total + len(self._lane)

    def take(self, occupant: Occupant, address: str) -> Place | Bound:
        """A place for a connection from `address`, or the bound that it is over where even the lane has none."""
        network, bounded = self._network(address)
        bound: Bound | None = None
        if bounded and self._counts[network] >= self._limits.per_address:
            bound = None if self._make_room(self._idle_of.get(network)) else "address"
        elif self._total >= self._limits.connections:
            bound = None if self._make_room(self._idle) else "total"
        if bound is not None and not self._room_in_lane(network, bounded):
            return bound
        place = Place(self, occupant, network, bound)
        place.exempt = not bounded
        if bound is None:
            self._total += 1
            self._counts[network] += 1
        self.set_idle(place)
        return place

    def make_room(self) -> bool:
        """Let the connection that is idle longest end; false where none is. For when the system itself has no room
        left.
        """
        return self._leave_lane(place for place in self._lane if not place.works) or self._make_room(self._idle)

    def set_idle(self, place: Place) -> None:
        place.works = False
        if place.bound is not None:
            self._lane[place] = None
            self._lane.move_to_end(place)
            return
        self._idle[place] = None
        self._idle_of.setdefault(place.network, OrderedDict())[place] = None

    def set_busy(self, place: Place) -> None:
        place.works = True
        if place.bound is not None:
            return
        self._idle.pop(place, None)
        own = self._idle_of.get(place.network)
        if own is not None:
            own.pop(place, None)
            if not own:
                del self._idle_of[place.network]

    def give_back(self, place: Place) -> None:
        self.set_busy(place)
        if place.bound is not None:
            del self._lane[place]
            return
        self._total -= 1
        self._counts[place.network] -= 1
        if not self._counts[place.network]:
            del self._counts[place.network]

    def _room_in_lane(self, network: str, bounded: bool) -> bool:
        counts = Counter(place.network for place in self._lane)
        idle = [place for place in self._lane if not place.works]
        if bounded and counts[network] >= LANE_OF_NETWORK:
            return self._leave_lane(place for place in idle if place.network == network)
        if len(self._lane) < LANE:
            return True
        if idle:
            most, _ = Counter(place.network for place in idle).most_common(1)[0]
            return self._leave_lane(place for place in idle if place.network == most)
        most, size = counts.most_common(1)[0]
        return size > counts[network] + 1 and self._leave_lane(place for place in self._lane if place.network == most)

    def _leave_lane(self, candidates: Iterable[Place]) -> bool:
        """Let the first of them go; false where there is none."""
        for place in candidates:
            _leave(place)
            return True
        return False

    def _make_room(self, idle: OrderedDict[Place, None] | None) -> bool:
        while idle:
            place = next(iter(idle))
            if place.occupant.owed():
                self.set_busy(place)  # It comes back once the client has everything, so each is passed by once.
                continue
            _leave(place)
            return True
        return False

    def _read(self, address: str) -> tuple[str, bool]:
        """The network of an address, and whether it has a bound: /32, or the /64 that an IPv6 host has to itself."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return NOWHERE, True
        if isinstance(found, IPv6Address):
            found = found.ipv4_mapped or found
        bounded = not any(found in network for network in self._limits.exempt if network.version == found.version)
        if isinstance(found, IPv6Address):
            return f"{int(found) >> 64:x}::/64", bounded
        return str(found), bounded


def _leave(place: Place) -> None:
    # Its connection gives the place back when it has ended; the room is needed now.
    place.free()
    place.occupant.make_room()
