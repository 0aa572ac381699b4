"""Publishers: builds that may write into a project with the token of their own platform. Since microversion 1.3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from glare.documents import publishers as documents
from glare.domain.microversion import Microversion
from glare.errors import NotFound
from glare.http.call import Call
from glare.http.operation import Answer, Listing, Operation, Tag, Taking
from glare.operations.publishers import manage
from glare.operations.publishers.manage import represent_publisher, require_project

SINCE: Final = Microversion(1, 3)

PUBLISHERS: Final = Tag(
    "publishers",
    "Builds that may write into a project with the token that their own platform gives them, without a stored secret. "
    f"From API version {SINCE} on.",
    path={"publisher": "Id of a publisher."},
)


def _known(call: Call) -> None:
    """Older versions do not know these addresses."""
    if call.microversion < SINCE:
        raise NotFound(
            f"There is nothing at '{call.path[:200]}' in API version {call.microversion}; ask for {SINCE} or later "
            f"with the header OpenStack-API-Version: artifact {SINCE}."
        )


def _of_project(call: Call) -> None:
    _known(call)
    require_project(call.actor)


@Listing(
    id="publishers.list",
    about=PUBLISHERS,
    summary="The publishers of a project, newest first",
    query=documents.PublisherQuery,
    answer=Answer(200, "One page. `next` is there while there is more.", documents.PublisherPage),
    errors=(403, 404),
    admit=_known,
)
def list_page(call: Call, query: documents.PublisherQuery) -> tuple[Sequence[documents.Publisher], str | None]:
    page = manage.list_publishers(call.services, call.actor, query)
    return [represent_publisher(one) for one in page.entries], page.marker


@Taking(
    id="publishers.create",
    about=PUBLISHERS,
    summary="Let builds publish into the project",
    body=documents.NewPublisher,
    answer=Answer(
        201, "Registered. Builds whose tokens have these claims are let in on all nodes.", documents.Publisher
    ),
    errors=(403, 404, 408, 409, 413, 415, 429),
    admit=_of_project,
)
async def create(call: Call, asked: documents.NewPublisher) -> documents.Publisher:
    return represent_publisher(await call.run(manage.create_publisher, call.services, call.actor, asked))


@Operation(
    id="publishers.show",
    about=PUBLISHERS,
    summary="One publisher",
    answer=Answer(200, "It.", documents.Publisher),
    errors=(403, 404),
    admit=_known,
)
async def show(call: Call) -> documents.Publisher:
    return represent_publisher(await call.run(manage.show_publisher, call.services, call.actor, _id(call)))


@Operation(
    id="publishers.delete",
    about=PUBLISHERS,
    summary="Let these builds publish no more",
    answer=Answer(204, "They are refused everywhere within seconds."),
    errors=(403, 404),
    admit=_known,
)
async def delete(call: Call) -> Response:
    await call.run(manage.delete_publisher, call.services, call.actor, _id(call))
    return Response(status_code=204)


def _id(call: Call) -> str:
    return call.parameters["publisher"]
