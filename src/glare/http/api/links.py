"""Links: made, listed and revoked by those who have an account, followed by those who have none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from msgspec.structs import asdict
from starlette.responses import Response

from glare.documents.links import Link, LinkPage, LinkQuery, MadeLink, NewLink, RevokedLinks, RevokeLinks
from glare.domain.callers.link import Link as StoredLink
from glare.domain.declared import legacy
from glare.domain.microversion import NEWEST
from glare.errors import ArtifactNotFound, Forbidden, NotFound
from glare.http.api import blobs, folders
from glare.http.call import Call
from glare.http.operation import Answer, Listing, Operation, Public, Tag, Taking
from glare.operations.links import follow, manage

LINKS: Final = Tag(
    "links",
    "Addresses by which one blob, or one folder of replicas, is read without an account.",
    path={
        "link": "Id of a link.",
        "token": "What the address of a link holds.",
        "file_name": "Name of the file, or for a folder the key of a member; of one blob it may be any.",
    },
)
_BYTES: Final = "application/octet-stream"
_METALINK: Final = ".meta4"


@Listing(
    id="links.list",
    about=LINKS,
    summary="The links of a project, by id",
    query=LinkQuery,
    answer=Answer(200, "One page. `next` is there while there may be more.", LinkPage),
    errors=(403,),
)
def list_page(call: Call, query: LinkQuery) -> tuple[Sequence[Link], str | None]:
    page = manage.list_links(call.services, call.actor, query)
    return [manage.represent_link(link) for link in page.entries], page.marker


@Taking(
    id="links.create",
    about=LINKS,
    summary="Make a link to a blob, or to a folder of replicas, which is read as Metalink",
    body=NewLink,
    answer=Answer(201, "The link, with its address, which is shown here only.", MadeLink),
    errors=(403, 404, 408, 409, 413, 415),
)
async def create(call: Call, asked: NewLink) -> MadeLink:
    link, token = await call.run(manage.create_link, call.services, call.actor, asked)
    return MadeLink(
        **asdict(manage.represent_link(link)), url=f"{call.base_url}/links/{token}/{_file_name(call, link)}"
    )


@Taking(
    id="links.revoke_all",
    about=LINKS,
    summary="Revoke all links of a project, or those to one artifact or of one user",
    body=RevokeLinks,
    answer=Answer(200, "How many there were.", RevokedLinks),
    errors=(403, 408, 413, 415),
)
async def revoke_all(call: Call, asked: RevokeLinks) -> RevokedLinks:
    revoked = await call.run(manage.revoke_links, call.services, call.actor, asked)
    return RevokedLinks(revoked)


@Operation(id="links.show", about=LINKS, summary="One link", answer=Answer(200, "It.", Link), errors=(403, 404))
async def show(call: Call) -> Link:
    return manage.represent_link(await call.run(manage.show_link, call.services, call.actor, call.parameters["link"]))


@Operation(
    id="links.revoke", about=LINKS, summary="Revoke a link", answer=Answer(204, "It is gone."), errors=(403, 404)
)
async def delete(call: Call) -> Response:
    await call.run(manage.revoke_link, call.services, call.actor, call.parameters["link"])
    return _empty()


@Public(
    id="links.read",
    about=LINKS,
    summary="Read by a link",
    answer=Answer(200, "The bytes of the blob; of a folder the Metalink.", media_type=_BYTES),
    more=(Answer(206, "A range of them.", media_type=_BYTES),),
    errors=(404, 416, 451),
)
async def read(call: Call) -> Response:
    """GET /links/TOKEN/NAME: as the maker of the link would read it now."""
    await call.require_no_body()
    token, name = call.parameters["token"], call.parameters["file_name"]
    link = await call.run(follow.find_link, call.services, call.application.identity, token, call.address)
    is_folder = folders.is_folder(call, link.type_name, link.path)
    member = f"{link.path}/{name}" if is_folder and not name.endswith(_METALINK) else link.path
    call.actor, call.microversion = link.maker, NEWEST
    call.parameters = {"type_name": link.type_name, "id": link.artifact_id, "blob_path": member}
    call.link = f"/links/{token}"
    if not call.is_head:
        await call.run(follow.take_use, call.services, link)
    try:
        return await blobs.get(call)
    except (ArtifactNotFound, Forbidden, NotFound):
        # What the maker may not read any more is none of the reader's business.
        raise follow.ended() from None


def _file_name(call: Call, link: StoredLink) -> str:
    """What a program makes of it that names files after addresses; what the file is called is in the answer."""
    if folders.is_folder(call, link.type_name, link.path):
        return f"{link.path}{_METALINK}"
    return quote(link.path.rpartition("/")[2], safe="")


def _empty() -> Response:
    return Response(status_code=204, headers={"content-type": legacy.EMPTY_CONTENT_TYPE})
