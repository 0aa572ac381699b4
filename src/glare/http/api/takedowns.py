"""Takedowns, for admins: what is not to be read, requested or recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from glare.documents.takedowns import NewTakedown, Takedown, TakedownPage, TakedownQuery
from glare.domain.declared import legacy
from glare.http.call import Call
from glare.http.operation import Answer, Listing, Operation, Tag, Taking, allowed
from glare.operations.takedowns import manage
from glare.operations.takedowns.manage import represent_takedown

TAKEDOWNS: Final = Tag(
    "takedowns",
    "What is not to be read, requested or recorded: contents, hosts and URLs; for admins.",
    path={"takedown_id": "Id of a takedown."},
)


@Listing(
    id="takedowns.list",
    about=TAKEDOWNS,
    summary="What is taken down, by id",
    query=TakedownQuery,
    answer=Answer(200, "One page. `next` is there while there may be more.", TakedownPage),
    errors=(403,),
    admit=allowed("takedown:list"),
)
def list_page(call: Call, query: TakedownQuery) -> tuple[Sequence[Takedown], str | None]:
    page = manage.list_takedowns(call.services, call.actor, query)
    return [represent_takedown(takedown) for takedown in page.entries], page.marker


@Taking(
    id="takedowns.create",
    about=TAKEDOWNS,
    summary="Take down a content, a host or a URL: readers get 451, nothing is requested or recorded, and the records "
    "stay",
    body=NewTakedown,
    answer=Answer(201, "The takedown.", Takedown),
    errors=(403, 408, 409, 413, 415),
    admit=allowed("takedown:create"),
)
async def create(call: Call, asked: NewTakedown) -> Takedown:
    return represent_takedown(await call.run(manage.create_takedown, call.services, call.actor, asked))


@Operation(
    id="takedowns.show",
    about=TAKEDOWNS,
    summary="One takedown",
    answer=Answer(200, "It.", Takedown),
    errors=(403, 404),
)
async def show(call: Call) -> Takedown:
    return represent_takedown(await call.run(manage.show_takedown, call.services, call.actor, _id(call)))


@Operation(
    id="takedowns.delete",
    about=TAKEDOWNS,
    summary="Undo a takedown",
    answer=Answer(204, "It is gone."),
    errors=(403, 404),
)
async def delete(call: Call) -> Response:
    await call.run(manage.delete_takedown, call.services, call.actor, _id(call))
    return Response(status_code=204, headers={"content-type": legacy.EMPTY_CONTENT_TYPE})


def _id(call: Call) -> str:
    return call.parameters["takedown_id"]
