"""Quotas, as admins set them and projects read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta
from starlette.responses import Response

from glare.documents.quotas import AllQuotas, ProjectQuotas
from glare.domain.declared import legacy
from glare.http.call import Call, json_response
from glare.http.media_types import JSON
from glare.http.operation import Answer, Operation, Tag, Taking, allowed
from glare.operations.quotas import all_quotas, project_quotas, set_quotas

QUOTAS: Final = Tag(
    "quotas",
    "What projects may have.",
    path={"project": "Identifier of a project; of another one than the caller's for admins only."},
)

_OF_ONE_PROJECT: Final = Answer(
    200,
    "The global quotas with the project's laid over them.",
    Annotated[list[ProjectQuotas], Meta(min_length=1, max_length=1)],
)


@Taking(
    id="quotas.set",
    about=QUOTAS,
    summary="Replace the quotas of the projects listed; for admins",
    body=list[ProjectQuotas],
    answer=Answer(200, "Done; the body is `null`.", type(legacy.SET_QUOTAS_BODY)),
    errors=(403, 408, 413, 415),
    admit=allowed("artifact:set_quotas"),
)
async def put(call: Call, asked: list[ProjectQuotas]) -> Response:
    await call.run(set_quotas, call.services, call.actor, asked, call.microversion)
    return json_response(legacy.SET_QUOTAS_BODY, media_type=JSON)


@Operation(
    id="quotas.list",
    about=QUOTAS,
    summary="All quotas; for admins",
    answer=Answer(200, "Each project's, and the global ones.", AllQuotas),
    errors=(403,),
)
async def get_all(call: Call) -> AllQuotas:
    return await call.run_list(all_quotas, call.services, call.actor)


@Operation(
    id="quotas.own",
    about=QUOTAS,
    summary="What the caller's project may have",
    answer=_OF_ONE_PROJECT,
    errors=(403,),
)
async def get_own(call: Call) -> Sequence[ProjectQuotas]:
    return await call.run(project_quotas, call.services, call.actor, None)


@Operation(
    id="quotas.project",
    about=QUOTAS,
    summary="What a project may have",
    answer=_OF_ONE_PROJECT,
    errors=(403,),
)
async def get_of_project(call: Call) -> Sequence[ProjectQuotas]:
    return await call.run(project_quotas, call.services, call.actor, call.parameters["project"])
