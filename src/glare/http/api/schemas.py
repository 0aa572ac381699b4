"""The schemas of artifact types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from glare.documents.service import TypeSchemas
from glare.domain.declared.artifact_type import TypeSpec
from glare.http.answers import shared_body
from glare.http.call import Call, encode
from glare.http.media_types import JSON_SCHEMA
from glare.http.operation import Answer, Operation, Tag
from glare.operations.access import find_type

_SCHEMA: Final = f"{JSON_SCHEMA}; charset=UTF-8"


SCHEMAS: Final = Tag(
    "schemas",
    "The JSON Schemas of the artifact types.",
    path={"type_name": "Name of an artifact type, or `all`."},
)


@Operation(
    id="schemas.list",
    about=SCHEMAS,
    summary="The schemas of all types",
    answer=Answer(200, "The schemas.", TypeSchemas, media_type=JSON_SCHEMA),
    errors=(403,),
)
async def list_schemas(call: Call) -> Response:
    call.services.policy.require("artifact:type_list", call.actor, {})
    types = call.services.types
    return _shared(call, "", (*types.specs.values(), types.all))


@Operation(
    id="schemas.show",
    about=SCHEMAS,
    summary="The schema of one type",
    answer=Answer(200, "The schema.", TypeSchemas, media_type=JSON_SCHEMA),
    errors=(403, 404),
)
async def show_schema(call: Call) -> Response:
    call.services.policy.require("artifact:type_list", call.actor, {})
    spec = find_type(call.services, call.parameters["type_name"])
    return _shared(call, spec.name, (spec,))


def _shared(call: Call, name: str, specs: Sequence[TypeSpec]) -> Response:
    """The schemas of these types: made once, because they never change and everybody reads the same."""
    known, key = call.application.schemas, (name, call.microversion)
    body = known.get(key)
    if body is None:
        body = known[key] = encode(TypeSchemas({spec.name: dict(spec.schema(call.microversion)) for spec in specs}))
    return shared_body(body, {"content-type": _SCHEMA})
