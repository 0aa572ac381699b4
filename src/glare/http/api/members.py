"""Members: the projects that an artifact is shared with. At a root of their own, since a type may have a blob field
`members`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from glare.documents.members import Member, MemberChanges, MemberPage, MemberQuery, NewMember
from glare.domain.declared import legacy
from glare.domain.microversion import SHARING
from glare.errors import NotFound
from glare.http.call import Call
from glare.http.operation import Answer, Listing, Operation, Tag, Taking
from glare.operations.artifacts import members
from glare.operations.artifacts.members import represent_member

MEMBERS: Final = Tag(
    "members",
    f"The projects that an artifact is shared with, from API version {SHARING} on. Its owner names them; each of them "
    "reads the artifact, and decides whether its lists show it.",
    path={"artifact_id": "Id of an artifact of any type.", "project": "Identifier of the member, a project."},
)


def _known(call: Call) -> None:
    if call.microversion < SHARING:
        raise NotFound(
            f"Members are there since API version {SHARING}: send the header OpenStack-API-Version: artifact {SHARING}."
        )


@Listing(
    id="members.list",
    about=MEMBERS,
    summary="With whom an artifact is shared, by project: its owner sees all members, a member itself",
    query=MemberQuery,
    answer=Answer(200, "One page. `next` is there while there may be more.", MemberPage),
    errors=(403, 404),
    admit=_known,
)
def list_page(call: Call, query: MemberQuery) -> tuple[Sequence[Member], str | None]:
    page = members.list_members(call.services, call.actor, call.parameters["artifact_id"], query)
    return [represent_member(member) for member in page.entries], page.marker


@Taking(
    id="members.add",
    about=MEMBERS,
    summary="Share an artifact with a further project",
    body=NewMember,
    answer=Answer(201, "The member, which has not decided yet.", Member),
    errors=(403, 404, 408, 409, 413, 415),
    admit=_known,
)
async def add(call: Call, asked: NewMember) -> Member:
    artifact_id = call.parameters["artifact_id"]
    return represent_member(await call.run(members.add_member, call.services, call.actor, artifact_id, asked.project))


@Operation(
    id="members.show",
    about=MEMBERS,
    summary="One member",
    answer=Answer(200, "It.", Member),
    errors=(403, 404),
    admit=_known,
)
async def show(call: Call) -> Member:
    return represent_member(await call.run(members.show_member, call.services, call.actor, *_named(call)))


@Taking(
    id="members.decide",
    about=MEMBERS,
    summary="Decide, as the member, whether the project's default lists show the artifact",
    body=MemberChanges,
    answer=Answer(200, "The member as it is now.", Member),
    errors=(403, 404, 408, 409, 413, 415),
    admit=_known,
)
async def decide(call: Call, asked: MemberChanges) -> Member:
    return represent_member(await call.run(members.decide, call.services, call.actor, *_named(call), asked.status))


@Operation(
    id="members.remove",
    about=MEMBERS,
    summary="Share an artifact with a project no more",
    answer=Answer(204, "It does not see the artifact any more."),
    errors=(403, 404, 409),
    admit=_known,
)
async def remove(call: Call) -> Response:
    await call.run(members.remove_member, call.services, call.actor, *_named(call))
    return Response(status_code=204, headers={"content-type": legacy.EMPTY_CONTENT_TYPE})


def _named(call: Call) -> tuple[str, str]:
    return call.parameters["artifact_id"], call.parameters["project"]
