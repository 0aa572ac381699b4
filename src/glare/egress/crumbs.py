"""A pause for origins that send crumbs, so that the size of their pieces does not matter to anybody else.

Each piece that is taken from a socket, and each chunk, costs work and a turn of the interpreter, whatever its size. A
body earns turns by its bytes. One that takes more than it earns waits a little before the next, and meanwhile the
system gathers what arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_FREE: Final = 64 << 10  # Bytes' worth of turns that any body has: heads and ends are small by nature.

PER_RECEIVE: Final = 1 << 10
"""Bytes that pay for one call of the socket."""
PER_CHUNK: Final = 4 << 10
"""Bytes that pay for one chunk, which is taken apart in Python."""
_PAUSE: Final = 0.01
_TURNS: Final = 4  # In a pause's time.


class Thrift:
    """The account of one body: every turn costs `price` bytes. `pause` takes seconds."""

    def __init__(self, price: int, pause: Callable[[float], object]) -> None:
        self._price = price
        self._pause = pause
        self._credit = _FREE

    def took(self, size: int) -> None:
        """A turn has brought `size` bytes."""
        self._credit = min(_FREE, self._credit + size - self._price)
        if self._credit <= -_TURNS * self._price:
            self._credit = 0
            self._pause(_PAUSE)
