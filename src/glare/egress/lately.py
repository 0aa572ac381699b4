"""What has failed a short while ago, so that it is asked after what has not. In memory, for this process alone."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")


class Lately:
    """Remembers at most `most` failures, each for `seconds`. It changes an order and never keeps anybody out.

    Keys are anything that can be one: the address and port of a server, the id of a location. Threads may share it.
    """

    def __init__(self, seconds: float, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._failed: OrderedDict[Hashable, float] = OrderedDict()  # The latest failure last.
        self._lock = threading.Lock()

    def failed(self, key: Hashable) -> None:
        """It has failed just now."""
        with self._lock:
            self._failed[key] = self._clock()
            self._failed.move_to_end(key)
            while len(self._failed) > self._most:
                self._failed.popitem(last=False)

    def worked(self, key: Hashable) -> None:
        """It has worked, and what was before is forgotten."""
        with self._lock:
            self._failed.pop(key, None)

    def has_failed(self, key: Hashable) -> bool:
        """Whether it failed within the last `seconds`, and has not worked since."""
        return self._when(key) is not None

    def ordered(self, items: Iterable[_Item], keys: Callable[[_Item], Iterable[Hashable]]) -> list[_Item]:
        """The items in their order, but those of which one of `keys` has failed lately at the end: what failed longest
        ago first.
        """
        failures = [(self._latest(keys(item)), item) for item in items]
        well = [item for when, item in failures if when is None]
        ill = sorted(((when, at) for at, (when, _) in enumerate(failures) if when is not None))
        return well + [failures[at][1] for _, at in ill]

    def _latest(self, keys: Iterable[Hashable]) -> float | None:
        return max((when for when in map(self._when, keys) if when is not None), default=None)

    def _when(self, key: Hashable) -> float | None:
        with self._lock:
            when = self._failed.get(key)
            if when is not None and self._clock() - when >= self._seconds:
                del self._failed[key]
                return None
            return when
