"""Folders of blobs as a whole: since microversion 1.2."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from glare.domain.microversion import Microversion
from glare.http.call import Call, json_response
from glare.operations.show_folder import find_folder, represent_folder

SINCE: Final = Microversion(1, 2)


def names_folder(call: Call) -> bool:
    """Whether the path names a folder as a whole, and the request may read one. Older ones get the error that they know."""
    field, _, key = call.parameters["blob_path"].partition("/")
    if key or call.microversion < SINCE:
        return False
    known = call.services.types.specs.get(call.parameters["type_name"])
    return known is not None and field in known.fields and known.fields[field].is_folder


def show(call: Call) -> Response:
    """GET /artifacts/T/ID/<folder>"""
    name = call.parameters["blob_path"].rstrip("/")
    found = find_folder(
        call.services, call.actor, call.parameters["type_name"], call.parameters["id"], name, call.microversion
    )
    return json_response(represent_folder(call.services, found))
