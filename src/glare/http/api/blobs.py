"""Blobs: upload, record a location, download, delete."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from starlette.responses import Response

from glare.documents.blobs import Location
from glare.domain.blob import Blob, External, Managed
from glare.domain.declared import legacy
from glare.domain.microversion import NEWEST
from glare.egress.cancellation import Cancellation
from glare.errors import BadRequest, BlobDamaged, NotFound, PreconditionFailed, StoreFailed, Unavailable
from glare.http.api import folders
from glare.http.api.artifacts import answer, named_revisions, refuse_anonymous, represented
from glare.http.bodies import FileBody, Replaced, RewrittenBody, StoreBody, VerifiedBody, not_replaced, small_body
from glare.http.call import Call
from glare.http.claims import claims_of
from glare.http.conditions import parse_range, parse_tags
from glare.http.media_types import ANY, LOCATION, OCTETS
from glare.http.query import query_pairs
from glare.http.request_headers import refuse_form
from glare.http.response_headers import attachment
from glare.http.type_operation import Own, TypeAnswer, TypeOperation
from glare.operations.access import Expected, Named
from glare.operations.blobs.delete import delete_blob
from glare.operations.blobs.download import Download, Unmeasured, find_blob, redirect_target
from glare.operations.blobs.upload import UploadRequest, upload_blob
from glare.operations.locations.add import LocationRequest, add_location, parse_location
from glare.operations.locations.record_later import record_later

_MAX_CONTENT_TYPE: Final = 255
_CREDENTIALS: Final = ("x-auth-token", "authorization", "cookie", "x-service-token")
_TRIES: Final = 5
_SMALL: Final = 64 << 10  # So many bytes are read and sent at once, which costs less than handing a file to the server.


@TypeOperation(
    name="{field}.upload",
    summary="Upload `{field}`, or record where it lives",
    description=f"The content type decides. `{LOCATION}` records an external location, which the service downloads "
    "once to measure it; nothing is kept where that fails. With `Prefer: respond-async` a worker does so after the "
    "answer. Any other type: the data itself, with its type. Stored without the type's parameters. At most {limit} "
    "bytes.",
    takes=("ReprDigest", "ContentDigest", "ContentMd5", "Digest", "IfMatch", "Prefer"),
    body={OCTETS: None, LOCATION: Location.__name__},
    answers=(
        TypeAnswer(200, "The artifact with the blob.", Own.ARTIFACT, ("ETag",)),
        TypeAnswer(
            202,
            "A worker will measure the location; until then the blob is `saving`.",
            Own.ARTIFACT,
            ("ETag", "Location", "Preference-Applied"),
        ),
    ),
    errors=(403, 404, 408, 409, 412, 413, 429, 451, 502, 507),
)
async def put(call: Call) -> Response:
    call.declared_length()
    await refuse_anonymous(call)
    if call.media_type() == LOCATION:
        return await _put_location(call)
    return await _put_data(call)


async def _put_data(call: Call) -> Response:
    content_type = call.headers.get("content-type", "").partition(";")[0].strip()
    if not content_type:
        raise BadRequest(f"Content-Type is required; use '{OCTETS}' when nothing better is known.")
    if len(content_type) > _MAX_CONTENT_TYPE or not content_type.isprintable():
        raise BadRequest(f"Content-Type must have at most {_MAX_CONTENT_TYPE} printable characters.")
    refuse_form(call.media_type())
    store = call.services.store_for(call.parameters["type_name"], call.actor.project)
    request = UploadRequest(_named(call), content_type, claims_of(call.headers), _expected(call), store)
    body = call.body_reader()
    operation = partial(upload_blob, call.services, call.actor, request, body)
    async with call.transfer("upload", body.break_off, store) as transfer:
        body.watched = transfer.pace
        with call.application.drain.breakable(body.break_off):
            return await call.run_stream(answer, call, operation)


async def _put_location(call: Call) -> Response:
    url, claims, confidential = parse_location(await call.document())
    request = LocationRequest(
        _named(call), url, claims, confidential, _expected(call), call.headers.get("cdn-loop", "")
    )
    if call.services.rules.measure and prefers_async(call.headers.get("prefer")):
        return await call.run(_record_later, call, request)
    cancellation = Cancellation()
    watcher = asyncio.ensure_future(call.until_disconnected())
    watcher.add_done_callback(lambda _: cancellation.cancel())
    try:
        operation = partial(add_location, call.services, call.actor, request, cancellation)
        async with call.transfer("location"):
            with call.application.drain.breakable(cancellation.cancel):
                return await call.run_stream(answer, call, operation)
    finally:
        watcher.cancel()


def _record_later(call: Call, request: LocationRequest) -> Response:
    spec, artifact, location_id = record_later(call.services, call.actor, request)
    response = represented(call, spec, artifact, 202)
    response.headers["preference-applied"] = "respond-async"
    response.headers["location"] = f"/locations/{location_id}"
    return response


def prefers_async(prefer: str | None) -> bool:
    """Whether a ``Prefer`` header (RFC 7240) asks for an answer before the work is done."""
    preferences = (part.partition(";")[0].partition("=")[0] for part in (prefer or "").split(","))
    return any(name.strip().lower() == "respond-async" for name in preferences)


@TypeOperation(
    name="{field}.delete",
    summary="Take the external location away from `{field}`",
    takes=("IfMatch",),
    answers=(TypeAnswer(200, "The artifact without it. Nothing is asked of the location.", Own.ARTIFACT, ("ETag",)),),
    errors=(403, 404, 409, 412),
)
async def delete(call: Call) -> Response:
    operation = partial(delete_blob, call.services, call.actor, _named(call), _expected(call))
    return await call.run(answer, call, operation)


REWRITTEN: Final = TypeOperation(
    name="{field}.download",
    summary="Download `{field}`",
    description="Data at an external location is checked block by block on its way: what differs from what was "
    "recorded is never sent. A broken origin is 502, one that is known to have changed 409, and 451 what an "
    "administrator has taken down.",
    answers=(TypeAnswer(200, "The data as the type rewrites it.", None, ("Content-Disposition",), (ANY,)),),
    errors=(403, 404, 409, 451, 502),
)
"""A download of a type whose `download` hook makes other bytes: nothing is known of them beforehand."""

_KNOWN: Final = (
    *("Content-Disposition", "ETag", "Accept-Ranges", "Repr-Digest", "Content-MD5"),
    *("X-Openstack-Glare-Content-SHA1", "X-Openstack-Glare-Content-SHA256"),
)


@replace(
    REWRITTEN,
    takes=("Range", "IfRange", "IfMatch", "IfNoneMatch"),
    answers=(
        TypeAnswer(200, "The whole data.", None, (*_KNOWN, "Content-Length", "Content-Digest"), (ANY,)),
        TypeAnswer(206, "The range that was asked for.", None, (*_KNOWN, "Content-Length", "Content-Range"), (ANY,)),
        TypeAnswer(304, "The data is still what If-None-Match says.", None, _KNOWN),
    ),
    errors=(403, 404, 409, 412, 416, 451, 502),
)
async def get(call: Call) -> Response:
    await call.require_no_body()
    return await call.run(folders.show if folders.names_folder(call) else _get, call)


def _get(call: Call, tries: int = _TRIES) -> Response:
    """Answer from the row as it is. A blob that is replaced between the look at its row and the look at its bytes is
    looked at again.
    """
    named = replace(_named(call), microversion=NEWEST) if folders.of_replicas(call) else _named(call)
    try:
        found = find_blob(call.services, call.actor, named)
    except Unmeasured as unmeasured:
        if unmeasured.url is None or not _may_be_redirected(call):
            raise
        return _redirected(unmeasured.url, unmeasured.file_name, None)
    again = partial(_get, call, tries - 1)
    headers = _safe_headers(found) | folders.link_headers(call, found)
    if found.spec.hooks.download:
        return Response(headers=headers) if call.is_head else RewrittenBody(call, found, headers, again)
    tag, size = found.digests.sha256, found.size
    headers |= _digest_headers(found)
    wanted = parse_tags(call.headers.get("if-match"))
    if wanted is not None and not wanted.match_strongly(tag):
        raise PreconditionFailed("The blob's content is not what If-Match names; read the artifact again.")
    known = parse_tags(call.headers.get("if-none-match"))
    if known is not None and known.match_weakly(tag):
        return Response(status_code=304, headers=headers)
    # A range is for GET only (RFC 9110, 14.2): what HEAD asks for is what a GET without it would say.
    span = None if call.is_head else parse_range(call.headers.get("range"), call.headers.get("if-range"), tag, size)
    if span is None:
        status, first, last = 200, 0, size - 1
        headers["content-digest"] = headers["repr-digest"]
    else:
        status, (first, last) = 206, span
        headers["content-range"] = f"bytes {first}-{last}/{size}"
    origin = redirect_target(call.services, found, wanted=_may_be_redirected(call))
    if origin is not None:
        return _redirected(origin, found.file_name, found.digests.sha256)
    headers["content-length"] = str(last - first + 1)
    if call.is_head:
        return Response(status_code=status, headers=headers)
    if isinstance(found.blob.location, External):
        return VerifiedBody(call, found, headers, status, first, last)
    if not tries:
        raise Unavailable(f"Blob '{found.slot.path}' is replaced again and again; retry later.")
    if span is None:
        # Where that fails, the checked way looks for what is left of it.
        with suppress(NotFound, BlobDamaged, Unavailable, StoreFailed):
            file = FileBody.of(call, found, headers)
            if file is not None:
                return file
    if last - first >= _SMALL or any(_is_far(call, blob) for blob in found.candidates):
        return StoreBody(call, found, headers, status, (first, last), again)
    try:
        with not_replaced(call, found):
            return small_body(call, found, headers, status, first, last)
    except Replaced:
        return again()


def _is_far(call: Call, blob: Blob) -> bool:
    """Whether its bytes are waited for: no thread of short requests does that."""
    if not isinstance(blob.location, Managed):
        return True
    store = call.services.stores.get(blob.location.store)
    return store is not None and store.remote


def _named(call: Call) -> Named:
    parameters = call.parameters
    return Named(parameters["type_name"], parameters["id"], parameters["blob_path"], call.microversion)


def _expected(call: Call) -> Expected:
    """If-Match names the blob by its sha256, or its artifact by the revision; If-None-Match: * wants no blob there
    yet.
    """
    absent = parse_tags(call.headers.get("if-none-match"))
    return Expected(named_revisions(call), absent is not None and absent.any)


def _safe_headers(found: Download) -> dict[str, str]:
    """What keeps a browser from running or guessing at somebody's bytes."""
    return {
        "content-type": found.blob.content_type or OCTETS,
        "content-disposition": attachment(found.file_name),
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
        "cache-control": "private, no-cache",
    }


def _digest_headers(found: Download) -> dict[str, str]:
    digests = found.digests
    encoded = base64.b64encode(bytes.fromhex(digests.sha256)).decode()
    return {
        "etag": f'"{digests.sha256}"',
        "accept-ranges": "bytes",
        "repr-digest": f"sha-256=:{encoded}:",
        **legacy.checksum_headers(digests),
    }


def _may_be_redirected(call: Call) -> bool:
    """Whether it asks for it, or has nothing that a client would send on to a stranger: many send their token along."""
    if call.link is not None:
        return False
    asked = [value for name, value in query_pairs(call.query) if name == "redirect"]
    if asked:
        return asked == ["true"]
    return call.actor.anonymous and not any(name in call.headers for name in _CREDENTIALS)


def _redirected(origin: str, name: str, sha256: str | None) -> Response:
    """To the origin, whose bytes are proven as of the last check only, if at all. No cache may keep it: tomorrow it may
    be wrong. Some programs, such as curl, take the name of the file from here where the origin gives none.
    """
    headers = {"location": origin, "cache-control": "no-store", "content-length": "0"}
    headers["content-disposition"] = attachment(name)
    if sha256 is not None:
        headers["digest"] = f"SHA-256={base64.b64encode(bytes.fromhex(sha256)).decode()}"
    return Response(status_code=302, headers=headers)
