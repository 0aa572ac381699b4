"""The body of an answer as a reader, watched for rate and for its true length."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import h11

from glare.egress.crumbs import PER_CHUNK, PER_RECEIVE, Thrift
from glare.egress.exchange import PIECE, Head, protocol_reason
from glare.egress.ranges import Span
from glare.egress.settings import EgressSettings
from glare.egress.url import Url
from glare.egress.wire import Wire
from glare.errors import Cause, Contact, OriginFailed

_FREE_FRAMING = 64 << 10  # Bytes of chunk framing that any body may have,
_CONTENT_PER_FRAMING = 16  # and how much content must come with each further one.
_FREE_CHUNKS = 512  # Chunks that any body may have, however small.
_PARTING = 0.2  # How long the origin may take to close after the last byte before we stop looking for more of them.


class Pace:
    """Judges an origin by its bytes and by the time that was spent waiting for them, window after window."""

    def __init__(self, settings: EgressSettings) -> None:
        self._settings = settings
        self._window = settings.grace_seconds
        self._waited = 0.0
        self._bytes = 0
        self._left = settings.body_seconds

    def patience(self) -> float:
        """Seconds to wait at most before `took` must be called."""
        return max(0.001, min(self._window - self._waited, self._left))

    def took(self, seconds: float, size: int) -> None:
        """Account for one wait. Raises `OriginFailed` where the origin is too slow."""
        self._waited += seconds
        self._left -= seconds
        self._bytes += size
        if self._left <= 0:
            limit = self._settings.body_seconds
            raise OriginFailed(
                f"The origin took longer than {limit:g} s to send the body.",
                reason="body deadline",
                cause=Cause.TIMEOUT,
            )
        if self._waited >= self._window:
            if self._bytes < self._settings.minimum_rate * self._waited:
                rate = self._settings.minimum_rate
                raise OriginFailed(
                    f"The origin sends less than {rate} bytes per second.", reason="too slow", cause=Cause.TIMEOUT
                )
            self._window, self._waited, self._bytes = self._settings.window_seconds, 0.0, 0


class _Framing(Protocol):
    """Takes a body out of a connection."""

    def take(self, size: int) -> bytes: ...
    def beyond(self) -> bool:
        """Whether bytes were received beyond the end of the body."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """The head of an answer; `url` is the one after redirects, `span` the range of the content that the body is, None
    for the whole, `contact` how it was reached.
    """

    head: Head
    url: Url
    span: Span | None
    contact: Contact


class Response:
    """An answer whose headers are there and whose body is read from the origin as the caller reads it.

    `length` is the declared number of bytes, None for a chunked body; `unframed` whether it ends with the connection,
    so that nothing but its bytes says whether it was whole. It must be closed. `cancel` may come from any thread.
    """

    def __init__(
        self,
        answered: Answered,
        wire: Wire,
        state: h11.Connection,
        pace: Pace,
        ended: Callable[[str, str, int], None],
    ) -> None:
        head = answered.head
        self.contact = answered.contact
        self.status = head.status
        self.headers = head.headers
        self.length = head.length
        self.url = answered.url
        self.span = answered.span
        self.unframed = head.unframed
        self._wire = wire
        self._pace = pace
        self._ended = ended
        self._count = 0
        self._finished = head.bodiless
        self._outcome = ("ok", "") if self._finished else ("abandoned", "closed before the end of the body")
        self._closed = False
        self._failure: OriginFailed | None = None
        self._thrift = Thrift(PER_RECEIVE, self._pause)
        self._framing: _Framing = (
            _Chunked(state, self._receive, Thrift(PER_CHUNK, self._pause))
            if head.length is None
            else _Counted(head.length, state, self._receive)
        )

    def read(self, size: int) -> bytes:
        """Up to `size` bytes (at least one), b"" at the end of a body that was whole.

        Raises `OriginFailed` where the body ends early, is longer than declared, breaks, stalls, or was cancelled.
        """
        if self._finished:
            return b""
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise OriginFailed("The origin's answer was closed before its end.", reason="read after close")
        try:
            data = self._framing.take(max(1, size))
            if not data:
                self._part()
        except OriginFailed as error:
            error.contact = self.contact
            self._failure = error  # A failed body must never look like one that ended.
            self._outcome = ("failed", error.reason)
            self.close()
            raise
        self._count += len(data)
        return data

    def cancel(self) -> None:
        """End a read that waits, and all later ones, with `OriginFailed`."""
        self._wire.cancel()

    def dismiss(self) -> None:
        """Close the connection: its reader wants no more of the body, which is no failure of anybody's."""
        if self._failure is None:
            self._outcome = ("ok", "")
        self.close()

    def close(self) -> None:
        """Close the connection, whatever is left of the body."""
        if not self._closed:
            self._closed = True
            self._wire.close()
            if self._count == self.length and self._failure is None:
                self._outcome = ("ok", "")  # Its reader need not ask for the end of a body whose length it knows.
            self._ended(*self._outcome, self._count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _part(self) -> None:
        """The body is whole; an origin that sends more than it declared is not believed."""
        if self._framing.beyond() or self._more():
            raise OriginFailed("The origin sends more bytes than it declared.", reason="longer than declared")
        if self.span is not None and self._count != (length := self.span.last - self.span.first + 1):
            raise OriginFailed(
                f"The origin sent {self._count} of the {length} bytes of a range.",
                reason="not the length of the range",
                cause=Cause.INCOMPLETE if self._count < length else Cause.PROTOCOL,
            )
        self._finished = True
        self._outcome = ("ok", "")

    def _more(self) -> bool:
        try:
            return bool(self._wire.receive(1, _PARTING))
        except (OSError, ValueError):
            return False

    def _receive(self, size: int) -> bytes:
        """Bytes from the wire; none at its end. The wait counts against the origin's rate."""
        while True:
            began = time.monotonic()
            try:
                data = self._wire.receive(size, self._pace.patience())
            except TimeoutError:
                self._pace.took(time.monotonic() - began, 0)
                continue
            except ssl.SSLError as error:
                raise self._broken(f"TLS: {error}") from error
            except (OSError, ValueError) as error:
                raise self._broken(f"{error}") from error
            self._pace.took(time.monotonic() - began, len(data))
            if len(data) < size:
                self._thrift.took(len(data))
            return data

    def _pause(self, seconds: float) -> None:
        """Let the bytes of an origin that sends crumbs gather. Its rate is judged by the time without."""
        time.sleep(seconds)

    def _broken(self, reason: str) -> OriginFailed:
        return OriginFailed(
            f"The origin broke the connection after {self._count} bytes.", reason=reason, cause=Cause.INCOMPLETE
        )


class _Counted:
    """A body of a declared length. It bypasses h11, which would copy every byte twice."""

    def __init__(self, length: int, state: h11.Connection, receive: Callable[[int], bytes]) -> None:
        self._length = length
        self._receive = receive
        early, _ = state.trailing_data
        self._waiting = memoryview(early)[:length]
        self._beyond = len(early) > length
        self._left = length

    def take(self, size: int) -> bytes:
        if not self._left:
            return b""
        if self._waiting:
            data, self._waiting = bytes(self._waiting[:size]), self._waiting[size:]
        else:
            data = self._receive(min(size, self._left, PIECE))
        if not data:
            done = self._length - self._left
            raise OriginFailed(
                f"The origin ended the body after {done} of {self._length} bytes.",
                reason="shorter than declared",
                cause=Cause.INCOMPLETE,
            )
        self._left -= len(data)
        return data

    def beyond(self) -> bool:
        return self._beyond


class _Chunked:
    """A chunked body, taken apart by h11.

    Framing that is long against the content (many tiny chunks, or long extensions) is refused; small chunks have to
    wait.
    """

    def __init__(self, state: h11.Connection, receive: Callable[[int], bytes], thrift: Thrift) -> None:
        self._state = state
        self._receive = receive
        self._waiting = memoryview(b"")
        self._received = len(state.trailing_data[0])
        self._content = 0
        self._chunks = 0
        self._thrift = thrift
        self._ended = False  # The connection, and with it the body, or what there is of it.

    def take(self, size: int) -> bytes:
        while not self._waiting:
            try:
                event = self._state.next_event()
                if event is h11.NEED_DATA:
                    self._more()
            except h11.RemoteProtocolError as error:
                cause = Cause.INCOMPLETE if self._ended else Cause.PROTOCOL
                raise OriginFailed(
                    "The origin's chunked body is broken or ends early.", reason=protocol_reason(error), cause=cause
                ) from error
            if isinstance(event, h11.Data):
                self._waiting = memoryview(bytes(event.data))
                self._content += len(self._waiting)
                self._chunks += 1
                if self._chunks > _FREE_CHUNKS and self._content < _CONTENT_PER_FRAMING * self._chunks:
                    raise self._crumbs()
                self._thrift.took(len(self._waiting))
            elif event is not h11.NEED_DATA:
                return b""
        data, self._waiting = bytes(self._waiting[:size]), self._waiting[size:]
        return data

    def beyond(self) -> bool:
        return bool(self._state.trailing_data[0])

    def _crumbs(self) -> OriginFailed:
        return OriginFailed("The origin sends its body in crumbs.", reason="chunks too small")

    def _more(self) -> None:
        # All that was received is either content that was given out or framing, but for one unfinished chunk header.
        if self._received - self._content > _FREE_FRAMING + self._content // _CONTENT_PER_FRAMING:
            raise self._crumbs()
        data = self._receive(PIECE)
        self._ended = not data
        self._received += len(data)
        self._state.receive_data(data)
