"""Blobs as artifacts and folders show them, and the external location that a client asks to record."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from glare.documents.locations import LocationState
from glare.documents.parts import Time

MAX_URL: Final = 2048


class BlobStatus(StrEnum):
    """`saving`: its data is still to come."""

    SAVING = "saving"
    ACTIVE = "active"


class Blob(Struct, frozen=True):
    """What is known of one blob. Size and checksums are measured, and taken from a client only where the operator has
    switched measuring off.
    """

    url: Annotated[
        str,
        Meta(
            description="Where to download stored data; of external data the URL itself, or its scheme and host where "
            "it is confidential."
        ),
    ]
    status: BlobStatus
    external: Annotated[bool, Meta(description="Whether the data lives at a URL outside of the service.")]
    md5: str | None
    sha1: str | None
    sha256: str | None
    size: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="Bytes; what is reserved while saving.")]
    content_type: str | None


class Member(Blob, frozen=True):
    """A blob of a folder, with what is known of its location."""

    good: Annotated[bool, Meta(description="Whether it can be downloaded, as far as is known.")]
    copied_from: Annotated[str | None, Meta(description="Where stored bytes were copied from.")]
    location: Annotated[str | None, Meta(description="Id of its external location.")] = None
    state: LocationState | None = None
    reason: str | None = None
    proven_at: Time | None = None
    seen_at: Time | None = None
    stale: bool = False


class Folder(Struct, frozen=True):
    """A folder as a whole. Size and digests are there where its members are replicas: one content."""

    field: str
    replicas: bool
    size: int | UnsetType | None = UNSET
    md5: str | UnsetType | None = UNSET
    sha1: str | UnsetType | None = UNSET
    sha256: str | UnsetType | None = UNSET
    good: Annotated[int, Meta(description="How many different good replicas there are.")] | UnsetType = UNSET
    members: dict[str, Member] = {}


def _hexadecimal(digits: int) -> Meta:
    must_be = f"{digits} hexadecimal digits or null"
    pattern = f"^[0-9a-fA-F]{{{digits}}}$"
    return Meta(min_length=digits, max_length=digits, pattern=pattern, extra={"must_be": must_be})


class Location(Struct, frozen=True):
    """An external location to record. Size and checksums are claims: they must equal what is measured."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_URL,
            extra_json_schema={"format": "uri", "pattern": "^https?://"},
            extra={"must_be": f"a string of 1 to {MAX_URL} characters", "secret": True},
        ),
    ]
    location_type: Annotated[
        Literal["external", "internal"],
        Meta(
            description="Internal locations are refused: no store is configured for them.",
            extra={"must_be": "'external' or 'internal'"},
        ),
    ] = "external"
    confidential: (
        Annotated[
            bool,
            Meta(
                description="Whether to show the URL to the owner's project and admins only. Left out, that is decided "
                "by its query: anything there that is not known to be harmless is a secret. A URL with the parameter "
                "of "
                "a known signature or token is always confidential.",
                extra={"must_be": "true or false; leave it out to have it decided by the URL's query"},
            ),
        ]
        | UnsetType
    ) = UNSET
    size: Annotated[int, Meta(ge=0, extra={"must_be": "a number of bytes, null, or left out"})] | None = None
    md5: Annotated[str, _hexadecimal(32)] | None = None
    sha1: Annotated[str, _hexadecimal(40)] | None = None
    sha256: Annotated[str, _hexadecimal(64)] | None = None
