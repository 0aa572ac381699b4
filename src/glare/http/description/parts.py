"""The parts that operations of the API's description share: parameters, headers, error responses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from glare.errors import GlareError, InvalidDeclaration
from glare.http.description.document_schemas import reference
from glare.http.media_types import JSON
from glare.http.media_types import VERSIONED as VERSIONED_TYPE
from glare.http.microversion import MAXIMUM, MINIMUM
from glare.http.problems import status_of

Part = dict[str, Any]

SECURITY_SCHEME: Final = "token"

_PROBLEMS: Final = (400, 401, 406, 500, 503, 508)
"""What every operation of the API may answer beside what it is for."""

_HEADERS: Final[Mapping[str, tuple[str, str]]] = {
    "x-openstack-request-id": ("RequestId", "Names this request in the logs of the service."),
    "OpenStack-API-Version": ("ApiVersion", "The version that the answer speaks, as `artifact X.Y`."),
    "Vary": ("Vary", "Names `openstack-api-version`."),
    "ETag": ("ETag", "Names this state, for If-Match and If-None-Match."),
    "X-Glare-Error-Code": ("ErrorCode", "The stable name of the error, finer than `error.type`."),
    "Content-Range": ("ContentRange", "Which bytes these are, or how many there are."),
    "Content-Length": ("ContentLength", "Bytes of the body."),
    "Content-Disposition": (
        "ContentDisposition",
        "`attachment`, with the name of the file: artifact, version, field and format.",
    ),
    "Accept-Ranges": ("AcceptRanges", "`bytes`."),
    "Repr-Digest": ("ReprDigest", "sha256 of the whole blob (RFC 9530), also where a part of it is sent."),
    "Content-Digest": ("ContentDigest", "sha256 of what is sent (RFC 9530)."),
    "Content-MD5": ("ContentMd5", "md5 of the whole blob, in hexadecimal digits."),
    "Location": ("LocationHeader", "Address of what is being recorded."),
    "Preference-Applied": ("PreferenceApplied", "`respond-async` (RFC 7240)."),
    "X-Openstack-Glare-Content-SHA1": ("ContentSha1", "sha1 of the whole blob, in hexadecimal digits."),
    "X-Openstack-Glare-Content-SHA256": ("ContentSha256", "sha256 of the whole blob, in hexadecimal digits."),
}

ANSWERED: Final = ("x-openstack-request-id",)
"""Headers of every response."""

VERSIONED: Final = (*ANSWERED, "OpenStack-API-Version", "Vary")
"""Headers of every response of the API proper."""


def _header(name: str, description: str, **schema: Any) -> Part:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"} | schema}


def _query(name: str, description: str, **schema: Any) -> Part:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"} | schema}


_PARAMETERS: Final[Mapping[str, Part]] = {
    "ApiVersion": _header(
        "OpenStack-API-Version",
        f"The version of the API to speak: `artifact latest` or `artifact X.Y`, from {MINIMUM} (the default) to "
        f"{MAXIMUM}. An Accept header that begins with `{VERSIONED_TYPE}` and ends in the version "
        "wins.",
        examples=[f"artifact {MAXIMUM}"],
    ),
    "RequestId": _header(
        "x-openstack-request-id", "A UUID to know this request by, alone or after `req-`; else the service makes one."
    ),
    "IfMatch": _header("If-Match", "Change only what still has this ETag; else 412."),
    "IfNoneMatch": _header("If-None-Match", "Answer 304 without a body where the ETag is still this one."),
    "Range": _header("Range", "One range of bytes, such as `bytes=0-1023` or `bytes=-512`; several give the whole."),
    "IfRange": _header("If-Range", "Heed Range only where the ETag is still this one; else the whole is sent."),
    "ReprDigest": _header(
        "Repr-Digest", "Claims about the data as `sha-256=:<base64>:`; `sha` and `md5` too. What differs is refused."
    ),
    "ContentDigest": _header("Content-Digest", "The same as Repr-Digest."),
    "ContentMd5": _header("Content-MD5", "A claim about the data: md5 in hexadecimal digits or base64."),
    "Digest": _header(
        "Digest",
        "Claims about the data as `SHA-256=<base64>` (RFC 3230). `X-Checksum-Sha256`, `-Sha1` and `-Md5`, "
        "`X-Amz-Content-Sha256` where it is a "
        "digest, `X-Amz-Checksum-Sha256` and `-Sha1`, and `X-Goog-Hash` are claims too.",
    ),
    "Prefer": _header("Prefer", "`respond-async` (RFC 7240): answer before an external location is measured."),
    "Id": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "Identifier of the artifact.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "Limit": _query("limit", "How many artifacts a page may have.", type="integer", minimum=0),
    "Marker": _query("marker", "Id of the artifact after which the page begins.", format="uuid"),
    "Tags": _query("tags", "All of these tags, separated by commas.", pattern="^(?:(?:and|or):)?[^:]*$"),
    "TagsAny": _query("tags-any", "Any of these tags, separated by commas.", pattern="^(?:(?:and|or):)?[^:]*$"),
}

VERSIONING: Final = ("ApiVersion", "RequestId")
"""Parameters of every path of the API proper."""


def parameters(*names: str) -> list[Part]:
    """References to shared parameters."""
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def headers(names: Iterable[str]) -> Part:
    """References to shared headers by the name on the wire."""
    return {name: {"$ref": f"#/components/headers/{_HEADERS[name][0]}"} for name in names}


def problems(*statuses: int, common: Iterable[int] = _PROBLEMS) -> Part:
    """References to the error responses of an operation, ascending, with those that every operation has."""
    return {
        str(status): {"$ref": f"#/components/responses/{_named(status)}"} for status in sorted({*statuses, *common})
    }


def shared_components(filters: Mapping[str, Part]) -> Part:
    """Parameters (with these `filters`), headers, error responses and the security scheme, under the names of
    references.
    """
    return {
        "parameters": {**_PARAMETERS, **filters},
        "headers": {
            name: {"description": description, "required": True, "schema": {"type": "string"}}
            for name, description in _HEADERS.values()
        },
        "responses": _error_responses(),
        "securitySchemes": {
            SECURITY_SCHEME: {
                "type": "apiKey",
                "in": "header",
                "name": "X-Auth-Token",
                "description": "A token from `glare-server token create`, or whatever the operator's identity pipeline "
                "takes. "
                "Where anonymous access is allowed, public artifacts can be read without one.",
            }
        },
    }


def _error_responses() -> Part:
    """One response for each status that an error can become; the names of the errors come from their tree."""
    codes: dict[int, list[str]] = {}
    for error in _tree(GlareError):
        codes.setdefault(status_of(error()), []).append(error.code)
    return {_named(status): _error_response(status, names) for status, names in sorted(codes.items())}


def _error_response(status: int, codes: list[str]) -> Part:
    more = ("Content-Range",) if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE else ()
    schema = "VersionError" if status == HTTPStatus.NOT_ACCEPTABLE else "Error"
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}.",
        "headers": headers((*ANSWERED, "X-Glare-Error-Code", *more)),
        "content": {JSON: {"schema": reference(schema)}},
    }


def _named(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "").replace("-", "")


def _tree(root: type[GlareError]) -> Iterator[type[GlareError]]:
    """The errors that a request can meet, parents first."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == root.__module__ and child is not InvalidDeclaration:
            yield from _tree(child)
