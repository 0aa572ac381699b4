"""Reading an object out of a bucket: streams of its keys, one after the other, that go on where one has broken off."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from glare.errors import NotFound
from glare.stores.contract import ObjectFailed
from glare.stores.objects.remote import Broken, Coming, Missing, RemoteKeys

_log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Patience:
    """How often in a row a stream is begun again that brings nothing, and the pause between two tries in seconds, which
    grows up to `longest`.
    """

    tries: int
    longest: float
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes `start` to `end` (excluded) of a key."""

    key: str
    start: int
    end: int


class ObjectReader:
    """Reads `spans`, one after the other. `begun` is the answer to the request for the first, where there is one."""

    def __init__(
        self, bucket: RemoteKeys, spans: Sequence[Span], patience: Patience, begun: Coming | None = None
    ) -> None:
        self._bucket = bucket
        self._spans = list(reversed(spans))
        self._patience = patience
        self._pieces: Iterator[bytes] | None = None if begun is None else begun.pieces
        self._at = spans[0].start if spans else 0
        self._rest = memoryview(b"")
        self._failed = 0

    def read(self, n: int) -> bytes:
        while not self._rest:
            if not self._spans:
                return b""
            if self._at >= self._spans[-1].end:
                self._spans.pop()
                self._pieces = None
                self._at = self._spans[-1].start if self._spans else 0
                continue
            self._rest = memoryview(self._piece())
            self._at += len(self._rest)
        data, self._rest = self._rest[:n], self._rest[n:]
        return bytes(data)

    def close(self) -> None:
        self._pieces = None
        self._spans.clear()
        self._rest = memoryview(b"")

    def _piece(self) -> bytes:
        """The next bytes of the span, which has some."""
        span = self._spans[-1]
        while True:
            try:
                if self._pieces is None:
                    self._pieces = self._bucket.get(span.key, self._at, span.end).pieces
                piece = next(self._pieces, b"")
                if not piece:
                    raise Broken("the body ended early")
            except Missing:
                raise lost(self._bucket.store) from None
            except Broken as broken:
                self._pieces = None
                self._pause(broken)
            else:
                self._failed = 0
                return piece

    def _pause(self, broken: Broken) -> None:
        """Wait before the next try. Raises `ObjectFailed` after the last one."""
        self._failed += 1
        if self._failed >= self._patience.tries:
            raise failing(self._bucket.store, broken)
        pause = min(_FIRST_PAUSE * 2.0 ** (self._failed - 1), self._patience.longest)
        _log.info("a store broke off; its object is read on", extra={"tries": self._failed, "reason": str(broken)})
        self._patience.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - it spreads tries, and hides nothing


def lost(store: str) -> NotFound:
    """The error for bytes that are not there."""
    return NotFound(f"Store {store!r} does not have these bytes; tell its operator, who may have a copy of them.")


def failing(store: str, why: Exception) -> ObjectFailed:
    """The error for an object that does not come as it was announced."""
    return ObjectFailed(f"Store {store!r} does not deliver this object as it should: {why}. Tell its operator.")
