"""What the server itself answers, and the lines that all answers begin with."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import httptools

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

MALFORMED: Final = "malformed"

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES: Final = {
    number: f"HTTP/1.1 {number} {_PHRASES.get(number, '')}\r\n".encode() for number in range(200, 600)
}
_CODES: Final = {
    400: "BadRequest",
    408: "RequestTimeout",
    429: "TooManyRequests",
    500: "GlareError",
    501: "NotImplemented",
    503: "Unavailable",
}


class Refusal(Exception):
    """A request that the application is not asked about. The connection ends with its answer.

    `reason` is a word for the metrics.
    """

    def __init__(self, status: int, reason: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.message = message
        self.retry_after = retry_after

    def answer(self) -> bytes:
        """The whole answer, in the form of the application's errors."""
        code = _CODES.get(self.status, "BadRequest")
        title = HTTPStatus(self.status).phrase
        document = {
            "code": self.status,
            "title": title,
            "explanation": self.message,
            "error": {"message": self.message, "type": code},
        }
        body = json.dumps(document).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-glare-error-code", code.encode()),
        ]
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        return head(self.status, headers, (b"connection: close\r\n",)) + body


def over(bound: str) -> Refusal:
    """For a connection over the bound of its ``address``, or over the one in all."""
    if bound == "address":
        return Refusal(429, bound, "Your address has as many connections here as it may; use fewer.", retry_after=5)
    return Refusal(503, bound, "This server process has as many connections as it may; retry later.", retry_after=5)


def head_too_long(limit: int) -> Refusal:
    """For bytes that are no body, and too many."""
    return Refusal(431, "head", f"The head of a request may have at most {limit} bytes.")


def malformed(error: httptools.HttpParserError) -> Refusal:
    """For what the parser does not take."""
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return Refusal(501, MALFORMED, "The service does not know this HTTP method.")
    return Refusal(400, MALFORMED, "What came is no HTTP request.")


def head(status: int, headers: Iterable[tuple[bytes, bytes]], more: Iterable[bytes] = ()) -> bytes:
    """Status line and headers, ours last. Raises ValueError for a header that would be more than one line."""
    lines = [_STATUS_LINES[status]]
    dated = False
    for name, value in headers:
        line = b"%b: %b" % (name, value)
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise ValueError("a header of an answer has a line break")
        lines += (line, b"\r\n")
        dated = dated or name.lower() == b"date"
    if not dated:
        lines.append(_date.line())
    lines += more
    lines.append(b"\r\n")
    return b"".join(lines)


class _Date:
    """The ``Date`` header, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._line = f"date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._line


_date = _Date()
