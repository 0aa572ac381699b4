"""The whole of what a URL has, of whose bytes nothing is known yet, from as many answers as it takes.

Two answers are parts of one content only where both carry the same strong entity tag (RFC 9110, 15.3.7.3). Without one, and where the
content has changed in between, the reading begins anew, once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, Protocol

from glare.domain import origin_text
from glare.egress.response import Response
from glare.egress.settings import EgressSettings
from glare.errors import Cause, OriginFailed

_NO_HEADERS: Final[Mapping[str, str]] = {}


class Ask(Protocol):
    """Sends a request for a range (None for the whole), with these headers. Raises as `EgressClient.open` does."""

    def __call__(self, byte_range: tuple[int, None] | None, headers: Mapping[str, str], /) -> Response: ...


class WholeBody:
    """A reader of a whole content. `response` is the answer that is read now; `total` is how many bytes of the content were read.

    `size` is how many bytes the caller expects, None where it expects nothing. It must be closed.
    """

    def __init__(self, ask: Ask, settings: EgressSettings, size: int | None = None) -> None:
        self._ask = ask
        self._left = settings.resumptions
        self._anew_left = min(1, settings.resumptions)
        self._until = time.monotonic() + settings.body_seconds
        self._size = size
        self._since = 0  # Bytes since the last answer began.
        self.total = 0
        self.response = ask(None, _NO_HEADERS)

    def read(self, size: int) -> bytes | None:
        """Up to `size` bytes, b"" at the end; None where the content begins anew, and what was read before is void.

        Raises `OriginFailed` where it cannot be had whole.
        """
        while True:
            try:
                data = self.response.read(size)
                if not data:
                    self._require_end()
            except OriginFailed as error:
                if self._is_all(error):
                    return b""
                if not self._go_on(error):
                    return None
            else:
                self._since += len(data)
                self.total += len(data)
                return data

    def close(self) -> None:
        """Close the connection."""
        self.response.close()

    def _require_end(self) -> None:
        span = self.response.span
        if span is not None and span.whole is not None and span.last + 1 < span.whole:
            raise OriginFailed(
                f"The origin sent {self.total} of {span.whole} bytes.", reason="a part", cause=Cause.INCOMPLETE
            )

    def _is_all(self, error: OriginFailed) -> bool:
        """Whether a body whose end nothing tells was broken off after as many bytes as are expected; its digest decides."""
        return self.response.unframed and error.cause is Cause.INCOMPLETE and self.total == self._size

    def _go_on(self, error: OriginFailed) -> bool:
        """Have another answer: True where it goes on, False where it begins anew. Raises `error` where neither may be."""
        breaks = error.cause is Cause.INCOMPLETE and self._since > 0 and time.monotonic() < self._until
        if not breaks:
            raise error
        tag = strong_tag(self.response)
        self.response.close()
        other: Response | None = None
        if tag is not None and self._left > 0:
            self._left -= 1
            self._since = 0
            other = self.response = self._ask((self.total, None), {"If-Range": tag})
            if other.span is not None and strong_tag(other) == tag:
                return True
        if self._anew_left == 0:
            self.close()
            raise error
        self._anew_left -= 1
        self._since = self.total = 0
        if other is None or other.span is not None:  # An answer to `If-Range` that is the whole is read as it is.
            self.close()
            self.response = self._ask(None, _NO_HEADERS)
        return False


def strong_tag(response: Response) -> str | None:
    """The entity tag of an answer, where it is a strong one."""
    tag = origin_text.entity_tag(response.headers.get("etag"))
    return None if tag is None or tag.startswith("W/") else tag
