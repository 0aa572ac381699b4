"""Takedowns, for admins: what is not to be read, requested or recorded."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from glare.domain.declared import legacy
from glare.http.answers import Pairs, page_in_parts
from glare.http.api.artifacts import JSON
from glare.http.call import Call, json_response
from glare.operations.takedowns import manage as manage_takedowns
from glare.operations.takedowns.manage import represent_takedown


async def create(call: Call) -> Response:
    """POST /takedowns"""
    call.services.policy.require("takedown:create", call.actor, {})
    call.require_media_type(JSON)
    body = await call.document()
    takedown = await call.run(manage_takedowns.create_takedown, call.services, call.actor, body)
    return json_response(represent_takedown(takedown), 201)


async def list_page(call: Call) -> Response:
    """GET /takedowns"""
    await call.require_no_body()
    return await call.run_list(_list, call)


async def show(call: Call) -> Response:
    """GET /takedowns/ID"""
    await call.require_no_body()
    takedown = await call.run(manage_takedowns.show_takedown, call.services, call.actor, _id(call))
    return json_response(represent_takedown(takedown))


async def delete(call: Call) -> Response:
    """DELETE /takedowns/ID"""
    await call.require_no_body()
    await call.run(manage_takedowns.delete_takedown, call.services, call.actor, _id(call))
    return Response(status_code=204, headers={"content-type": legacy.EMPTY_CONTENT_TYPE})


def _list(call: Call) -> Response:
    def read(pairs: Pairs) -> tuple[list[Any], str | None]:
        page = manage_takedowns.list_takedowns(call.services, call.actor, pairs)
        return [represent_takedown(takedown) for takedown in page.takedowns], page.marker

    return page_in_parts(call, "takedowns", read)


def _id(call: Call) -> str:
    return call.parameters["takedown_id"]
