"""Takedowns: what is not to be read, requested or recorded."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from glare.documents.parts import NO_NUL, Page, PageQuery, Time, marker


class TakedownKind(StrEnum):
    """What is taken down: a content by its sha256, a host with all names below it, or one URL."""

    DIGEST = "digest"
    HOST = "host"
    URL = "url"


_ABOUT_VALUE = (
    "The sha256 of a content, the name or address of a host (names below it are meant too), or a URL: without a query "
    "with any query."
)
_ABOUT_REASON = "For administrators; readers learn the id only."

Value = Annotated[str, Meta(min_length=1, description=_ABOUT_VALUE)]
Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        pattern=NO_NUL,
        description=_ABOUT_REASON,
        extra={"must_be": "a string of 1 to 2000 characters without NUL"},
    ),
]


class NewTakedown(Struct, forbid_unknown_fields=True, frozen=True):
    kind: TakedownKind
    value: Value
    reason: Reason


class Takedown(Struct, frozen=True):
    id: str
    kind: TakedownKind
    value: Value
    reason: Reason
    created_at: Time
    created_by: Annotated[str | None, Meta(description="The user.")]


class TakedownPage(Page):
    takedowns: list[Takedown]


class TakedownQuery(PageQuery, frozen=True):
    kind: Annotated[TakedownKind | None, Meta(description="What kind they are of.")] = None
    marker: Annotated[str | None, marker()] = None
