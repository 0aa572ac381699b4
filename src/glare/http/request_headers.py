"""What becomes of each header of a request: honoured, ignored, or refused because it asks for what is not done here.

One table, from which `docs/reference/request-headers.md` is written. A header is refused where to ignore it would store
something else than the client means, or do what the client meant to prevent.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from starlette.datastructures import Headers

from glare.errors import BadRequest, GlareError, PreconditionFailed, UnsupportedContentCoding, UnsupportedMediaType
from glare.http.claims import DIGEST_HEADERS
from glare.identity.trusted_headers import IDENTITY_HEADERS

READS: Final = frozenset({"GET", "HEAD"})
CHANGES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ANY_METHOD: Final = READS | CHANGES
_OTHER_METHODS: Final = "x-http-method-override", "x-http-method", "x-method-override"


_OUR_ID: Final = re.compile(r"(?:req-)?([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})")


def request_id_of(given: str) -> str:
    """The id of a request whose ``X-OpenStack-Request-ID`` is `given` (empty: none): that, or a random one.

    It is for telling only and no secret: to ask the system for one would be a call for each request.
    """
    found = _OUR_ID.fullmatch(given)
    return f"req-{found[1] if found else uuid.UUID(int=random.getrandbits(128), version=4)}"


class Answer(StrEnum):
    """What becomes of a header."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Documented:
    """A header that is honoured, or ignored, `where`, and `why`: for the page only."""

    header: str
    where: str
    answer: Answer
    why: str


def _never(_value: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Refused:
    """A header that is refused with `error` in requests of these `methods`, because of what `asks` says, unless
    `harmless` says that its value asks for nothing. `remedy` ends the message. `sample` is a value that is refused.
    """

    header: str
    methods: frozenset[str]
    asks: str
    remedy: str
    sample: str
    error: type[GlareError] = BadRequest
    harmless: Callable[[str], bool] = _never


def _is(*values: str) -> Callable[[str], bool]:
    return lambda value: value.strip().lower() in values


def _part(header: str, sample: str, harmless: Callable[[str], bool] = _never) -> Refused:
    """A header by which a body is one part of the data."""
    asks = "says that the body is a part of the data, and what is sent here is stored as the whole"
    return Refused(
        header, CHANGES, asks, "send all of the data in one PUT, without this header", sample, harmless=harmless
    )


def _copy(header: str, sample: str, harmless: Callable[[str], bool] = _never) -> Refused:
    """A header by which the data are somewhere else."""
    asks = "asks for a copy, which is not made here: the body of the request is stored"
    remedy = "send the data, or record a URL as an external location"
    return Refused(header, CHANGES, asks, remedy, sample, harmless=harmless)


def _condition(header: str, sample: str, harmless: Callable[[str], bool] = _never) -> Refused:
    """A condition of another protocol, under which alone the client wants the change."""
    asks = "is a condition of another protocol, which is not checked here"
    return Refused(header, CHANGES, asks, "use If-Match with an ETag", sample, PreconditionFailed, harmless)


def _secret(header: str, sample: str) -> Refused:
    """A header by which the data are to be encrypted where they are stored."""
    asks = "asks for encryption, and data are stored here as they come"
    return Refused(header, _ANY_METHOD, asks, "encrypt the data before you send them, without this header", sample)


def _is_whole_and_plain(value: str) -> bool:
    return not value.strip().upper().startswith("STREAMING-")


def _names_no_digest(value: str) -> bool:
    return not any(name.strip().lower() in DIGEST_HEADERS for name in value.split(","))


REFUSED: Final[tuple[Refused, ...]] = (
    _part("content-range", "bytes 1000-1999/2000"),
    _part("range", "bytes=1000-"),
    _part("x-update-range", "append"),
    _part("upload-offset", "1000"),
    _part("upload-complete", "?0", _is("?1")),
    _part("upload-incomplete", "?1", _is("?0")),
    _part("tus-resumable", "1.0.0"),
    _part("x-goog-resumable", "start"),
    _part("x-goog-upload-command", "start"),
    _part("x-ms-range", "bytes=0-511"),
    _part("x-ms-blob-type", "AppendBlob", _is("blockblob")),
    _part("x-amz-write-offset-bytes", "1000"),
    _part("x-object-manifest", "container/prefix"),
    _copy("x-amz-copy-source", "/bucket/key"),
    _copy("x-goog-copy-source", "/bucket/key"),
    _copy("x-ms-copy-source", "https://example.org/file"),
    _copy("x-copy-from", "/container/object"),
    _copy("x-checksum-deploy", "true", _is("false")),
    _copy("destination", "/elsewhere"),
    _condition("if", '(["etag"])'),
    _condition("if-schedule-tag-match", '"tag"'),
    _condition("overwrite", "F", _is("t")),
    _condition("x-goog-if-generation-match", "0"),
    _condition("x-goog-if-metageneration-match", "1"),
    _condition("x-ms-lease-id", "7b8e1a0c"),
    _secret("x-amz-server-side-encryption", "AES256"),
    _secret("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    _secret("x-goog-encryption-algorithm", "AES256"),
    _secret("x-ms-encryption-algorithm", "AES256"),
    Refused(
        "content-encoding",
        CHANGES,
        "says that the body is encoded, and bodies are stored and read here as they come",
        "send the data without the coding, or name its format in Content-Type instead",
        "gzip",
        UnsupportedContentCoding,
        _is("", "identity"),
    ),
    Refused(
        "content-transfer-encoding",
        CHANGES,
        "says that the body is encoded as in mail, and bodies are stored and read here as they come",
        "send the data without this coding",
        "base64",
        harmless=_is("", "binary", "8bit", "7bit", "identity"),
    ),
    Refused(
        "depth",
        frozenset({"DELETE"}),
        "asks to delete a part of what is there, and all of it would be deleted",
        "leave it out",
        "0",
        harmless=_is("infinity"),
    ),
    *(
        Refused(
            header,
            CHANGES,
            "asks to delete the data later, and they would stay",
            "delete the artifact when its time has come, without this header",
            sample,
        )
        for header, sample in (("x-delete-at", "1893456000"), ("x-delete-after", "86400"))
    ),
    Refused(
        "x-explode-archive",
        CHANGES,
        "asks to unpack the body, which its type does or does not, whatever the client asks",
        "upload to a field that unpacks, or upload the files one by one",
        "true",
        harmless=_is("false"),
    ),
    Refused(
        "x-amz-content-sha256",
        CHANGES,
        "says that the body is in signed chunks (aws-chunked), which would be stored with the data",
        "send the data alone",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        harmless=_is_whole_and_plain,
    ),
    Refused(
        "trailer",
        CHANGES,
        "promises a digest behind the body, where it is not read",
        "send the digest as a header",
        "Repr-Digest",
        harmless=_names_no_digest,
    ),
    Refused(
        "if-unmodified-since",
        CHANGES,
        "is a condition that cannot be checked: nothing here has a Last-Modified",
        "use If-Match with an ETag",
        "Sat, 29 Oct 1994 19:43:31 GMT",
        PreconditionFailed,
    ),
    *(
        Refused(
            header,
            _ANY_METHOD,
            "asks for another method than that of the request",
            "send the request with the method that you mean",
            "PURGE",
        )
        for header in _OTHER_METHODS
    ),
)
"""Refused on every address of the API."""

_H, _I = Answer.HONOURED, Answer.IGNORED

DOCUMENTED: Final[tuple[Documented, ...]] = (
    Documented(
        "accept", "everywhere", _H, "names the API's version, or a Metalink; another type is no reason for a 406"
    ),
    Documented("accept-charset", "everywhere", _I, "text is UTF-8"),
    Documented("accept-encoding", "everywhere", _I, "answers have no content coding"),
    Documented("accept-language", "everywhere", _I, "texts are in English"),
    Documented("authorization", "everywhere", _H, "who is calling, where the identity pipeline reads it"),
    Documented("cache-control", "everywhere", _I, "there is no cache in the way"),
    Documented("cdn-loop", "everywhere", _H, "a request that has come through this service before is 508"),
    Documented(
        "connection", "everywhere", _H, "`close` ends the connection; an upgrade to another protocol is not made"
    ),
    Documented("content-disposition", "changes", _I, "a blob is named by its artifact"),
    Documented("content-language", "changes", _I, "not kept"),
    Documented("content-length", "changes", _H, "a length that is too large is refused before a byte is read"),
    Documented("content-location", "changes", _I, "says where the client has the body from (RFC 9110, 8.7)"),
    Documented(
        "content-type", "changes", _H, "kept with a blob; a form (`multipart/form-data`, as `curl -F` sends it) is 415"
    ),
    Documented("cookie", "everywhere", _I, "tokens come in `X-Auth-Token`"),
    Documented("expect", "everywhere", _H, "`100-continue`; anything else is 417"),
    Documented("forwarded", "everywhere", _I, "addresses come in `X-Forwarded-For` from trusted proxies"),
    Documented("host", "everywhere", _H, "own URLs begin with it, where `[DEFAULT] public_endpoint` is not set"),
    Documented("idempotency-key", "changes", _I, "the name and version of an artifact keep it from being made twice"),
    Documented("if-match", "artifacts, blobs", _H, "412 where the ETag is another one"),
    Documented("if-match", "other changes", _H, "412 unless `*`: nothing else has an ETag"),
    Documented("if-modified-since", "everywhere", _I, "nothing has a `Last-Modified` (RFC 9110, 13.1.3)"),
    Documented("if-none-match", "reads", _H, "304 where the ETag is this one"),
    Documented(
        "if-none-match", "changes", _H, "`*`: 412 where something is there; entity tags are 400 for what has ETags"
    ),
    Documented("if-range", "blobs", _H, "the whole is sent where the ETag is another one; a date is never the same"),
    Documented("if-unmodified-since", "reads", _I, "nothing has a `Last-Modified` (RFC 9110, 13.1.4)"),
    Documented("openstack-api-version", "everywhere", _H, "the API's version"),
    Documented("origin", "everywhere", _H, "for the origins that `[cors]` names"),
    Documented("prefer", "locations", _H, "`respond-async`; other preferences are ignored (RFC 7240)"),
    Documented("range", "blobs, GET", _H, "one range of bytes; several give the whole"),
    Documented("range", "other reads", _I, "the whole is sent"),
    Documented("te", "everywhere", _I, "answers have no trailers"),
    Documented("traceparent", "everywhere", _H, "the trace goes on in logs and outbound requests"),
    Documented("tracestate", "everywhere", _H, "goes with `traceparent`"),
    Documented("transfer-encoding", "everywhere", _H, "`chunked`; anything else is 501"),
    Documented("upgrade", "everywhere", _I, "HTTP/1.1 is spoken on"),
    Documented("want-repr-digest", "everywhere", _I, "blobs carry their sha256 in any case"),
    Documented("x-auth-token", "everywhere", _H, "who is calling"),
    Documented("x-service-token", "everywhere", _H, "the service that acts for the caller, where Keystone is asked"),
    Documented("x-storage-token", "everywhere", _H, "as `X-Auth-Token`, where Keystone is asked and that is not there"),
    Documented("x-forwarded-for", "everywhere", _H, "the client's address, from trusted proxies"),
    Documented("x-openstack-request-id", "everywhere", _H, "a UUID to know the request by"),
    Documented("a-im", "everywhere", _I, "answers are whole, and the client sees that (RFC 3229)"),
    Documented("accept-datetime", "everywhere", _I, "what is there now is sent (RFC 7089, 4.5.3)"),
    Documented("accept-signature", "everywhere", _I, "answers are not signed"),
    Documented("alt-used", "everywhere", _I, "there is no alternative service"),
    Documented("content-id", "changes", _I, "not kept"),
    Documented("date", "everywhere", _I, "times are this service's own"),
    Documented(
        "early-data", "everywhere", _I, "a proxy forwards early data only to servers that know them (RFC 8470, 5.2)"
    ),
    Documented("expires", "changes", _I, "not kept"),
    Documented("from", "everywhere", _I, "who is calling is known by the token"),
    Documented("keep-alive", "everywhere", _I, "`[DEFAULT] keepalive_timeout` decides"),
    Documented("link", "changes", _I, "not kept"),
    Documented("lock-token", "everywhere", _I, "nothing can be locked, so no lock is broken"),
    Documented("max-forwards", "everywhere", _I, "nothing is forwarded"),
    Documented("mime-version", "everywhere", _I, "a body is data, and no mail"),
    Documented("negotiate", "everywhere", _I, "each address has one representation"),
    Documented("pragma", "everywhere", _I, "there is no cache in the way"),
    Documented("priority", "everywhere", _I, "requests have their turn by project"),
    Documented("proxy-authorization", "everywhere", _I, "this is no proxy"),
    Documented("referer", "everywhere", _I, "who is calling is known by the token"),
    Documented(
        "repeatability-request-id", "changes", _I, "as `idempotency-key`; the answer has no `Repeatability-Result`"
    ),
    Documented("signature", "everywhere", _I, "a signature is not checked; `Content-Digest` is"),
    Documented("signature-input", "everywhere", _I, "goes with `signature`"),
    Documented("slug", "changes", _I, "the name of an artifact is in its document (RFC 5023, 9.7)"),
    Documented("user-agent", "everywhere", _I, "all clients are served alike"),
    Documented("via", "everywhere", _I, "`CDN-Loop` tells of loops"),
    Documented("want-content-digest", "everywhere", _I, "a wish; blobs carry their sha256 in any case (RFC 9530, 4)"),
    Documented("want-digest", "everywhere", _I, "a wish; blobs carry their sha256 in any case"),
    Documented("x-amz-checksum-crc32", "blobs, PUT", _I, "a claim of an algorithm that is not computed (RFC 9530, 5)"),
    Documented("x-amz-checksum-crc32c", "blobs, PUT", _I, "a claim of an algorithm that is not computed (RFC 9530, 5)"),
    Documented(
        "x-amz-checksum-crc64nvme", "blobs, PUT", _I, "a claim of an algorithm that is not computed (RFC 9530, 5)"
    ),
    Documented("x-amz-acl", "changes", _I, "access is by project and `visibility`; without it nobody else gets in"),
    *(
        Documented(header, "everywhere", _H, "who is calling, where identity is `trusted_headers`; from a proxy only")
        for header in (*IDENTITY_HEADERS, "x-service-catalog")
    ),
    *(
        Documented(header, "blobs, PUT", _H, "a claim about the data: compared before it is stored")
        for header in DIGEST_HEADERS
    ),
)
"""All other headers that are read, or that ask for something. Headers that are not listed are ignored."""

_BY_NAME: Final[Mapping[str, Refused]] = {row.header: row for row in REFUSED}

FORMS: Final[Mapping[str, str]] = {
    "multipart/form-data": "is a form around the data, as a browser and curl -F send it",
    "multipart/byteranges": "is an envelope around parts of the data",
    "application/x-www-form-urlencoded": "is what curl -d and forms say, which change the data on their way",
}


def refuse_what_is_not_done(method: str, headers: Headers, query: bytes) -> None:
    """Raise the error of the first header that asks for what is not done, or `BadRequest` for a change with a query."""
    for name, value in headers.items():
        row = _BY_NAME.get(name)
        if row is None or method not in row.methods:
            continue
        if row.harmless(value) or (name in _OTHER_METHODS and value.strip().upper() == method):
            continue
        if name == "if-unmodified-since" and "if-match" in headers:
            continue  # Which is then not to be looked at (RFC 9110, 13.1.4).
        raise row.error(f"Header {_spelled(name)} '{value[:100]}' {row.asks}; {row.remedy}.")
    if method in CHANGES and query:
        raise BadRequest(
            f"{method} takes no query parameters here, and '{query[:100].decode('latin-1')}' asks for something that "
            "is not done; leave the query out."
        )


def refuse_conditions(method: str, headers: Headers, *, tagged: bool) -> None:
    """Raise the error of a change under a condition that cannot be looked at, or does not hold. `tagged` says whether
    what is at the address has an ETag: then its handler looks at the other conditions.
    """
    if method not in CHANGES:
        return
    if tagged:
        if headers.get("if-none-match", "*").strip() != "*":
            raise BadRequest(
                f"If-None-Match with entity tags is not possible with {method}; use If-Match, or If-None-Match: *."
            )
        return
    if headers.get("if-match", "*").strip() != "*":
        raise PreconditionFailed("What is at this address has no ETag, so If-Match cannot hold; leave it out.")
    if headers.get("if-none-match", "").strip() == "*":
        raise PreconditionFailed(
            "If-None-Match: * asks that nothing exists at this address, and there is something; leave it out."
        )


def refuse_form(media_type: str) -> None:
    """Raise `UnsupportedMediaType` for data that come in an envelope which would be stored with them."""
    wrong = FORMS.get(media_type)
    if wrong is not None:
        raise UnsupportedMediaType(
            f"Content-Type '{media_type}' {wrong}; send the file itself as the body, as curl -T FILE does, with its "
            "own Content-Type, such as application/octet-stream."
        )


def _spelled(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
