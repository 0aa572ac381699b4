"""What the server bounds, as numbers."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

Network = IPv4Network | IPv6Network

LANE: Final = 32
"""Connections over the bounds that are open at the same time, to be answered a refusal; a probe among them is
served."""

LANE_OF_NETWORK: Final = 8
"""Those of one address (IPv6: a /64) among them."""

RESERVE: Final = 256
"""File descriptors that are not for connections: the database, stores, origins, logs, metrics, and the lane."""

PER_CONNECTION: Final = 2
"""File descriptors that a connection may need: its socket, and the file that it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one server process. Times are seconds, sizes bytes.

    `connections` in all and `per_address` bound connections; addresses in `exempt` have no bound of their own. A head
    is `head_bytes` long at most and has come `head_seconds` after its connection was opened, or after its first byte. A
    connection may wait `idle_seconds` for its next request. Whoever takes no byte for `stall_seconds`, or less than
    `least_rate` a second while bytes wait for him, is cut off. Without `keep_alive` each connection carries one
    request.
    """

    connections: int = 4096
    per_address: int = 256
    exempt: tuple[Network, ...] = ()
    head_seconds: float = 60.0
    head_bytes: int = 65536
    idle_seconds: float = 75.0
    stall_seconds: float = 60.0
    least_rate: int = 4096
    keep_alive: bool = True

    @property
    def tick(self) -> float:
        """Seconds between two looks at all connections: often enough for the shortest of the times."""
        return min(1.0, min(self.head_seconds, self.idle_seconds, self.stall_seconds) / 4)


def raise_descriptors() -> int:
    """Let this process have as many file descriptors as it may; returns how many. The soft limit is for programs that
    use `select`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


def connections_for(wanted: int, descriptors: int) -> int:
    """How many connections a process can bear that has so many descriptors: `wanted`, or fewer."""
    return max(1, min(wanted, (descriptors - RESERVE) // PER_CONNECTION))


_MOST_DESCRIPTORS: Final = 1 << 20
