"""Bytes that come in parts of any size, and take little more memory than they are long."""

from __future__ import annotations

from typing import Final

_SMALL: Final = 4096
"""Bytes of a part that is joined with its neighbours: an object of its own would cost more than it is worth."""


class Parts:
    """Bytes in order. Large parts are kept as they came, so that a body that is one part is never copied.

    >>> parts = Parts()
    >>> parts.add(b"a")
    >>> parts.add(b"b")
    >>> len(parts), parts.take(), len(parts)
    (2, b'ab', 0)
    """

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes | bytearray] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, part: bytes) -> None:
        """Append `part`."""
        if not part:
            return
        self._size += len(part)
        last = self._parts[-1] if self._parts else None
        if len(part) >= _SMALL or last is None:
            self._parts.append(part)
        elif isinstance(last, bytearray):
            last += part
        elif len(last) < _SMALL:
            self._parts[-1] = bytearray(last + part)
        else:
            self._parts.append(part)

    def take(self) -> bytes:
        """All of them, which are forgotten here."""
        only = self._parts[0] if len(self._parts) == 1 else None
        whole = only if isinstance(only, bytes) else b"".join(self._parts)
        self.clear()
        return whole

    def clear(self) -> None:
        """Forget them."""
        self._parts.clear()
        self._size = 0
