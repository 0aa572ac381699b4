"""Links: addresses by which somebody without an account reads one blob or one folder."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from glare.documents.parts import MACHINE_MADE, NO_NUL, Page, PageQuery, Time, marker

_ABOUT_NETWORK: Final = "Addresses that may use it, such as 192.0.2.0/24; null for all."
_ABOUT_USES: Final = "How many GET requests may read by it; null for any number. A resumed download is one more."

Artifact = Annotated[str, Meta(min_length=1, max_length=36, description="Id of the artifact.")]
Blob = Annotated[
    str, Meta(min_length=1, max_length=511, pattern=NO_NUL, description="A blob as FIELD or FIELD/KEY, or a folder of "
    "replicas, which is read as Metalink.")
]  # fmt: skip
Network = Annotated[str, Meta(max_length=64, description=_ABOUT_NETWORK)] | None
Description = Annotated[str, Meta(max_length=255, pattern=NO_NUL, description="For its makers.")]


class NewLink(Struct, forbid_unknown_fields=True, frozen=True):
    artifact: Artifact
    blob: Blob
    expires_in: (
        Annotated[int, Meta(ge=1, description="Seconds that it lasts; the service's default where null.")] | None
    ) = None
    network: Network = None
    uses: Annotated[int, Meta(ge=1, le=1_000_000_000, description=_ABOUT_USES)] | None = None
    description: Description = ""


class Link(Struct, frozen=True):
    id: str
    project: str
    type_name: str
    artifact: Artifact
    blob: Blob
    created_at: Time
    created_by: Annotated[str | None, Meta(description="The user, as whom it reads.")]
    expires_at: Time
    network: Network
    uses_left: Annotated[int | None, Meta(description="Null where they are not counted.")]
    description: Description


class MadeLink(Link, frozen=True, kw_only=True):
    url: Annotated[str, Meta(description="The address. Who has it can read; it is shown here and never again.")]


class RevokeLinks(Struct, forbid_unknown_fields=True, frozen=True):
    artifact: (
        Annotated[str, Meta(max_length=36, description="Those to this artifact; null for all."), MACHINE_MADE] | None
    ) = None
    user: (
        Annotated[str, Meta(max_length=255, pattern=NO_NUL, description="Those that this user has made; null for all.")]
        | None
    ) = None
    project: (
        Annotated[str, Meta(max_length=255, pattern=NO_NUL, description="The project, for administrators.")] | None
    ) = None


class RevokedLinks(Struct, frozen=True):
    revoked: int


class LinkPage(Page):
    links: list[Link]


class LinkQuery(PageQuery, frozen=True):
    artifact: Annotated[str, Meta(max_length=36, description="Links to this artifact only."), MACHINE_MADE] | None = (
        None
    )
    user: (
        Annotated[str, Meta(max_length=255, pattern=NO_NUL, description="Links that this user has made only.")] | None
    ) = None
    project: (
        Annotated[str, Meta(max_length=255, pattern=NO_NUL, description="The project, for administrators.")] | None
    ) = None
    marker: Annotated[str, marker(), MACHINE_MADE] | None = None
