"""Folders of blobs as a whole, since microversion 1.2: as JSON, and as Metalink for download managers."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from starlette.responses import Response

from glare.documents.blobs import Folder as FolderDocument
from glare.domain.artifact import Artifact
from glare.domain.blob import Blob, External, Slot
from glare.domain.file_names import file_name
from glare.domain.metalink import MEDIA_TYPE, metalink
from glare.domain.microversion import NEWEST, Microversion
from glare.errors import Conflict, NotFound
from glare.http.bodies import StreamBody
from glare.http.call import Call, json_response
from glare.http.type_operation import TypeAnswer, TypeOperation
from glare.operations.access import Named
from glare.operations.blobs.download import Download
from glare.operations.blobs.folder import Folder, find_folder, represent_folder
from glare.operations.slots.replicas import good_ones, runs_of_digests

SINCE: Final = Microversion(1, 2)
_MAX_LINKS: Final = 16


_DOCUMENT: Final = FolderDocument.__name__

SHOWN: Final = TypeOperation(
    name="{field}.show",
    summary="What `{field}` holds",
    description=f"From API version {SINCE} on.",
    answers=(
        TypeAnswer(200, "All blobs of the folder, with what is known of their locations.", FolderDocument.__name__),
    ),
    errors=(403, 404, 409),
)
"""A folder as a whole, at the address of its blobs without a key: `show`."""

SHOWN_REPLICAS: Final = replace(
    SHOWN,
    description=f"{SHOWN.description} With `Accept: {MEDIA_TYPE}`, which needs no version, a Metalink (RFC 5854).",
    answers=tuple(replace(answer, media_types=(MEDIA_TYPE,)) for answer in SHOWN.answers),
)


def names_folder(call: Call) -> bool:
    """Whether the path names a folder as a whole, and the request may read one. Older ones get the error that they
    know.

    Download managers know no microversions; they say that they know Metalink.
    """
    field, _, key = call.parameters["blob_path"].partition("/")
    if key or not (call.microversion >= SINCE or _wants_metalink(call)):
        return False
    return is_folder(call, call.parameters["type_name"], field)


def is_folder(call: Call, type_name: str, name: str) -> bool:
    """Whether this type has such a folder."""
    known = call.services.types.specs.get(type_name)
    return known is not None and name in known.fields and known.fields[name].is_folder


def of_replicas(call: Call) -> bool:
    """Whether the path names a member of a folder of replicas: links to those are given to programs that know no
    microversions.
    """
    known = call.services.types.specs.get(call.parameters["type_name"])
    field = known.fields.get(call.parameters["blob_path"].partition("/")[0]) if known is not None else None
    return field is not None and field.replicas


def show(call: Call) -> Response:
    """GET of a folder, as `SHOWN` says."""
    wants_metalink = _wants_metalink(call)
    microversion = NEWEST if wants_metalink else call.microversion
    name = call.parameters["blob_path"].rstrip("/")
    named = Named(call.parameters["type_name"], call.parameters["id"], name, microversion)
    found = find_folder(call.services, call.actor, named)
    if wants_metalink and found.field.replicas:
        return _metalink(call, found)
    return json_response(represent_folder(call.services, found))


def link_headers(call: Call, found: Download) -> dict[str, str]:
    """Where else the bytes are (RFC 6249), and which digest they have. Only of replicas, and no more than somebody may
    see.
    """
    field = found.spec.fields[found.slot.field]
    if not field.replicas or call.link is not None:
        return {}
    members = good_ones(found.candidates)  # Of which none is taken down.
    links = [
        f"<{_uri(url)}>; rel=duplicate; pri={priority}"
        for priority, url in enumerate(_urls(call, found.artifact, members)[:_MAX_LINKS], 1)
    ]
    folder = _own_url(call, found.artifact, field.name)
    links.append(f'<{folder}>; rel=describedby; type="{MEDIA_TYPE}"')
    encoded = base64.b64encode(bytes.fromhex(found.digests.sha256)).decode()
    return {"link": ", ".join(links), "digest": f"SHA-256={encoded}"}


def _metalink(call: Call, folder: Folder) -> Response:
    good = [blob for blob in folder.blobs.values() if blob.good]
    if not folder.blobs:
        raise NotFound(f"Folder '{folder.field.name}' of artifact '{folder.artifact.id}' is empty; add a blob first.")
    if not good:
        raise Conflict(f"Folder '{folder.field.name}' of artifact '{folder.artifact.id}' has no good blob left.")
    headers = {"content-type": MEDIA_TYPE, "cache-control": "private, no-cache", "x-content-type-options": "nosniff"}
    if call.is_head:
        return Response(headers=headers)
    return _MetalinkBody(call, headers, folder, good)


class _MetalinkBody(StreamBody):
    """The document, some digests at a time: a large content has many."""

    def __init__(self, call: Call, headers: dict[str, str], folder: Folder, good: Sequence[Blob]) -> None:
        super().__init__(call, headers, 200)
        self._arguments = call, folder.artifact, good
        self._field = folder.field

    def open(self) -> _Parts:
        call, artifact, good = self._arguments
        blob = good[0]
        if blob.digests is None or blob.size is None:
            raise AssertionError("a good blob is measured")
        runs = runs_of_digests(call.services, blob.digests.sha256, blob.size)
        name = file_name(artifact, self._field, None, blob.content_type)
        return _Parts(metalink(name, artifact, blob.size, blob.digests, _urls(call, artifact, good), runs))


class _Parts:
    def __init__(self, parts: Iterator[str]) -> None:
        self._parts = parts

    def read(self) -> bytes:
        return next(self._parts, "").encode()

    def close(self) -> None:
        """Nothing is held."""


def _urls(call: Call, artifact: Artifact, members: Sequence[Blob]) -> list[str]:
    """Where programs find the bytes: external ones at their origins, stored and confidential ones here. Origins come
    first.
    """
    outside, here = [], []
    for blob in members:
        location = blob.location
        if isinstance(location, External) and not location.confidential:
            outside.append(location.url)
        else:
            here.append(_own_url(call, artifact, _path(blob.slot)))
    return outside + here


def _path(slot: Slot) -> str:
    return f"{slot.field}/{quote(slot.key or '')}"


def _own_url(call: Call, artifact: Artifact, path: str) -> str:
    if call.link is not None:
        return f"{call.base_url}{call.link}/{path.partition('/')[2]}"
    return f"{call.base_url}/artifacts/{artifact.type_name}/{artifact.id}/{path}"


def _uri(url: str) -> str:
    """As it may stand in a header: a recorded URL is ASCII already, and none holds an angle bracket that is not
    escaped.
    """
    return quote(url, safe="%/:?#[]@!$&'()*+,;=-._~")


def _wants_metalink(call: Call) -> bool:
    """Whether ``Accept`` names the media type, which ``*/*`` does not. By a link nothing else is read of a folder."""
    if call.link is not None:
        return True
    accepted = call.headers.get("accept", "").lower().split(",")
    return any(part.partition(";")[0].strip() == MEDIA_TYPE for part in accepted)
