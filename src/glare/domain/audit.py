"""What the audit log says of one change, or of one refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from glare.documents.audit import AuditOutcome
from glare.domain.actor import Actor

DONE: Final = AuditOutcome.DONE.value
REFUSED: Final = AuditOutcome.REFUSED.value


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit log.

    `actor` is None for what the service does by itself. `target` is what the action is about beside an artifact: the
    path of a blob, a project, the id of a token, the path of a refused request. `detail` is small, and holds nothing
    that is secret: no value of a field but name, version, status and visibility, no URL. `occurred_at` in microseconds.
    """

    occurred_at: int
    action: str
    actor: Actor | None
    outcome: str = DONE
    type_name: str | None = None
    artifact_id: str | None = None
    target: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedAudit:
    """An entry as it is kept. `roles` are those of the actor, sorted; `id` and `occurred_at` order the entries.

    `source` and `credential` say how the actor was known, and are None where that was not recorded, or there was none.
    """

    id: int
    occurred_at: int
    request_id: str | None
    user: str | None
    project: str | None
    roles: tuple[str, ...]
    action: str
    outcome: str
    type_name: str | None
    artifact_id: str | None
    target: str | None
    detail: Mapping[str, Any]
    source: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries are wanted, newest first: all that pass every condition that is not None.

    `since` and `until` are microseconds, the first included and the second not; `after` is the place (time and id) of
    the last entry of the page before.
    """

    limit: int
    since: int | None = None
    until: int | None = None
    user: str | None = None
    project: str | None = None
    artifact: str | None = None
    type_name: str | None = None
    action: str | None = None
    outcome: str | None = None
    request_id: str | None = None
    source: str | None = None
    credential: str | None = None
    after: tuple[int, int] | None = None
