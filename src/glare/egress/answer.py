"""Whether the answer of an origin is one that was asked for."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Never

from glare.domain.origins import origin_text
from glare.egress.exchange import Head, Headers
from glare.egress.ranges import Span, check_range
from glare.errors import Cause, OriginFailed

PROOF: Final = "give 'size' and 'sha256' of the bytes that it sends, and they are taken as they come where they match"
"""What helps where the headers leave in doubt whether the bytes are the content, or all of it."""

_SUCCESS: Final = frozenset({200, 203, 206})
_CODING: Final = re.compile(r"[A-Za-z0-9!#$&'*+.^_`|~, -]{1,40}\Z")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller takes.

    `statuses` None takes any; `byte_range` is first and last byte, inclusive; a last one of None is the end. `provable`
    is for who can prove the bytes, or does not want them: taken are then also a body under a content coding, as it
    comes, one that ends with the connection, and one that a proxy on the way says to have transformed (203). `partial`
    takes a beginning of the range, which an origin may send (RFC 9110, 15.3.7).
    """

    method: str
    byte_range: tuple[int, int | None] | None
    statuses: Collection[int] | None
    provable: bool
    partial: bool = False

    def check(self, head: Head) -> Span | None:
        """The range that the body is of the content, None where it is the whole. Raises `OriginFailed` where the answer
        is another one.
        """
        if self.statuses is not None:
            self._check_status(head)
        if self.method == "GET" and head.status in _SUCCESS and not self.provable:
            _check_doubts(head)
        if self.byte_range is None or head.status != 206:
            return None
        return check_range(head, *self.byte_range, partial=self.partial)

    def _check_status(self, head: Head) -> None:
        status = head.status
        if self.statuses is None or status in self.statuses:
            return
        if status == 203 and 200 in self.statuses:
            if not self.provable:
                _fail(f"A proxy before the origin says that it has changed what it sends (203); {PROOF}.", "status 203")
            return
        raise OriginFailed(
            f"The origin answered with status {status}.",
            reason=f"status {status}",
            cause=cause_of_status(status),
            retry_after=origin_text.retry_after(head.headers.get("retry-after"), time.time_ns() // 1000),
        )


def _check_doubts(head: Head) -> None:
    said = coding(head.headers)
    if said is not None:
        quoted = f" {said!r}" if _CODING.match(said) else ""
        _fail(
            f"The origin names a content encoding{quoted} although it was asked for none, so that its bytes may not "
            f"be the content's; {PROOF}.",
            f"content encoding {said[:40]!r}",
        )
    if head.unframed and head.status != 206:  # A range says how long it is.
        _fail(
            f"The origin declares no length for its body, so that a part could not be told from the whole; {PROOF}.",
            "body ends with the connection",
        )


def coding(headers: Headers) -> str | None:
    """The content coding that the origin names, None where it names none, or only `identity`."""
    said = headers.get("content-encoding", "")
    named = [part.strip().lower() for part in said.split(",")]
    return None if all(part in ("", "identity") for part in named) else said.strip()


def cause_of_status(status: int) -> Cause:
    """What an origin means by a status that is no success."""
    return _STATUSES.get(status, Cause.STATUS)


_STATUSES: Final = {
    401: Cause.DENIED,
    403: Cause.DENIED,
    404: Cause.GONE,
    410: Cause.GONE,
    429: Cause.THROTTLED,
    503: Cause.THROTTLED,
}


def _fail(message: str, reason: str) -> Never:
    raise OriginFailed(message, reason=reason)
