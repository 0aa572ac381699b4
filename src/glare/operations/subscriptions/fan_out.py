"""Events become messages: one for each subscription that wants it and may see what it is about.

The messages and the progress of the outbox are one transaction, so each event comes once into each log. It does not
wait for other consumers of the outbox, and they do not wait for it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from glare.db import deliveries, outbox
from glare.db import subscriptions as rows
from glare.db.lists import members
from glare.db.rows import owners
from glare.documents.members import MemberStatus
from glare.documents.publishers import PUBLISHER_EVENTS
from glare.documents.subscriptions import SUSPENDED
from glare.documents.tokens import TOKEN_EVENTS
from glare.domain.artifact import Visibility
from glare.domain.events import Event, RecordedEvent
from glare.domain.member import Member
from glare.domain.moment import HOUR, SECOND
from glare.domain.subscription import NewDelivery, Subscription
from glare.domain.visibility import ListScope, visible
from glare.errors import GlareError
from glare.operations import putting_off
from glare.operations.services import Services

_OF_PROJECTS: Final = frozenset((SUSPENDED, *TOKEN_EVENTS, *PUBLISHER_EVENTS))
"""Events that are about no artifact."""

_BATCH: Final = 100
_RETRY_FIRST: Final = 5 * SECOND
_RETRY_MOST: Final = HOUR

Memberships = Mapping[tuple[str, str], Member]
"""Members by artifact and project."""

_log = logging.getLogger(__name__)


def fan_out(services: Services) -> int:
    """Do so with the oldest events; returns how many there were. One at a time does, on all nodes together: messages
    keep the order.

    Where one of them raises, each has a transaction of its own, and the one that does waits and lets the others pass.
    """
    now = services.clock()
    with services.db.look() as connection:
        waiting = outbox.unfanned(connection, now, _BATCH)
    if not waiting:
        return 0
    try:
        return services.db.transact(lambda connection: _fan_out(services, connection, now))
    except GlareError:
        raise  # The database does not answer.
    except Exception:  # noqa: BLE001 - which of them it was is found out below
        _log.warning("events become messages one by one", exc_info=True)
    return sum(_fan_out_one(services, now, number) for number in waiting)


def _fan_out(services: Services, connection: Connection, now: int, only: int | None = None) -> int:
    events = outbox.lock_unfanned(connection, now, _BATCH, only)
    if events:
        _put(services, connection, events)
        outbox.fanned(connection, [event.id for event in events], services.clock())
    return len(events)


def _fan_out_one(services: Services, now: int, number: int) -> int:
    """As `fan_out` for one event; 0 where it has to wait."""
    try:
        return services.db.transact(lambda connection: _fan_out(services, connection, now, number))
    except GlareError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the others are told

        def later(times: int) -> int:
            return services.clock() + putting_off.wait(_RETRY_FIRST, _RETRY_MOST, times)

        putting_off.put_off(
            services,
            putting_off.FAN_OUT,
            error,
            lambda connection: outbox.fan_later(connection, number, later),
            event_number=number,
        )
        return 0


def _put(services: Services, connection: Connection, events: Sequence[RecordedEvent]) -> None:
    batch = [
        recorded for recorded in events if recorded.event.artifact_id is not None or recorded.event.type in _OF_PROJECTS
    ]
    if not batch:
        return
    artifacts = {recorded.event.artifact_id for recorded in batch}
    seen_by = owners(connection, [one for one in artifacts if one is not None])
    shared = members.of_artifacts(
        connection, [one for one, (_, visibility) in seen_by.items() if visibility is Visibility.SHARED]
    )
    types = {recorded.event.type_name for recorded in batch}
    candidates = rows.interested(connection, types, artifacts, _projects(batch, shared))
    if not candidates:
        return
    wanted = [
        NewDelivery(subscription.id, recorded.id, recorded.event_id, _for(subscription, recorded.event))
        for recorded in batch
        for subscription in candidates
        if subscription.wants(recorded.event)
        and recorded.event.occurred_at >= subscription.created_at
        and may_hear(
            subscription,
            recorded.event,
            seen_by.get(recorded.event.artifact_id or ""),
            shared.get((recorded.event.artifact_id or "", subscription.project)),
        )
    ]
    # Locked, so that a worker which finds a queue empty at this moment does not put it to sleep.
    active = rows.lock(connection, {message.subscription_id for message in wanted}) if wanted else set()
    now = services.clock()
    deliveries.add(connection, [message for message in wanted if message.subscription_id in active], now)
    rows.hasten(connection, active, now)


def _for(subscription: Subscription, event: Event) -> Event:
    """The event without the trace that caused it, for other projects than the one that it belongs to."""
    return event if subscription.project == event.project else replace(event, trace=None)


def _projects(events: Sequence[RecordedEvent], shared: Memberships) -> set[str] | None:
    """Whose subscriptions the events may be for; None where one is about what everybody saw."""
    found = {project for _, project in shared}
    for recorded in events:
        if _told(recorded.event) in (Visibility.PUBLIC, Visibility.COMMUNITY):
            return None
        found |= {project for project in (recorded.event.project, _member_of(recorded.event)) if project is not None}
    return found


def _told(event: Event) -> Visibility | None:
    """The visibility of the artifact as the event tells it."""
    told = event.payload.get("visibility") if isinstance(event.payload, Mapping) else None
    return Visibility(told) if event.artifact_id is not None and told in list(Visibility) else None


def _member_of(event: Event) -> str | None:
    """The project that the event is about, where it is about a member."""
    member = event.payload.get("member") if isinstance(event.payload, Mapping) else None
    project = member.get("project") if isinstance(member, Mapping) else None
    return project if isinstance(project, str) else None


def may_hear(
    subscription: Subscription, event: Event, artifact: tuple[str, Visibility] | None, member: Member | None
) -> bool:
    """Whether the subscribed project may know of the event: by the state that the event tells of, and by the state now.

    What happened to a private artifact is its owner's alone for ever, whatever it is now. `artifact` is owner and
    visibility as they are now, None where it is gone: then the state in the event decides alone. `member` is the
    project's membership: it hears of what happened since it is there. A subscription to everything, or to a type, hears
    what the project's default lists show; one that names an artifact what the project may see.
    """
    project = subscription.project
    if _member_of(event) is not None:
        return project in (event.project, _member_of(event))
    if event.project != project and not _was_shown(subscription, event, member):
        return False
    return artifact is None or visible(ListScope.of_project(project), *artifact, member=member is not None)


def _was_shown(subscription: Subscription, event: Event, member: Member | None) -> bool:
    scope = subscription.scope
    named = scope.artifact_id is not None or scope.location_id is not None
    match _told(event):
        case Visibility.PUBLIC:
            return True
        case Visibility.COMMUNITY:
            return named
        case Visibility.SHARED:
            if member is None or member.created_at > event.occurred_at:
                return False
            return named or member.status is MemberStatus.ACCEPTED
    return False
