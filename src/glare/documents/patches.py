"""A JSON Patch (RFC 6902) of an artifact, as clients send it. The service reads it with `glare.domain.patch`, which
takes the same, and says of what it refuses which operation that is and what to do.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct, field

_NAME: Final = "(?:[^/~]|~[01])+"

Pointer = Annotated[
    str,
    Meta(
        pattern=f"^/{_NAME}(?:/{_NAME})?$",
        description="A field, or an element of a list or dict: `/description`, `/tags/-`, `/metadata/key`. `/status` "
        "and `/visibility` move the artifact through its life cycle.",
    ),
]

ElementPointer = Annotated[
    str,
    Meta(
        pattern=f"^/{_NAME}/{_NAME}$",
        description="An element of a list or dict. A whole field is replaced with null instead.",
    ),
]


class PatchAdd(Struct, tag_field="op", tag="add", frozen=True):
    path: Pointer
    value: Any


class PatchReplace(Struct, tag_field="op", tag="replace", frozen=True):
    path: Pointer
    value: Any


class PatchTest(Struct, tag_field="op", tag="test", frozen=True):
    path: Pointer
    value: Any


class PatchRemove(Struct, tag_field="op", tag="remove", frozen=True):
    path: ElementPointer


class PatchCopy(Struct, tag_field="op", tag="copy", frozen=True):
    source: Pointer = field(name="from")
    path: Pointer


class PatchMove(Struct, tag_field="op", tag="move", frozen=True):
    source: ElementPointer = field(name="from")
    path: Pointer


JsonPatch = Annotated[
    list[PatchAdd | PatchReplace | PatchTest | PatchRemove | PatchCopy | PatchMove],
    Meta(description="JSON Patch (RFC 6902). Operations run in order; nothing is stored unless all of them pass."),
]
