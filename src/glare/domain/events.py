"""Events: what happened to an artifact, in the words of the notifications that operators know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from glare.domain.artifact import Artifact


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `type` is the action (``create``, ``upload`` …); `occurred_at` in microseconds, UTC."""

    type: str
    project: str | None
    type_name: str | None
    artifact_id: str | None
    payload: Any
    occurred_at: int


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event of the outbox: `id` orders them, `event_id` names it to receivers."""

    id: int
    event_id: str
    event: Event


def artifact_event(action: str, artifact: Artifact, now: int) -> Event:
    """The event that `action` happened to `artifact`; dates are naive ISO text with microseconds, as receivers expect."""
    payload = {
        "type": artifact.type_name,
        "id": artifact.id,
        "description": artifact.values.get("description", ""),
        "name": artifact.name,
        "version": artifact.version,
        "visibility": artifact.visibility.value,
        "status": artifact.status.value,
        "created_at": _naive(artifact.created_at),
        "updated_at": _naive(artifact.updated_at),
        "activated_at": _naive(artifact.activated_at),
        "owner": artifact.owner,
    }
    return Event(action, artifact.owner, artifact.type_name, artifact.id, payload, now)


def _naive(micros: int | None) -> str | None:
    if micros is None:
        return None
    return (
        datetime.fromtimestamp(micros // 1_000_000, UTC)
        .replace(tzinfo=None, microsecond=micros % 1_000_000)
        .isoformat(timespec="microseconds")
    )
