"""One HTTP/1.1 request on one connection, up to the headers of its answer. Framing and grammar are those of h11."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import h11

from glare.egress.wire import Timing, Wire
from glare.errors import Cause, OriginFailed

PIECE: Final = 256 << 10
"""Most bytes that are taken from a socket at once."""
_HEAD_PIECE: Final = 16 << 10


class Headers(Mapping[str, str]):
    """The header fields of an answer, by name in any case; a repeated field is joined with commas."""

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            self._fields.setdefault(name.decode("ascii").lower(), []).append(value.decode("latin-1"))

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._fields[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def all(self, name: str) -> list[str]:
        """Every value of a field, as it came."""
        return list(self._fields.get(name.lower(), ()))


@dataclass(frozen=True, slots=True)
class Head:
    """The final status and headers.

    `length` is the declared one of the content, None where none is; `bodiless` where no body follows whatever is
    declared (answers to HEAD, 204, 304, and redirects, whose bodies are not read); `unframed` where the body ends with
    the connection, so that nobody can tell the whole of it from a part.
    """

    status: int
    headers: Headers
    length: int | None
    bodiless: bool
    unframed: bool = False


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Bytes of all headers, interim ones included, and the number of final ones."""

    size: int
    count: int


def protocol_reason(error: h11.RemoteProtocolError) -> str:
    """What is wrong with an answer, without the bytes that are: they may be a redirect with a signature."""
    return f"protocol: {str(error).partition(':')[0]}"


def ask(
    wire: Wire, state: h11.Connection, request: h11.Request, body: bytes, limits: HeadLimits, timing: Timing
) -> Head:
    """Send `request` and wait for its final answer. Raises `OriginFailed`."""
    try:
        sent = (state.send(request) or b"") + (state.send(h11.Data(data=body)) or b"" if body else b"")
        wire.send(sent + (state.send(h11.EndOfMessage()) or b""), timing.deadline.remaining())
        response = _final(wire, state, limits, timing)
    except h11.RemoteProtocolError as error:
        raise OriginFailed("The origin's answer is not valid HTTP/1.1.", reason=protocol_reason(error)) from error
    except TimeoutError:
        raise timing.silent("timeout") from None
    except ssl.SSLError as error:
        raise OriginFailed("The origin broke the TLS connection.", reason=f"TLS: {error}", cause=Cause.TLS) from error
    except OSError as error:
        raise OriginFailed(
            "The origin closed the connection without an answer.", reason=f"{error}", cause=Cause.CONNECT
        ) from error
    if len(response.headers) > limits.count:
        raise OriginFailed("The origin's answer has too many headers.", reason=f"{len(response.headers)} headers")
    return _framed(response, request.method)


def _final(wire: Wire, state: h11.Connection, limits: HeadLimits, timing: Timing) -> h11.Response:
    received = 0
    first = timing.answering()
    while True:
        event = state.next_event()
        if isinstance(event, h11.Response):
            return event
        left = timing.deadline.remaining()  # Also between interim responses that came in one piece.
        if event is not h11.NEED_DATA:
            continue
        if received >= limits.size:
            raise OriginFailed("The origin's headers are too large.", reason=f"over {limits.size} bytes of headers")
        data = wire.receive(min(_HEAD_PIECE, limits.size - received), left if received else min(first, left))
        if not data:
            raise OriginFailed(
                "The origin closed the connection without an answer.", reason="end before headers", cause=Cause.CONNECT
            )
        received += len(data)
        state.receive_data(data)


def _framed(response: h11.Response, method: bytes) -> Head:
    """How the end of the body can be known from the headers. Raises `OriginFailed` where they contradict each other."""
    headers = Headers(list(response.headers))
    status = response.status_code
    if "transfer-encoding" in headers and "content-length" in headers:
        raise OriginFailed("The origin declares both a length and a transfer encoding.", reason="both framings")
    bodiless = method in (b"HEAD", b"CONNECT") or status in (204, 304) or is_redirect(status, headers)
    if "content-length" in headers:
        return Head(status, headers, int(headers["content-length"]), bodiless)
    return Head(status, headers, None, bodiless, unframed=not bodiless and "transfer-encoding" not in headers)


def is_redirect(status: int, headers: Headers) -> bool:
    """Whether the answer sends us elsewhere. A 300 does by its preferred choice (RFC 9110, 15.4.1); a 304 does not."""
    return status in (300, 301, 302, 303, 307, 308) and "location" in headers
