"""The schemas of artifact types."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from glare.http.call import Call, json_response
from glare.operations.access import find_type

_SCHEMA: Final = "application/schema+json; charset=UTF-8"


async def list_schemas(call: Call) -> Response:
    """GET /schemas"""
    await call.require_no_body()
    call.services.policy.require("artifact:type_list", call.actor, {})
    types = call.services.types
    schemas = {spec.name: spec.schema(call.microversion) for spec in (*types.specs.values(), types.all)}
    return json_response({"schemas": schemas}, media_type=_SCHEMA)


async def show_schema(call: Call) -> Response:
    """GET /schemas/T"""
    await call.require_no_body()
    call.services.policy.require("artifact:type_list", call.actor, {})
    spec = find_type(call.services, call.parameters["type_name"])
    return json_response({"schemas": {spec.name: spec.schema(call.microversion)}}, media_type=_SCHEMA)
