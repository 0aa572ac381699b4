"""Quotas, as admins set them and projects read them."""

from __future__ import annotations

from starlette.responses import Response

from glare.domain.declared import legacy
from glare.http.api.artifacts import JSON
from glare.http.call import Call, json_response
from glare.operations.quotas import all_quotas, project_quotas, set_quotas


async def put(call: Call) -> Response:
    """PUT /quotas"""
    call.services.policy.require("artifact:set_quotas", call.actor, {})
    call.require_media_type(JSON)
    body = await call.document()
    await call.run(set_quotas, call.services, call.actor, body, call.microversion)
    return json_response(legacy.SET_QUOTAS_BODY, media_type=JSON)


async def get_all(call: Call) -> Response:
    """GET /quotas"""
    await call.require_no_body()
    return json_response(await call.run_list(all_quotas, call.services, call.actor))


async def get_of_project(call: Call) -> Response:
    """GET /project-quotas and /project-quotas/PROJECT"""
    await call.require_no_body()
    project = call.parameters.get("project")
    return json_response(await call.run(project_quotas, call.services, call.actor, project))
