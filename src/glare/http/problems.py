"""Errors as responses: the only place that knows which HTTP status a category of `glare.errors` becomes."""

from __future__ import annotations

import logging
import traceback
from typing import Final

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from glare.documents.errors import Error, ErrorDetail, VersionError
from glare.errors import (
    Blocked,
    Category,
    GlareError,
    InvalidGlobalAPIVersion,
    LocationRefused,
    OriginFailed,
    RangeNotSatisfiable,
    Unauthorized,
    UnsupportedContentCoding,
)
from glare.http.media_types import JSON
from glare.http.microversion import MAXIMUM, MINIMUM

_log = logging.getLogger(__name__)

STATUS: Final[dict[Category, int]] = {
    Category.INTERNAL: 500,
    Category.INVALID: 400,
    Category.UNAUTHENTICATED: 401,
    Category.FORBIDDEN: 403,
    Category.MISSING: 404,
    Category.METHOD: 405,
    Category.UNACCEPTABLE: 406,
    Category.TIMEOUT: 408,
    Category.CONFLICT: 409,
    Category.PRECONDITION: 412,
    Category.TOO_LARGE: 413,
    Category.MEDIA_TYPE: 415,
    Category.RANGE: 416,
    Category.THROTTLED: 429,
    Category.LEGAL: 451,
    Category.UNIMPLEMENTED: 501,
    Category.BAD_GATEWAY: 502,
    Category.UNAVAILABLE: 503,
    Category.FULL: 507,
    Category.LOOP: 508,
    Category.DECLARATION: 500,
}

RETRY_SECONDS: Final = 1
"""What ``Retry-After`` says where it is known that it passes, and not when."""

_PASSING: Final = frozenset({Category.THROTTLED, Category.UNAVAILABLE})

_TITLES: Final[dict[int, tuple[str, str]]] = {
    400: (
        "Bad Request",
        "The server could not comply with the request since it is either malformed or otherwise incorrect.",
    ),
    401: ("Unauthorized", "This server could not verify that you are authorized to access the document you requested."),
    403: ("Forbidden", "Access was denied to this resource."),
    404: ("Not Found", "The resource could not be found."),
    405: ("Method Not Allowed", "The method is not allowed for this resource."),
    406: ("Not Acceptable", "The resource could not be generated that was acceptable to your browser."),
    408: ("Request Timeout", "The server has waited too long for the request to be sent by the client."),
    409: ("Conflict", "There was a conflict when trying to complete your request."),
    412: ("Precondition Failed", "A condition of the request does not hold."),
    413: ("Request Entity Too Large", "The body of your request was too large for this server."),
    415: ("Unsupported Media Type", "The request media type is not supported by this server."),
    416: ("Range Not Satisfiable", "The requested range cannot be served."),
    429: ("Too Many Requests", "The client has sent too many requests."),
    451: ("Unavailable For Legal Reasons", "The operator has to keep this resource from being read."),
    500: (
        "Internal Server Error",
        "The server has either erred or is incapable of performing the requested operation.",
    ),
    501: ("Not Implemented", "The method is not implemented by this server."),
    502: ("Bad Gateway", "The origin of this data did not answer as recorded."),
    503: ("Service Unavailable", "The server is currently unavailable. Please try again at a later time."),
    507: ("Insufficient Storage", "There is not enough space to save the data."),
    508: ("Loop Detected", "The request has come through this server before."),
}

_encode = msgspec.json.Encoder().encode


def status_of(error: GlareError) -> int:
    """The HTTP status of an error."""
    return STATUS[error.category]


def problem(error: Exception, *, debug: bool, request_id: str) -> Response:
    """The response for `error`, logged here and nowhere else.

    An exception that is not a `GlareError` is a defect: it is logged with its traceback, and the caller learns the
    request id only (and the traceback where the operator has set ``debug``).
    """
    if not isinstance(error, GlareError):
        _log.error("unexpected error", extra={"request_id": request_id}, exc_info=error)
        unexpected = GlareError(
            f"The service met an unexpected error; give the operator this request id: {request_id}."
        )
        return _response(unexpected, error if debug else None)
    if isinstance(error, LocationRefused | OriginFailed) and not isinstance(error, Blocked):
        what = "location refused" if isinstance(error, LocationRefused) else "origin failed"
        _log.warning(what, extra={"request_id": request_id, "code": error.code, "reason": error.reason})
    elif status_of(error) > 500:
        # A client can bring these about as often as it likes, so each is one line.
        _log.warning(
            "request turned away", extra={"request_id": request_id, "code": error.code, "reason": error.message}
        )
    elif status_of(error) >= 500:
        _log.error("request failed", extra={"request_id": request_id, "code": error.code}, exc_info=error)
    return _response(error, error if debug else None)


def broken_off(error: Exception, request_id: str) -> None:
    """Log an error for which it is too late to answer."""
    known = isinstance(error, GlareError | TimeoutError)
    reason = getattr(error, "reason", None) or getattr(error, "message", None) or type(error).__name__
    extra = {"request_id": request_id, "reason": reason}
    _log.log(
        logging.WARNING if known else logging.ERROR,
        "response broken off",
        extra=extra,
        exc_info=None if known else error,
    )


def _response(error: GlareError, trace: Exception | None) -> Response:
    status, headers, body = parts_of(error, trace)
    response = Response(body, status)
    response.raw_headers += headers
    return response


def parts_of(error: GlareError, trace: Exception | None = None) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers (but for the length) and body of the answer to `error`, with the traceback of `trace`."""
    status = status_of(error)
    title, explanation = _TITLES[status]
    detail = ErrorDetail(
        error.message,
        error.wire_type or error.code,
        UNSET if trace is None else "".join(traceback.format_exception(trace)),
    )
    body = Error(status, title, explanation, detail)
    if isinstance(error, InvalidGlobalAPIVersion):
        body = VersionError(status, title, explanation, detail, str(MINIMUM), str(MAXIMUM))
    # The wire's `error.type` keeps the names that old clients know; this header carries the finer stable one.
    headers = [("Content-Type", JSON), ("X-Glare-Error-Code", error.code)]
    retry_after = error.retry_after
    if retry_after is None and error.category in _PASSING:
        retry_after = RETRY_SECONDS
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    if isinstance(error, Unauthorized):
        headers += (("WWW-Authenticate", challenge) for challenge in error.challenges)
    if isinstance(error, UnsupportedContentCoding):
        headers.append(("Accept-Encoding", "identity"))  # As RFC 9110, 15.5.16, wants it.
    if isinstance(error, RangeNotSatisfiable):
        headers.append(("Content-Range", f"bytes */{error.size}"))
    return status, [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers], _encode(body)
