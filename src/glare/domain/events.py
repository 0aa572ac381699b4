"""Events: what happened to an artifact, in the words of the notifications that operators know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from glare.domain.artifact import Artifact
from glare.domain.member import Member
from glare.domain.moment import SECOND


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `type` is the action (``create``, ``upload`` …); `occurred_at` in microseconds, UTC.

    `trace` is what caused it, as it is kept (`glare.trace`); of one that is not recorded yet it is None.
    """

    type: str
    project: str | None
    type_name: str | None
    artifact_id: str | None
    payload: Any
    occurred_at: int
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event of the outbox: `id` orders them, `event_id` names it to receivers; `failures` deliveries of it have
    failed.

    `aside`: it could not be delivered while others could, so those may pass it.
    """

    id: int
    event_id: str
    event: Event
    failures: int = 0
    aside: bool = False


def notification_type(event_type: str) -> str:
    """The type of an event in the words of notifications.

    What happens to an artifact has the doubled prefix that receivers know (``artifact.artifact:create``). An event that
    names its subject has that in the second place: ``location.changed`` is ``artifact.location:changed``.
    """
    subject, dot, action = event_type.partition(".")
    return f"artifact.{subject}:{action}" if dot else f"artifact.artifact:{event_type}"


def artifact_event(action: str, artifact: Artifact, now: int) -> Event:
    """The event that `action` happened to `artifact`; dates are naive ISO text with microseconds, as receivers
    expect.
    """
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


def member_event(action: str, artifact: Artifact, member: Member, now: int) -> Event:
    """The event that ``added``, ``changed`` or ``removed`` happened to a member of `artifact`."""
    event = artifact_event(f"member.{action}", artifact, now)
    return replace(
        event, payload=event.payload | {"member": {"project": member.project, "status": member.status.value}}
    )


def naive_text(micros: int, separator: str = "T") -> str:
    """A time (microseconds) as receivers of notifications expect it: UTC without saying so, always with
    microseconds.
    """
    moment = datetime.fromtimestamp(micros // SECOND, UTC).replace(tzinfo=None, microsecond=micros % SECOND)
    return moment.isoformat(separator, timespec="microseconds")


def _naive(micros: int | None) -> str | None:
    return None if micros is None else naive_text(micros)
