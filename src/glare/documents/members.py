"""Members: the projects that an artifact is shared with."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from glare.documents.parts import NO_NUL, TRIMMED, Page, PageQuery, Time, marker


class MemberStatus(StrEnum):
    """What a member has decided: whether its default lists show the artifact. It may read the artifact in any case."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


Project = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=TRIMMED,
        description="Identifier of a project, as its tokens name it. Whether there is one, this service does not know.",
        extra={"must_be": "a string of 1 to 255 characters without NUL, and without a space at either end"},
    ),
]
Decision = Annotated[
    MemberStatus,
    Meta(description="Whether the member's default lists show the artifact: `accepted` only. It may read it anyway."),
]


class NewMember(Struct, forbid_unknown_fields=True, frozen=True):
    project: Project


class MemberChanges(Struct, forbid_unknown_fields=True, frozen=True):
    status: Decision


class Member(Struct, frozen=True):
    artifact: Annotated[str, Meta(description="Id of the artifact.")]
    project: Project
    status: Decision
    created_at: Time
    updated_at: Time


class MemberPage(Page):
    members: list[Member]


class MemberQuery(PageQuery, frozen=True):
    marker: Annotated[str, marker(NO_NUL)] | None = None
