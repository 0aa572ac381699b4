"""External locations: what is known of each, what its checks have found, and what is still to be recorded or copied."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from glare.documents.parts import MACHINE_MADE, Page, PageQuery, Time, marker


class LocationState(StrEnum):
    """What Glare knows of an external location. `unverified` is never shown or treated as `verified`."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    CHANGED = "changed"
    UNREACHABLE = "unreachable"


class CheckKind(StrEnum):
    """How much a check asks of an origin.

    `conditional` compares validators and length, `spot` a few random blocks, `full` every block.
    """

    CONDITIONAL = "conditional"
    SPOT = "spot"
    FULL = "full"


class CheckOutcome(StrEnum):
    """What came of a check. Only a full one proves a change; a cheap one that hints at it is `suspect`."""

    EQUAL = "equal"
    SUSPECT = "suspect"
    CHANGED = "changed"
    FAILED = "failed"


class JobState(StrEnum):
    """How far a job is that outlives its request."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


Count = Annotated[int, Meta(ge=0)]
BlobPath = Annotated[str, Meta(description="The blob field, or field and key, as in the artifact's paths.")]


class AsSent(Struct, frozen=True):
    content_encoding: str | None
    ends_with_connection: bool
    transformed: bool


class RecordedLocation(Struct, frozen=True):
    id: str
    status: Literal["active"]
    artifact: str
    artifact_type: str
    project: str
    blob: BlobPath
    url: Annotated[
        str, Meta(description="Of a confidential one only owner and administrators see more than scheme and host.")
    ]
    confidential: bool
    state: LocationState
    reason: Annotated[str | None, Meta(description="Why it is not verified, or why the last check failed.")]
    stale: Annotated[bool, Meta(description="Whether the last proof is older than the operator wants it to be.")]
    size: Count | None
    md5: str | None
    sha1: str | None
    sha256: str | None
    content_type: str | None
    as_sent: Annotated[
        AsSent | None,
        Meta(
            description="How the origin sends the bytes, where only the sha256 that was claimed has proved that they "
            "are the content, and all of it; null where its headers left no doubt."
        ),
    ]
    proven_at: Annotated[Time | None, Meta(description="When the whole body was last read and found equal.")]
    seen_at: Annotated[
        Time | None, Meta(description="When a check of any kind last found nothing wrong, or read a body.")
    ]
    failures: Annotated[Count, Meta(description="Failed checks in a row.")]
    next_check_at: Annotated[Time | None, Meta(description="Null also where it is due at once.")]


class JobError(Struct, frozen=True):
    type: str
    message: str


_WHY: Final = Meta(description="Why it failed, or failed last.")


class Recording(Struct, frozen=True):
    """A location that is still to be recorded, or could not be; for its owner and administrators."""

    id: str
    status: Literal["saving", "failed"]
    artifact: str
    artifact_type: str
    project: str
    blob: BlobPath
    url: str
    confidential: bool
    error: Annotated[JobError | None, _WHY]
    tries: Count
    asked_at: Time
    finished_at: Time | None


class PromotionState(Struct, frozen=True):
    status: JobState
    error: Annotated[JobError | None, _WHY]
    tries: Count
    asked_at: Time
    finished_at: Time | None


class Promotion(Struct, frozen=True):
    id: str
    artifact: str
    artifact_type: str
    project: str
    blob: BlobPath
    url: str
    confidential: bool
    promotion: PromotionState


class RecordedCheck(Struct, frozen=True):
    kind: CheckKind
    outcome: CheckOutcome
    reason: str | None
    state: Annotated[LocationState, Meta(description="The location's after it.")]
    first_at: Time
    last_at: Time
    checks: Annotated[int, Meta(ge=1, description="So many in a row ended like this.")]
    bytes: Annotated[Count, Meta(description="Read by all of them.")]


class LocationPage(Page):
    locations: list[RecordedLocation]


class CheckPage(Page):
    checks: list[RecordedCheck]


_FOR_ADMINS: Final = "; for admins."


class LocationQuery(PageQuery, frozen=True):
    state: Annotated[LocationState | None, Meta(description="The state that they are in.")] = None
    artifact: Annotated[
        Annotated[str, MACHINE_MADE] | None, Meta(description="Id of the artifact that they belong to.")
    ] = None
    host: Annotated[Annotated[str, MACHINE_MADE] | None, Meta(description=f"Host of their URL{_FOR_ADMINS}")] = None
    project: Annotated[str | None, Meta(description=f"Project that they belong to{_FOR_ADMINS}")] = None
    marker: Annotated[str, marker(r"^[\u0001-\u007f]*$")] | None = None


class CheckQuery(PageQuery, frozen=True):
    marker: Annotated[str, marker("^[0-9]{1,18}$")] | None = None
