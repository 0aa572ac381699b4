"""Bounds on connections, and who makes room for whom."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from glare.server.limits import LANE, LANE_OF_NETWORK, RESERVE, Limits, connections_for
from glare.server.places import Place, Places

pytestmark = pytest.mark.sqlite  # The server knows of no database.


@dataclass(eq=False)
class Peer:
    """A connection that remembers whether it was ended."""

    ended: bool = False
    reads: bool = False

    def owed(self) -> bool:
        return self.reads

    def make_room(self) -> None:
        self.ended = True


class Hall:
    """Places, and whoever has come in."""

    def __init__(self, limits: Limits) -> None:
        self.places = Places(limits)
        self.peers: dict[int, Peer] = {}

    def enter(self, address: str) -> Place:
        """A connection from `address`, which gets a place."""
        peer = Peer()
        place = self.places.take(peer, address)
        assert isinstance(place, Place)
        self.peers[id(place)] = peer
        return place

    def work(self, address: str) -> Place:
        """A connection with a request under way."""
        place = self.enter(address)
        place.busy()
        return place

    def ended(self, place: Place) -> bool:
        return self.peers[id(place)].ended


def test_over_the_bound_of_an_address_its_own_idlest_connection_makes_room() -> None:
    """Another address keeps its connections, though it has the one that is idle longest."""
    hall = Hall(Limits(per_address=2))
    other = hall.enter("192.0.2.1")
    first, second = hall.enter("192.0.2.2"), hall.enter("192.0.2.2")
    third = hall.enter("192.0.2.2")
    assert [hall.ended(place) for place in (other, first, second, third)] == [False, True, False, False]
    assert hall.places.total == 3


def test_who_still_reads_an_answer_makes_no_room_until_it_has_read_it() -> None:
    """The next idle one does; the reader counts as idle again once it says so."""
    hall = Hall(Limits(per_address=2))
    reader, idle = hall.enter("192.0.2.2"), hall.enter("192.0.2.2")
    hall.peers[id(reader)].reads = True
    hall.enter("192.0.2.2").busy()
    assert [hall.ended(place) for place in (reader, idle)] == [False, True]
    hall.peers[id(reader)].reads = False
    assert hall.places.take(Peer(), "192.0.2.2") is not None
    assert not hall.ended(reader)
    reader.idle()
    hall.enter("192.0.2.2")
    assert hall.ended(reader)


def test_a_request_under_way_makes_no_room() -> None:
    """Where an address has only connections that work, its next one is over the bound; one that is idle again makes
    room.
    """
    hall = Hall(Limits(per_address=2))
    first, _ = hall.work("192.0.2.2"), hall.work("192.0.2.2")
    assert hall.enter("192.0.2.2").bound == "address"
    assert hall.enter("192.0.2.3").bound is None
    first.idle()
    assert hall.enter("192.0.2.2").bound is None
    assert hall.ended(first)


def test_over_the_bound_in_all_whoever_is_idle_longest_makes_room() -> None:
    """Having worked makes a connection young again."""
    hall = Hall(Limits(connections=3))
    first, second, third = (hall.enter(f"192.0.2.{number}") for number in range(3))
    first.busy()
    first.idle()
    assert hall.enter("192.0.2.9").bound is None
    assert [hall.ended(place) for place in (first, second, third)] == [False, True, False]


def test_addresses_of_trusted_proxies_have_no_bound_of_their_own() -> None:
    """They count in all like everybody."""
    hall = Hall(Limits(connections=5, per_address=1, exempt=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))))
    for address in ("192.0.2.2", "192.0.2.2", "::ffff:192.0.2.2", "2001:db8::1", "2001:db8::1"):
        assert hall.work(address).bound is None
    assert hall.enter("198.51.100.1").bound == "total"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("no address", "none either", True),
    ],
)
def test_what_is_one_address(one: str, other: str, same: bool) -> None:
    """An IPv4 address however it is written, and the /64 that an IPv6 host may choose its addresses from."""
    hall = Hall(Limits(per_address=1))
    hall.work(one)
    assert hall.enter(other).bound == ("address" if same else None)


def test_the_lane_keeps_a_place_for_who_has_few_there() -> None:
    """A flood of one network pushes itself out of the lane, and nobody else."""
    hall = Hall(Limits(connections=1))
    hall.work("192.0.2.1")
    probe = hall.enter("198.51.100.1")
    flood = [hall.enter("192.0.2.2") for _ in range(3 * LANE)]
    assert not hall.ended(probe)
    assert [hall.ended(place) for place in flood].count(False) == LANE_OF_NETWORK
    assert not hall.ended(flood[-1])
    assert hall.places.total == 2 + LANE_OF_NETWORK


def test_a_probe_that_is_served_in_the_lane_is_left_alone() -> None:
    """Where the lane is full of those, one of each network, a new connection is refused without an answer."""
    hall = Hall(Limits(connections=1))
    hall.work("192.0.2.1")
    served = [hall.work(f"198.51.100.{number}") for number in range(LANE)]
    assert hall.places.take(Peer(), "203.0.113.2") == "total"
    served[0].free()
    assert hall.enter("203.0.113.2").bound == "total"
    assert not any(hall.ended(place) for place in served)


def test_a_network_has_few_places_in_the_lane() -> None:
    """Probes of one network that are all under way leave the lane to others; its next one has no place until one of
    them is idle again. Where all its clients come by way of a trusted proxy, the lane is the only bound.
    """
    hall = Hall(Limits(connections=1, exempt=(ip_network("192.0.2.9"),)))
    hall.work("192.0.2.1")
    flood = [hall.work("198.51.100.1") for _ in range(LANE_OF_NETWORK)]
    assert hall.places.take(Peer(), "198.51.100.1") == "total"
    assert hall.enter("198.51.100.2").bound == "total"
    flood[3].idle()
    assert hall.enter("198.51.100.1").bound == "total"
    assert [hall.ended(place) for place in flood].index(True) == 3
    assert [hall.work("192.0.2.9").bound for _ in range(LANE - LANE_OF_NETWORK - 1)][-1] == "total"


def test_probes_of_many_networks_make_room_for_one_more() -> None:
    """Where nobody is idle in a full lane, the oldest request of the network that has most makes room for one that has
    none.
    """
    hall = Hall(Limits(connections=1))
    hall.work("192.0.2.1")
    served = [hall.work(f"198.51.100.{number % 4}") for number in range(LANE)]
    assert hall.enter("203.0.113.2").bound == "total"
    assert [hall.ended(place) for place in served].index(True) == 0
    assert sum(hall.ended(place) for place in served) == 1


def test_places_come_back() -> None:
    """Whatever a connection was doing when it ended, and however often it is said to have ended."""
    hall = Hall(Limits(connections=2, per_address=2))
    for _ in range(100):
        idle, busy = hall.enter("192.0.2.1"), hall.work("192.0.2.1")
        over = hall.work("192.0.2.1") if hall.places.total > 2 else None
        for place in (idle, busy, over):
            if place is not None:
                place.free()
                place.free()
                place.idle()
    assert hall.places.total == 0
    assert hall.work("192.0.2.1").bound is None


def test_connections_leave_descriptors_for_everything_else() -> None:
    """Each may need two, and the reserve is nobody's."""
    assert connections_for(4096, 1024) == (1024 - RESERVE) // 2
    assert connections_for(100, 1024) == 100
    assert connections_for(4096, 1 << 20) == 4096
    assert connections_for(4096, 64) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("::ffff:192.0.2.1", "192.0.2.2", True),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("no address", "192.0.2.1", False),
    ],
)
def test_neighbours_share_their_turns(one: str, other: str, same: bool) -> None:
    """Whoever has a whole /24 gets no more turns than who has one address of another; bounds are counted by address."""
    hall = Hall(Limits())
    assert (hall.enter(one).neighbours == hall.enter(other).neighbours) == same
