"""Quotas: what projects may have."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

LARGEST = (1 << 63) - 1

Value = Annotated[
    int,
    Meta(
        ge=-1,
        le=LARGEST,
        description="-1 is unlimited.",
        extra={"must_be": f"an integer from -1 (unlimited) to {LARGEST}"},
    ),
]


class Quota(Struct, frozen=True):
    quota_name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=255,
            pattern="^[^:]*:?[^:]*$",
            description="max_artifact_number or max_uploaded_data (bytes), for one type with `:` and the type's name.",
            extra={"must_be": "a string of 1 to 255 characters, with one ':' at most before the name of a type"},
        ),
    ]
    quota_value: Value


class ProjectQuotas(Struct, frozen=True):
    project_id: Annotated[str, Meta(min_length=1, max_length=255)]
    project_quotas: list[Quota]


class AllQuotas(Struct, frozen=True):
    quotas: list[ProjectQuotas]
    global_quotas: dict[str, Value]
