"""The whole of what a URL has, of whose bytes nothing is known yet, from as many answers as it takes.

Two answers are parts of one content only where both carry the same strong entity tag (RFC 9110, 15.3.7.3) and agree
about its length. Without that, and where the content has changed in between, the reading begins anew, once. A part ends
the content only where its length is known: from any of the answers, or from who can prove the bytes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, Protocol

from glare.domain.origins import origin_text
from glare.egress.ranges import Span
from glare.egress.response import Response
from glare.egress.settings import EgressSettings
from glare.errors import Cause, OriginFailed

_NO_HEADERS: Final[Mapping[str, str]] = {}


class Ask(Protocol):
    """Sends a request for a range (None for the whole), with these headers. Raises as `EgressClient.open` does."""

    def __call__(self, byte_range: tuple[int, None] | None, headers: Mapping[str, str], /) -> Response: ...


class WholeBody:
    """A reader of a whole content. `response` is the answer that is read now, `began` the one with which the content
    began.

    `total` is how many bytes of the content were read. `size` is how many bytes the caller expects and can prove by a
    digest, None where it cannot. It must be closed.
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
        self.began = self.response
        self._whole = self.response.length  # How many bytes the content has, as far as its origin has said.

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
                self._require_in_range()
                return data

    def close(self) -> None:
        """Close the connection."""
        self.response.close()

    def _require_end(self) -> None:
        """A part that was whole is the last one only where it reaches the end of the content."""
        known = self._size if self._whole is None else self._whole
        if self.response.span is not None and (known is None or self.total < known):
            raise OriginFailed(
                f"The origin sent {self.total} of {known} bytes.", reason="a part", cause=Cause.INCOMPLETE
            )

    def _require_in_range(self) -> None:
        span = self.response.span
        if span is not None and self.total > span.last + 1:  # A chunked part does not tell its length before.
            raise OriginFailed("The origin sends more than the range that it names.", reason="longer than its range")

    def _is_all(self, error: OriginFailed) -> bool:
        """Whether a body whose end nothing tells was broken off after as many bytes as are expected; its digest
        decides.
        """
        return self.response.unframed and error.cause is Cause.INCOMPLETE and self.total == self._size

    def _go_on(self, error: OriginFailed) -> bool:
        """Have another answer: True where it goes on, False where it begins anew. Raises `error` where neither may
        be.
        """
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
            if other.span is not None and strong_tag(other) == tag and self._agrees(other.span):
                return True
        if self._anew_left == 0:
            self.close()
            raise error
        self._anew_left -= 1
        self._since = self.total = 0
        if other is None or other.span is not None:  # An answer to `If-Range` that is the whole is read as it is.
            self.close()
            self.response = self._ask(None, _NO_HEADERS)
        self.began, self._whole = self.response, self.response.length
        return False

    def _agrees(self, span: Span) -> bool:
        """Whether a part fits the length that is known, or tells one. Where nobody knows it, a part could be the last
        one or not.
        """
        if self._whole is None:
            self._whole = span.whole
        if self._whole is None:
            return self._size is not None
        return span.whole in (None, self._whole) and span.last < self._whole


def strong_tag(response: Response) -> str | None:
    """The entity tag of an answer, where it is a strong one."""
    tag = origin_text.entity_tag(response.headers.get("etag"))
    return None if tag is None or tag.startswith("W/") else tag
