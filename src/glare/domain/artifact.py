"""The artifact: an immutable, typed object of the catalogue, as the operations pass it around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from glare.domain.blob import Blob, Slot


class Status(StrEnum):
    """Where an artifact is in its life cycle; `glare.domain.lifecycle` holds the table of transitions."""

    DRAFTED = "drafted"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    DELETED = "deleted"


class Visibility(StrEnum):
    """Who may see an artifact: its project; its members too; everybody who knows of it; everybody, in every list."""

    PRIVATE = "private"
    SHARED = "shared"
    COMMUNITY = "community"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One stored artifact.

    Times are microseconds since the epoch, UTC. `version` is canonical semver text. `values` holds every other non-blob
    field that has a value (`description`, `tags`, `metadata` and the type's own); a field that is absent is null on the
    wire, or shows the default of its type. `revision` grows with every stored change: it is what compare-and-set and
    ETags use. `member` is the project that it was read for, where that is a member of it.
    """

    id: str
    type_name: str
    name: str
    version: str
    owner: str
    status: Status
    visibility: Visibility
    created_at: int
    updated_at: int
    activated_at: int | None
    values: Mapping[str, Any]
    blobs: Mapping[Slot, Blob]
    revision: int
    deleted_at: int | None = None
    member: str | None = None

    @property
    def saving(self) -> bool:
        """Whether an attempt to store a blob of this artifact is under way."""
        return any(blob.attempt is not None for blob in self.blobs.values())
