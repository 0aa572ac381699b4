"""The audit log."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from glare.documents.parts import MACHINE_MADE, Page, PageQuery, Time, marker


class AuditOutcome(StrEnum):
    """Whether it was done or refused."""

    DONE = "done"
    REFUSED = "refused"


class AuditEntry(Struct, frozen=True):
    id: int
    time: Annotated[Time, Meta(description="With microseconds, which order what one second holds.")]
    request_id: str | None
    user: Annotated[str | None, Meta(description="null: the service by itself.")]
    project: str | None
    roles: list[str]
    source: Annotated[
        str | None,
        Meta(
            description="How the user was known: the name of the identity source, or `command` (of the server), "
            "`anonymous`. null: the service by itself, or an entry of an older release."
        ),
    ]
    credential: Annotated[
        str | None,
        Meta(
            description="Id of the credential where it has one: of a token, an application credential, or else the "
            "audit id of a token of Keystone; `publisher:ID` or `issuer:NAME` of a signed one. It opens no door."
        ),
    ]
    action: str
    outcome: AuditOutcome
    type_name: str | None
    artifact: str | None
    target: Annotated[str | None, Meta(description="A blob's path, a project, or the id of a token.")]
    detail: Annotated[dict[str, Any], Meta(description="More of this action. It holds no secret and no URL.")]


class AuditPage(Page):
    audit: list[AuditEntry]


_TIME: Final = "ISO-8601 time or date; "


class AuditQuery(PageQuery, frozen=True):
    user: Annotated[str | None, Meta(description="Who did it.")] = None
    project: Annotated[str | None, Meta(description="The project of who did it.")] = None
    artifact: Annotated[
        Annotated[str, MACHINE_MADE] | None, Meta(description="Id of the artifact that it was done to.")
    ] = None
    type: Annotated[Annotated[str, MACHINE_MADE] | None, Meta(description="Type of that artifact.")] = None
    action: Annotated[
        Annotated[str, MACHINE_MADE] | None,
        Meta(description="What was done, such as `create` or `upload`; of a refusal the method and the route."),
    ] = None
    outcome: Annotated[AuditOutcome | None, Meta(description="Whether it was done or refused.")] = None
    request_id: Annotated[Annotated[str, MACHINE_MADE] | None, Meta(description="The request, as `req-…`.")] = None
    source: Annotated[
        Annotated[str, MACHINE_MADE] | None, Meta(description="How the user was known, such as `keystone`.")
    ] = None
    credential: Annotated[
        str | None,
        Meta(description="Id of the credential that was used; with `user` or `project` it is found fastest."),
    ] = None
    since: Annotated[str | None, Meta(description=f"{_TIME}entries from then on.")] = None
    until: Annotated[str | None, Meta(description=f"{_TIME}entries from before it.")] = None
    marker: Annotated[str, marker("^[0-9]{1,18}-[0-9]{1,18}$")] | None = None
