"""Tokens that were verified a short while ago, by their hash."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Memory(Generic[V]):
    """Holds `most` values for `seconds` each, and forgets those first that were asked for least lately. Tokens
    themselves are not kept. Threads may share it.
    """

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._values: OrderedDict[bytes, tuple[float, V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, token: str) -> V | None:
        """The value, None where there is none any more."""
        name = _name(token)
        with self._lock:
            found = self._values.get(name)
            if found is None:
                return None
            until, value = found
            if self._clock() >= until:
                del self._values[name]
                return None
            self._values.move_to_end(name)
            return value

    def put(self, token: str, value: V) -> None:
        """Remember a token that was verified just now."""
        name = _name(token)
        with self._lock:
            self._values[name] = (self._clock() + self._seconds, value)
            self._values.move_to_end(name)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def change(self, token: str, value: V) -> None:
        """Another value for a token, for as long as it is still remembered: it was not verified again."""
        name = _name(token)
        with self._lock:
            found = self._values.get(name)
            if found is not None:
                self._values[name] = (found[0], value)

    def __len__(self) -> int:
        return len(self._values)


def _name(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
