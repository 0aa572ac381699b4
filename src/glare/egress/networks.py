"""In which network a host was when it answered last, for who has to tell whether hosts have to do with one another."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from glare.egress.decision import Address
from glare.shares import Party

_MOST: Final = 10_000


class Networks:
    """The networks (/24 of IPv4, /64 of IPv6) of the hosts that answered last, to any thread of this process.

    Only an address that has answered counts: whoever owns a name may give it the addresses of others, too.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._of: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, host: str, address: Address) -> None:
        """`host` has answered from this address."""
        network = Party.network(str(address)).name
        with self._lock:
            self._of[host] = network
            self._of.move_to_end(host)
            while len(self._of) > self._most:
                self._of.popitem(last=False)

    def of(self, host: str) -> str | None:
        """The network of a host, None where it is not known here."""
        with self._lock:
            return self._of.get(host)
