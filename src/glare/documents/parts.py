"""What documents share: times, texts without NUL, and pages of lists."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

NO_NUL: Final = r"^[^\u0000]*$"

TRIMMED: Final = r"^[^ \u0000](?:[^\u0000]*[^ \u0000])?$"
"""Without NUL, and without a space at either end: MariaDB takes a text for the same with spaces behind it."""

MACHINE_MADE: Final = Meta(pattern=r"^[\u0001-\u007f]*$", extra={"remedy": "give ASCII characters only"})
"""Parameters that are compared with texts that machines have made: MariaDB refuses to compare those with more than
ASCII."""

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""ISO 8601, in UTC."""


class Page(Struct, kw_only=True):
    """A page of a list. A subclass adds the one member that has the entries; it is the first of the document."""

    first: Annotated[str, Meta(description="Address of the first page.")]
    next: (
        Annotated[
            str,
            Meta(
                description="Address of the next page; there when this one is as long as its limit, so the next may be "
                "empty."
            ),
        ]
        | UnsetType
    ) = UNSET


class PageQuery(Struct, kw_only=True, frozen=True):
    """The parameters that every list takes. A subclass adds its own, and a marker."""

    limit: Annotated[
        int,
        Meta(ge=1, description="How many entries a page may have.", extra={"remedy": "give an integer of 1 or more"}),
    ] = 100


def marker(pattern: str | None = None) -> Meta:
    """What a marker is, of a list whose markers look like this."""
    about = "Where the page begins; part of `next`."
    return Meta(pattern=pattern, description=about, extra={"remedy": "take it from 'next' of an earlier page"})


def entries_of(page: type[Page]) -> str:
    """The name of the member that has the entries of such a page."""
    return page.__struct_encode_fields__[0]


def names_of(document: type[Struct] | Struct) -> tuple[str, ...]:
    """The names of the members of a document, as they are on the wire."""
    return document.__struct_encode_fields__


def as_given(document: Struct) -> dict[str, Any]:
    """The members that a client has sent, by the name of the attribute: what was left out is not there."""
    values = ((name, getattr(document, name)) for name in document.__struct_fields__)
    return {name: value for name, value in values if value is not UNSET}
