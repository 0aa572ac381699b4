"""The description of the API: an OpenAPI document made from the registered types."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from glare import __version__
from glare.domain.declared.artifact_type import TypeSpec
from glare.http.answers import shared_body
from glare.http.call import Call, Description, encode
from glare.http.conditions import parse_tags
from glare.http.description.parts import SECURITY_SCHEME, shared_components
from glare.http.description.paths import base_filters, type_paths
from glare.http.description.schemas import component_schemas
from glare.http.description.table import Table
from glare.http.media_types import JSON
from glare.http.operation import SERVICE, Answer, Public, Tag
from glare.types.registry import TypeRegistry

_FIRST: Final = ("locations", "subscriptions")
_LAST: Final = ("service", "schemas")
_ABOUT: Final = (
    "An artifact is created *drafted* and private; its fields are set, its blobs uploaded or recorded as external "
    "locations; then it is *activated*, after which everybody who downloads a blob gets the same bytes, wherever they "
    "live. Admins may publish it to other projects, deactivate and reactivate it.\n\n"
    "Since API version 1.3 text holds any character, and texts, lists and dicts for which a type says nothing may be "
    "longer; before it, text holds no "
    "characters above U+FFFF, except in lists. The schemas here are those of the newest version. Numbers and "
    "booleans become text where text is wanted.\n\n"
    "HEAD is answered wherever GET is. OPTIONS is answered with 200 everywhere, another method with 405 and Allow, an "
    "unknown address with 404. Every response has `x-openstack-request-id`."
)


def describe(types: TypeRegistry, routes: Sequence[BaseRoute]) -> Mapping[str, Any]:
    """The OpenAPI 3.1 document of a service that has these types and paths; not to be changed."""
    specs = (*types.specs.values(), types.all)
    table = Table(routes)
    paths = table.paths()
    for spec in specs:
        paths.update(type_paths(spec))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Glare",
            "version": __version__,
            "summary": "Typed artifacts whose data is immutable once they are active.",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{SECURITY_SCHEME: []}],
        "tags": [
            # What people use comes first.
            *({"name": spec.name, "description": _about(spec)} for spec in sorted(specs, key=_is_rarer)),
            *({"name": tag.name, "description": tag.description} for tag in sorted(table.tags, key=_place)),
        ],
        "paths": paths,
        "components": {
            "schemas": {**component_schemas(types), **table.components},
            **shared_components(base_filters(types.all)),
        },
    }


def described(types: TypeRegistry, routes: Sequence[BaseRoute]) -> Description:
    """`describe` as it is sent."""
    body = encode(describe(types, routes))
    return Description(body, hashlib.sha256(body).hexdigest()[:32])


def _is_rarer(spec: TypeSpec) -> bool:
    """Whether a type is shown after images, with which most begin."""
    return spec.name != "images"


def _place(tag: Tag) -> int:
    if tag.name in _LAST:
        return len(_FIRST) + 1
    return _FIRST.index(tag.name) if tag.name in _FIRST else len(_FIRST)


def _about(spec: TypeSpec) -> str:
    return ". ".join(text.rstrip(".") for text in (spec.display_name, spec.description) if text) + "."


@Public(id="openapi", about=SERVICE, summary="This document", answer=Answer(200, "The document.", Any))
async def openapi(call: Call) -> Response:
    body, tag = call.application.description
    headers = {"content-type": JSON, "etag": f'"{tag}"', "cache-control": "no-cache"}
    known = parse_tags(call.headers.get("if-none-match"))
    if known is not None and known.match_weakly(tag):
        return Response(status_code=304, headers=headers)
    return shared_body(body, headers)
