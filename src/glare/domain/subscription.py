"""Subscriptions: who wants to hear of what, and what became of each message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from glare.documents.subscriptions import EVENTS, DeliveryState, SubscriptionState
from glare.domain.events import Event

_SUBJECTS: Final = frozenset(name.partition(".")[0] for name in EVENTS)


def name_of(event_type: str) -> str:
    """The name of a recorded event for subscribers: actions of artifacts have no word before them in the outbox."""
    return event_type if event_type.partition(".")[0] in _SUBJECTS and "." in event_type else f"artifact.{event_type}"


@dataclass(frozen=True, slots=True)
class Scope:
    """What events are about; at most one member is set, none is everything that the project may see."""

    type_name: str | None = None
    artifact_id: str | None = None
    location_id: str | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription. Times in microseconds; secrets and the token are encrypted, and stay so outside of what signs
    and compares.

    `events` is None for all of them. `next_at` is when its queue is due, None where nothing waits; `failing_since` the
    first failure after the last success.
    """

    id: str
    project: str
    user: str | None
    description: str
    target: str
    events: tuple[str, ...] | None
    scope: Scope
    state: SubscriptionState
    reason: str | None
    created_at: int
    updated_at: int
    secret: str
    old_secret: str | None
    old_secret_until: int | None
    token: str | None
    confirm_until: int | None
    failing_since: int | None
    delivered_at: int | None
    next_at: int | None

    @property
    def is_live(self) -> bool:
        """Whether messages go to its target: events, or the one that asks it to confirm."""
        return self.state in (SubscriptionState.ACTIVE, SubscriptionState.PENDING)

    def wants(self, event: Event) -> bool:
        """Whether this event is one that it asks for, whoever may see it."""
        if self.events is not None and name_of(event.type) not in self.events:
            return False
        return (
            self.scope.type_name in (None, event.type_name)
            and self.scope.artifact_id in (None, event.artifact_id)
            and self.scope.location_id in (None, location_of(event))
        )


def location_of(event: Event) -> str | None:
    """The id of the location that an event is about."""
    location = event.payload.get("location") if isinstance(event.payload, Mapping) else None
    found = location.get("id") if isinstance(location, Mapping) else None
    return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one target, and what became of it. `number` orders those of a subscription; `id` is the receiver's
    ``webhook-id``.

    `event_number` is the event's place in the outbox, None for a message that is no event. `reason` and `status` are of
    the last try.
    """

    number: int
    id: str
    subscription_id: str
    event_number: int | None
    event_id: str
    event: Event
    state: DeliveryState
    reason: str | None
    status: int | None
    tries: int
    created_at: int
    first_tried_at: int | None
    tried_at: int | None
    finished_at: int | None


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A message that is to be sent."""

    subscription_id: str
    event_number: int | None
    event_id: str
    event: Event
