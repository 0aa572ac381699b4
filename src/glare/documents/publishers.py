"""Publishers: builds that may write into a project with the token of their own platform."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from glare.documents.parts import NO_NUL, Page, PageQuery, Time, marker

CREATED: Final = "publisher.created"
REMOVED: Final = "publisher.removed"
PUBLISHER_EVENTS: Final = (CREATED, REMOVED)

_MOST: Final = 64


def _texts(most: int) -> Meta:
    return Meta(min_length=1, max_length=most, pattern=NO_NUL)


IssuerName = Annotated[
    str,
    Meta(
        pattern="^[a-z][a-z0-9-]{0,31}$",
        description="Name of an issuer that the operator lets publish.",
        extra={"must_be": "the name of an issuer, such as github"},
    ),
]
Claims = Annotated[
    dict[str, Annotated[str, _texts(512)]],
    Meta(
        min_length=1,
        max_length=16,
        description="What the claims of a token must be, by their names (or JSON pointers): text in which `*` stands "
        "for anything but slashes, and `**` for anything. One that tells builds apart must be exact.",
        extra={"must_be": "an object of 1 to 16 patterns by the names of claims"},
    ),
]
Roles = Annotated[
    list[Annotated[str, _texts(255)]],
    Meta(
        min_length=1,
        max_length=_MOST,
        description="Roles that the build has: `member` without it.",
        extra={"must_be": f"an array of 1 to {_MOST} names of roles"},
    ),
]
Types = Annotated[
    list[Annotated[str, _texts(64)]],
    Meta(
        min_length=1,
        max_length=_MOST,
        description="Types whose artifacts the build may see and change; null is all.",
        extra={"must_be": f"null, or an array of 1 to {_MOST} names of types"},
    ),
]
Names = Annotated[
    list[Annotated[str, _texts(255)]],
    Meta(
        min_length=1,
        max_length=_MOST,
        description="Names of artifacts that the build may create and change, in which `*` stands for any characters; "
        "null is all.",
        extra={"must_be": f"null, or an array of 1 to {_MOST} names, in which * stands for any characters"},
    ),
]
Description = Annotated[
    str,
    Meta(max_length=255, pattern=NO_NUL, extra={"must_be": "a string of at most 255 characters without NUL"}),
]


class NewPublisher(Struct, forbid_unknown_fields=True, frozen=True):
    issuer: IssuerName
    claims: Claims
    roles: Roles | UnsetType = UNSET
    types: Types | UnsetType | None = UNSET
    names: Names | UnsetType | None = UNSET
    description: Description | UnsetType = UNSET


class Publisher(Struct, frozen=True):
    id: str
    project: str
    issuer: IssuerName
    claims: Claims
    roles: Roles
    types: Types | None
    names: Names | None
    description: Description
    created_at: Time
    created_by: Annotated[str | None, Meta(description="The user.")]


class PublisherPage(Page):
    publishers: list[Publisher]


class PublisherQuery(PageQuery, frozen=True):
    project: Annotated[str | None, Meta(description="Whose; the caller's without it.")] = None
    marker: Annotated[str, marker("^[0-9]{1,18}_[0-9a-f-]{1,36}$")] | None = None
