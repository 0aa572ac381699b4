"""The bytes of a recorded content as one origin sends them, from a position on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from glare.digest import BLOCK
from glare.domain.blob import Blob, External
from glare.egress.asked import Asked
from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient
from glare.egress.response import Response
from glare.errors import Cause, GlareError, OriginFailed
from glare.operations.reading.asking_order import Turn
from glare.operations.shared_fetch import MESSAGE

_PIECE: Final = 256 << 10


class RangesUnknown(OriginFailed):
    """The origin answers a range with the whole, and what comes before the range is more than may be read for it."""


@dataclass(frozen=True, slots=True)
class Asking:
    """On whose behalf an origin is asked. `took` is called with the bytes of each piece, those that are dropped
    included.

    `skip` bytes may be dropped before a range where the origin knows none; `rangeless` is called when that shows.
    """

    cdn_loop: str
    cancellation: Cancellation
    took: Callable[[int], None] = lambda _: None
    skip: int = sys.maxsize
    rangeless: Callable[[], None] = lambda: None


class OriginBlocks:
    """An origin, asked for the bytes `start` to `end` (exclusive) of a content of `size` bytes.

    It may answer a range with the whole: then what comes before is read and dropped. It may answer it in parts (RFC
    9110, 15.3.7): then it is asked for the rest. Whoever reads proves the bytes by recorded digests, so whatever coding
    they are said to have does not matter, and neither does how the end of a body is marked. Raises as
    `EgressClient.open` does, and `OriginFailed` where the origin ends early or announces another content,
    `RangesUnknown`.
    """

    def __init__(
        self,
        egress: EgressClient,
        turn: Turn,
        span: tuple[int, int],
        size: int,
        asking: Asking,
    ) -> None:
        location = turn.blob.location
        if not isinstance(location, External):
            raise AssertionError("only an external blob has an origin")  # noqa: TRY004 - a defect of ours
        self._url = egress.parse(location.url)
        self._position, self._end = span
        self._size = size
        self._asking = asking
        self._crumbs_left = egress.settings.resumptions
        self._answer_end = 0
        self.whole = False
        plain = Asked(cdn_loop=asking.cdn_loop, provable=True, hurried=turn.hurried, partial=True)
        self._ask: Callable[[tuple[int, int] | None], Response] = lambda wanted: egress.open(
            self._url, replace(plain, byte_range=wanted), asking.cancellation
        )
        self.blob: Blob = turn.blob
        self._response = self._answer()

    @property
    def elsewhere(self) -> bool:
        """Whether a redirect has led to who answers, so that another try may find somebody else."""
        return self._response.url != self._url

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes."""
        return self._read_exactly(size)

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    def _answer(self) -> Response:
        """An answer whose body is read up to the position."""
        everything = self._position == 0 and self._end == self._size
        response = self._response = self._ask(None if everything else (self._position, self._end - 1))
        try:
            self._check(response)
        except GlareError:
            response.close()
            raise
        return response

    def _check(self, response: Response) -> None:
        span = response.span
        if span is not None:
            self._answer_end = span.last + 1
            if self._answer_end < self._end and span.last - span.first < BLOCK:
                self._crumbs_left -= 1
                if self._crumbs_left < 0:
                    raise OriginFailed(MESSAGE, reason="origin sends ranges in crumbs")
            return
        self.whole = self._position > 0
        self._answer_end = self._size
        if response.length is not None and response.length != self._size:
            raise OriginFailed(MESSAGE, reason=f"origin announces {response.length} bytes instead of {self._size}")
        wanted, self._position = self._position, 0
        if wanted:
            self._asking.rangeless()
        if wanted > self._asking.skip:
            raise RangesUnknown(MESSAGE, reason=f"origin knows no ranges, and {wanted} bytes come before this one")
        self._read_exactly(wanted, keep=False)

    def _read_exactly(self, size: int, *, keep: bool = True) -> bytes:
        pieces = []
        left = size
        while left:
            if self._position == self._answer_end:
                self._response.close()
                self._answer()
            piece = self._response.read(min(left, _PIECE, self._answer_end - self._position))
            if not piece:
                raise OriginFailed(
                    MESSAGE, reason=f"origin ended at {self._position} of {self._answer_end}", cause=Cause.INCOMPLETE
                )
            self._asking.took(len(piece))
            left -= len(piece)
            self._position += len(piece)
            if keep:
                pieces.append(piece)
        return b"".join(pieces)
