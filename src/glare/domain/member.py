"""Members: the projects that an artifact is shared with."""

from __future__ import annotations

from dataclasses import dataclass

from glare.documents.members import MemberStatus


@dataclass(frozen=True, slots=True)
class Member:
    """One project that one artifact is shared with. Times in microseconds."""

    artifact_id: str
    project: str
    status: MemberStatus
    created_at: int
    updated_at: int
