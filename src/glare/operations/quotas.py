"""Quotas: what projects may have, as admins set it and projects read it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from glare.db import counters, outbox
from glare.db.counters import ALL_TYPES, BYTES, NUMBER, UNLIMITED, Limits
from glare.documents.quotas import AllQuotas, ProjectQuotas, Quota
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.blob import Slot
from glare.domain.declared.coercion import Unacceptable, narrow, storable
from glare.domain.events import Event
from glare.domain.microversion import NEWEST, WIDER_TEXT, Microversion
from glare.domain.wording import quoted
from glare.errors import BadRequest, Forbidden, RequestEntityTooLarge
from glare.operations import audit
from glare.operations.services import Services

_SET: Final = "set_quotas"
_RECORDED: Final = 50


def set_quotas(
    services: Services, actor: Actor, asked: Sequence[ProjectQuotas], microversion: Microversion = NEWEST
) -> None:
    """Replace the quota records of each project that is listed; the others keep theirs.

    Raises `PolicyException`, and `BadRequest` naming the member that is wrong.
    """
    services.policy.require("artifact:set_quotas", actor, {})
    records = _records(asked, any_text=microversion >= WIDER_TEXT)

    def replace(connection: Connection) -> None:
        now = services.clock()
        for project, values in sorted(records.items()):
            event = Event(_SET, project, None, None, None, now)
            before = counters.quota_records(connection, project)
            detail = {"before": _few(before), "after": _few(values)}
            audit.noted(connection, actor, [event], target=project, detail=detail)
            counters.replace_quota_records(connection, project, values)
        outbox.record(connection, [Event(_SET, actor.project, None, None, None, now)])

    services.db.transact(replace)


def _records(asked: Sequence[ProjectQuotas], *, any_text: bool) -> dict[str, dict[str, int]]:
    """The records of a quota document by project. A project or quota that is listed twice counts as listed last.

    Without `any_text` no text may have a character above U+FFFF, as it was for requests before 1.3.
    """
    records: dict[str, dict[str, int]] = {}
    for position, entry in enumerate(asked):
        project = _text(entry.project_id, f"[{position}].project_id", any_text=any_text)
        records[project] = {
            _text(
                quota.quota_name, f"[{position}].project_quotas[{index}].quota_name", any_text=any_text
            ): quota.quota_value
            for index, quota in enumerate(entry.project_quotas)
        }
    return records


def _text(value: str, member: str, *, any_text: bool) -> str:
    try:
        return storable(value) if any_text else narrow(storable(value))
    except Unacceptable as reason:
        raise BadRequest(f"Member '{member}' cannot be {quoted(value)}: {reason}.") from None


def all_quotas(services: Services, actor: Actor) -> AllQuotas:
    """Every project's records and the global limits, in the words of the API. Raises `PolicyException`."""
    services.policy.require("artifact:list_all_quotas", actor, {})
    with services.db.look() as connection:
        records = counters.all_quota_records(connection)
    return AllQuotas([_listed(project, values) for project, values in records.items()], global_quotas(services))


def project_quotas(services: Services, actor: Actor, project: str | None) -> Sequence[ProjectQuotas]:
    """The effective quotas of one project, the caller's own by default. Raises `Forbidden`, `PolicyException`."""
    project = project if project is not None else actor.project
    if project is None:
        raise Forbidden("Your token belongs to no project; name one as /project-quotas/<project>.")
    services.policy.require("artifact:list_project_quotas", actor, {"project_id": project})
    with services.db.look() as connection:
        records = counters.quota_records(connection, project)
    return [_listed(project, global_quotas(services) | records)]


def global_quotas(services: Services) -> dict[str, int]:
    """The configured limits: both plain names always, a type's where it is limited."""
    found: dict[str, int] = {}
    for type_name, limits in sorted(services.rules.quotas.items()):
        for name, value in ((NUMBER, limits.artifacts), (BYTES, limits.bytes)):
            if type_name == ALL_TYPES:
                found[name] = value
            elif value != UNLIMITED:
                found[f"{name}:{type_name}"] = value
    return {NUMBER: UNLIMITED, BYTES: UNLIMITED} | found


def _few(values: Mapping[str, int]) -> dict[str, int]:
    """As many quotas as one entry of the audit log tells of."""
    return dict(itertools.islice(values.items(), _RECORDED))


def _listed(project: str, values: dict[str, int]) -> ProjectQuotas:
    return ProjectQuotas(project, [Quota(name, value) for name, value in values.items()])


def take(services: Services, connection: Connection, artifact: Artifact, slot: Slot, size: int) -> None:
    """Reserve `size` bytes for the data that comes through `slot`. Raises `RequestEntityTooLarge`; roll back then."""
    records = counters.quota_records(connection, artifact.owner)
    limits = effective_limits(services.rules.quota_defaults(artifact.type_name), records)
    over = counters.use_within(connection, artifact.owner, artifact.type_name, limits, size=size)
    if over is not None:
        of_type = f" of type '{over}'" if over else ""
        raise RequestEntityTooLarge(
            f"Blob '{slot.path}' does not fit into the quota of project '{artifact.owner}': "
            f"at most {limits[over].bytes} bytes of uploaded data{of_type}; delete something or ask for more."
        )


def effective_limits(defaults: Mapping[str, Limits], records: Mapping[str, int]) -> dict[str, Limits]:
    """Configured limits overlaid with a project's quota records."""
    limits = {}
    for name, limit in defaults.items():
        suffix = f":{name}" if name != ALL_TYPES else ""
        limits[name] = Limits(records.get(NUMBER + suffix, limit.artifacts), records.get(BYTES + suffix, limit.bytes))
    return limits
