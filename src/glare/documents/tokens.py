"""API tokens, as users make them for programs that act for their project."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from glare.documents.parts import NO_NUL, Page, PageQuery, Time, marker

CREATED: Final = "token.created"
REVOKED: Final = "token.revoked"
EXPIRING: Final = "token.expiring"
TOKEN_EVENTS: Final = (CREATED, REVOKED, EXPIRING)


class TokenState(StrEnum):
    """Only an `active` one is accepted."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


def _texts(most: int) -> Meta:
    return Meta(min_length=1, max_length=most, pattern=NO_NUL)


_MOST: Final = 64

Description = Annotated[
    str,
    Meta(
        max_length=255,
        pattern=NO_NUL,
        description="What it is for.",
        extra={"must_be": "a string of at most 255 characters without NUL"},
    ),
]
Role = Annotated[str, _texts(255)]
Roles = Annotated[
    list[Role],
    Meta(
        min_length=1,
        max_length=_MOST,
        description="Roles that it gives; its maker has to have them. All of its maker's without it.",
        extra={"must_be": f"an array of 1 to {_MOST} names of roles that you have"},
    ),
]
ReadOnly = Annotated[bool, Meta(description="Whether it may only read.")]
Types = Annotated[
    list[Annotated[str, _texts(64)]],
    Meta(
        min_length=1,
        max_length=_MOST,
        description="Types whose artifacts it may see and change; null is all. It may do nothing but work on these.",
        extra={"must_be": f"null, or an array of 1 to {_MOST} names of types"},
    ),
]
Names = Annotated[
    list[Annotated[str, _texts(255)]],
    Meta(
        min_length=1,
        max_length=_MOST,
        description="Names of artifacts that it may create and change, in which `*` stands for any characters; null is "
        "all. It may change nothing else. What it may read is not limited by them.",
        extra={"must_be": f"null, or an array of 1 to {_MOST} names, in which * stands for any characters"},
    ),
]
Networks = Annotated[
    list[Annotated[str, _texts(64)]],
    Meta(
        min_length=1,
        max_length=_MOST,
        description="Networks that it may be used from, such as 192.0.2.0/24 or 2001:db8::7; null is all.",
        extra={"must_be": f"null, or an array of 1 to {_MOST} networks such as 192.0.2.0/24 or 2001:db8::7"},
    ),
]
_ABOUT_END: Final = "When it expires. The operator has set how long one may last, and how long it lasts without this."


class NewToken(Struct, forbid_unknown_fields=True, frozen=True):
    description: Description | UnsetType = UNSET
    roles: Roles | UnsetType = UNSET
    read_only: ReadOnly | UnsetType = UNSET
    types: Types | UnsetType | None = UNSET
    names: Names | UnsetType | None = UNSET
    networks: Networks | UnsetType | None = UNSET
    expires_at: Annotated[Time, Meta(description=_ABOUT_END)] | UnsetType = UNSET


class Token(Struct, frozen=True):
    id: str
    project: str
    user: Annotated[str, Meta(description="The user that it stands for: who made it.")]
    description: Description
    roles: Annotated[list[str], Meta(description="Roles that it gives.")]
    read_only: ReadOnly
    types: Types | None
    names: Names | None
    networks: Networks | None
    state: TokenState
    made_with: Annotated[
        str | None, Meta(description="The id of the token that it was made with; it is revoked with that one.")
    ]
    created_at: Time
    expires_at: Annotated[Time | None, Meta(description="null: it lasts until it is revoked.")]
    last_used_at: Annotated[Time | None, Meta(description="To the hour: it is recorded at most once in one.")]
    revoked_at: Time | None


class TokenWithText(Token, frozen=True):
    token: Annotated[
        str,
        Meta(description="What is sent as `X-Auth-Token`, shown here and never again.", extra={"secret": True}),
    ]


class TokenPage(Page):
    tokens: list[Token]


class TokenQuery(PageQuery, frozen=True):
    project: Annotated[str | None, Meta(description="Whose; the caller's without it.")] = None
    user: Annotated[str | None, Meta(description="Of this user only. Your own are shown in any case.")] = None
    state: Annotated[TokenState | None, Meta(description="Those in this state only.")] = None
    marker: Annotated[str, marker("^[0-9]{1,18}_[0-9a-f-]{1,36}$")] | None = None


class Revocation(Struct, forbid_unknown_fields=True, frozen=True):
    user: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=255,
            pattern=NO_NUL,
            description="Whose tokens.",
            extra={"must_be": "a string of 1 to 255 characters: the user whose tokens are revoked"},
        ),
    ]
    project: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=255,
                pattern=NO_NUL,
                description="Of which project; of the caller's without it.",
                extra={"must_be": "a string of 1 to 255 characters: the project of these tokens"},
            ),
        ]
        | UnsetType
    ) = UNSET


class Revoked(Struct, frozen=True):
    revoked: Annotated[list[str], Meta(description="Ids of the tokens that are revoked now, and were not before.")]
