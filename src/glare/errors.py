"""Every error that Glare raises on purpose, as data.

The tree, printed once so that nobody has to search for it::

    GlareError                      internal      an unexpected state of the service itself
    ├── BlobDamaged                 internal      stored bytes are not those that were recorded
    ├── BadRequest                  invalid       the request cannot be understood
    │   └── InvalidParameterValue   invalid       one named value is not acceptable
    │       └── LocationRefused     invalid       an external location cannot be recorded
    │           ├── Blocked         legal         an administrator has taken the content, its host or its URL down
    │           └── OriginBusy      unavailable   an external location asks to come back later
    ├── Unauthorized                unauthenticated
    ├── Forbidden                   forbidden
    │   └── PolicyException         forbidden     a policy rule said no
    ├── NotFound                    missing
    │   ├── TypeNotFound            missing
    │   └── ArtifactNotFound        missing
    ├── MethodNotAllowed            method
    ├── NotImplementedMethod        unimplemented
    ├── InvalidGlobalAPIVersion     unacceptable
    ├── Conflict                    conflict
    │   └── LocationChanged         conflict      an external location no longer serves what was recorded
    ├── PreconditionFailed          precondition
    ├── RequestEntityTooLarge       too-large
    ├── RangeNotSatisfiable         range
    ├── UnsupportedMediaType        media-type
    │   └── UnsupportedContentCoding  media-type  a body comes with a content coding
    ├── RequestTimeout              timeout       a client stalled while it sent a body
    ├── ClientDisconnected          invalid       the body ended before it was whole
    ├── TooManyRequests             throttled
    ├── LoopDetected                loop
    ├── OriginFailed                bad-gateway   an origin does not deliver what was recorded
    ├── Unavailable                 unavailable
    │   ├── StoreMistaken           unavailable   the place of a store is another one than the database knows
    │   └── OutboundBusy            unavailable   this process has no room for a request to an origin
    ├── StoreFailed                 unavailable   the operating system refuses a store something
    │   └── StoreReadOnly           unavailable   the store can be read, and takes no data
    ├── StoreFull                   full
    └── InvalidDeclaration          declaration   an artifact type is declared wrongly (refused at start)

`code` is stable and is what the wire calls ``error.type``; where the contract has no finer name than its parent's,
`wire_type` says so. Only `glare.http.problems` knows which HTTP status a category becomes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

_GUESS: Final = 30
"""Seconds after which an origin is asked again that is too busy and does not say for how long."""


class Category(StrEnum):
    """What went wrong, in the words that every transport understands."""

    INTERNAL = "internal"
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    METHOD = "method"
    UNIMPLEMENTED = "unimplemented"
    UNACCEPTABLE = "unacceptable"
    CONFLICT = "conflict"
    PRECONDITION = "precondition"
    TOO_LARGE = "too-large"
    RANGE = "range"
    MEDIA_TYPE = "media-type"
    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    LOOP = "loop"
    BAD_GATEWAY = "bad-gateway"
    UNAVAILABLE = "unavailable"
    FULL = "full"
    LEGAL = "legal"
    DECLARATION = "declaration"


class Cause(StrEnum):
    """Why an origin could not be had, in words that do not change. The first four tell about networks: for operators
    only.
    """

    DNS = "dns"
    POLICY = "policy"
    CONNECT = "connect"
    BUSY = "busy"
    TLS = "tls"
    TIMEOUT = "timeout"
    STATUS = "status"
    GONE = "gone"
    DENIED = "denied"
    THROTTLED = "throttled"
    INCOMPLETE = "incomplete"
    PROTOCOL = "protocol"


class Phase(StrEnum):
    """Up to where a request to a server came: to a connection (name, TCP, TLS), to a request that was sent, to the
    head of an answer.
    """

    CONNECT = "connect"
    SILENCE = "silence"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Contact:
    """How far a request to an origin came.

    `hop` is how many redirects were followed, and `phase` how far it came with the server there. `network` is that of
    the address from which the URL's own host has answered, before redirects; None where it has not.
    """

    hop: int
    phase: Phase
    network: str | None


class GlareError(Exception):
    """Base of everything that Glare raises on purpose.

    `message` is a sentence for the person who sees it: it names the field, the value and the remedy. It never holds a
    token, a secret or the credentials of a URL. `retry_after` is in how many seconds it is worth to try again, where
    that is known. `again`, where there is one, tells without a wait what would become of the same attempt now: it
    returns the error that it would meet, or None where it might go well.
    """

    category: ClassVar[Category] = Category.INTERNAL
    code: ClassVar[str] = "GlareException"
    wire_type: ClassVar[str | None] = None
    sentence: ClassVar[str] = "The service met a state that it did not expect; the operator's log has the details."

    def __init__(self, message: str | None = None, *, retry_after: int | None = None) -> None:
        self.message = message or self.sentence
        self.retry_after = retry_after
        self.again: Callable[[], GlareError | None] | None = None
        super().__init__(self.message)


class BlobDamaged(GlareError):
    code = "BlobDamaged"
    wire_type = "GlareException"
    sentence = (
        "The stored bytes of this blob are not those that were recorded; its operator has to restore them from a copy."
    )


class BadRequest(GlareError):
    category = Category.INVALID
    code = "BadRequest"
    sentence = "The request cannot be understood."


class InvalidParameterValue(BadRequest):
    code = "InvalidParameterValue"
    sentence = "A value in the request is not acceptable."


class LocationRefused(InvalidParameterValue):
    """`message` is what the user sees; `reason`, `cause` and `contact` are for the operator only. `reason` may name
    addresses. `contact` is None where nothing was asked.
    """

    code = "LocationRefused"
    wire_type = "BadRequest"
    sentence = "The external location cannot be recorded; nothing was stored."

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        cause: Cause = Cause.POLICY,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.reason = reason or self.message
        self.cause = cause
        self.contact: Contact | None = None


class Blocked(LocationRefused):
    """A takedown is in the way. It is a `LocationRefused` so that whoever asks an origin for something expects it."""

    category = Category.LEGAL
    code = "Blocked"
    wire_type = "Blocked"
    sentence = "This is not available here for legal reasons; the operator knows more."

    @classmethod
    def by(cls, takedown: str) -> Blocked:
        """The error that the takedown of this id causes."""
        return cls(
            f"This is not available here for legal reasons; the operator knows more (takedown {takedown}).",
            reason=f"takedown {takedown}",
        )


class OriginBusy(LocationRefused):
    """An origin answered 429 or 503. It is no fault of the request's; `retry_after` is what the origin asks for, or our
    own guess.
    """

    category = Category.UNAVAILABLE
    code = "OriginBusy"
    wire_type = "Unavailable"
    sentence = "The external location asks to come back later; nothing was stored."

    @classmethod
    def of(cls, failed: OriginFailed, message: str) -> OriginBusy:
        """The error for who asked for what an origin was too busy for."""
        wait = _GUESS if failed.retry_after is None else failed.retry_after
        return cls(message, reason=failed.reason, cause=failed.cause, retry_after=wait)


class Unauthorized(GlareError):
    """`challenges` are the ways to say who is calling, as values of ``WWW-Authenticate``."""

    category = Category.UNAUTHENTICATED
    code = "Unauthorized"
    sentence = "This request needs a valid token in the X-Auth-Token header."

    def __init__(self, message: str | None = None, *, challenges: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.challenges = challenges


class Forbidden(GlareError):
    category = Category.FORBIDDEN
    code = "Forbidden"
    sentence = "You may not do this."


class PolicyException(Forbidden):
    code = "PolicyException"
    sentence = "A policy rule does not allow this."


class NotFound(GlareError):
    category = Category.MISSING
    code = "NotFound"
    sentence = "There is nothing at this address."


class TypeNotFound(NotFound):
    code = "TypeNotFound"
    sentence = "There is no artifact type of this name, or it is not enabled."


class ArtifactNotFound(NotFound):
    """`hidden` says, for the audit log and never to the caller, that the artifact exists and the caller may not see
    it.
    """

    code = "ArtifactNotFound"
    sentence = "There is no artifact with this id that you may see."

    def __init__(self, message: str | None = None, *, hidden: bool = False) -> None:
        super().__init__(message)
        self.hidden = hidden


class MethodNotAllowed(GlareError):
    category = Category.METHOD
    code = "MethodNotAllowed"
    sentence = "This address does not answer to this method; the Allow header lists those that it does."


class NotImplementedMethod(GlareError):
    category = Category.UNIMPLEMENTED
    code = "NotImplemented"
    sentence = "The service does not know this HTTP method."


class InvalidGlobalAPIVersion(GlareError):
    category = Category.UNACCEPTABLE
    code = "InvalidGlobalAPIVersion"
    sentence = "The requested API microversion is not supported."


class Conflict(GlareError):
    category = Category.CONFLICT
    code = "Conflict"
    sentence = "The request conflicts with the present state; read it again and retry."


class LocationChanged(Conflict):
    code = "LocationChanged"
    wire_type = "Conflict"
    sentence = "The external location no longer serves the bytes that were recorded."


class PreconditionFailed(GlareError):
    category = Category.PRECONDITION
    code = "PreconditionFailed"
    sentence = "The If-Match or If-None-Match condition does not hold; read the artifact again and retry."


class RequestEntityTooLarge(GlareError):
    category = Category.TOO_LARGE
    code = "RequestEntityTooLarge"
    sentence = "The data is larger than a limit allows."


class RangeNotSatisfiable(GlareError):
    """`size` is the length of the whole content in bytes, for the Content-Range header of the answer."""

    category = Category.RANGE
    code = "RangeNotSatisfiable"
    sentence = "No byte of the requested range exists."

    def __init__(self, message: str | None = None, *, size: int = 0) -> None:
        super().__init__(message)
        self.size = size


class UnsupportedMediaType(GlareError):
    category = Category.MEDIA_TYPE
    code = "UnsupportedMediaType"
    sentence = "This address does not accept this content type."


class UnsupportedContentCoding(UnsupportedMediaType):
    code = "UnsupportedContentCoding"
    wire_type = "UnsupportedMediaType"
    sentence = "Bodies are taken as they are here, without a content coding."


class RequestTimeout(GlareError):
    category = Category.TIMEOUT
    code = "RequestTimeout"
    sentence = "The request body stopped arriving; nothing was stored."


class ClientDisconnected(GlareError):
    """The client went away before its body was whole. Nobody is left to read an answer; the operation undoes itself."""

    category = Category.INVALID
    code = "ClientDisconnected"
    wire_type = "BadRequest"
    sentence = "The request body ended before it was whole; nothing was stored."


class TooManyRequests(GlareError):
    category = Category.THROTTLED
    code = "TooManyRequests"
    sentence = "A limit on requests is reached; retry later."


class LoopDetected(GlareError):
    category = Category.LOOP
    code = "LoopDetected"
    sentence = "This request has come through this service before (CDN-Loop); point it at where the data comes from."


class OriginFailed(GlareError):
    """`message` is what the user sees; `reason`, `cause` and `contact` are for the operator only."""

    category = Category.BAD_GATEWAY
    code = "OriginFailed"
    sentence = "The external location does not deliver the bytes that were recorded."

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        cause: Cause = Cause.PROTOCOL,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.reason = reason or self.message
        self.cause = cause
        self.contact: Contact | None = None


class Unavailable(GlareError):
    category = Category.UNAVAILABLE
    code = "Unavailable"
    sentence = "The service cannot answer now; retry later."


class StoreMistaken(Unavailable):
    code = "StoreMistaken"
    wire_type = "Unavailable"
    sentence = "A store is not at its place."


class OutboundBusy(Unavailable):
    """This process has no room for one more request to the outside. It says nothing of the origin, and never counts
    against it.
    """

    code = "OutboundBusy"
    wire_type = "Unavailable"
    sentence = "The service has no room for a request to the external location now; retry later."
    cause = Cause.BUSY

    @property
    def reason(self) -> str:
        """For the operator, as of the errors of origins."""
        return self.message


class StoreFailed(GlareError):
    """What one object meets: it says nothing of the rest of the store, so it is no `Unavailable`."""

    category = Category.UNAVAILABLE
    code = "StoreFailed"
    wire_type = "Unavailable"
    sentence = "The store cannot do this now; retry later."


class StoreReadOnly(StoreFailed):
    code = "StoreReadOnly"
    sentence = "The store takes no data now; nothing was stored. Retry later."


class StoreFull(GlareError):
    category = Category.FULL
    code = "StoreFull"
    sentence = "The store has no room for this data; nothing was stored."


class InvalidDeclaration(GlareError):
    category = Category.DECLARATION
    code = "InvalidDeclaration"
    sentence = "An artifact type is declared wrongly."
