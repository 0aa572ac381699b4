"""Documents that describe subscriptions: what clients ask for, as values; and subscriptions, as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import UNSET

from glare.documents import subscriptions as documents
from glare.documents.parts import as_given
from glare.documents.subscriptions import EVENTS, NewSecret, NewSubscription, SubscriptionChanges
from glare.domain import moment
from glare.domain.subscription import Delivery, Scope, Subscription, name_of
from glare.domain.wording import quoted
from glare.errors import BadRequest, InvalidParameterValue, LocationRefused
from glare.events.cloudevents import subject_of
from glare.events.webhooks import is_secret
from glare.operations.services import Services

_NOTHING: Final = documents.Scope()


def values_of(services: Services, asked: NewSubscription | SubscriptionChanges | NewSecret) -> dict[str, Any]:
    """What a document asks for, by member: its URL parsed, its scope a value. Raises `BadRequest` that names the
    member.
    """
    values = as_given(asked)
    if "target" in values:
        values["target"] = _target(services, values["target"])
    if "events" in values:
        values["events"] = _events(values["events"])
    if "scope" in values:
        values["scope"] = _scope(services, values["scope"] or _NOTHING)
    if "secret" in values and not is_secret(values["secret"]):
        # Not shown again: it may be right but for a letter.
        raise BadRequest("Member 'secret' must be 'whsec_' and the base64 of 24 to 64 bytes; leave it out to get one.")
    return values


def represent_subscription(subscription: Subscription) -> documents.Subscription:
    """A subscription as the API shows it: without any secret."""
    scope = {
        "type_name": subscription.scope.type_name,
        "artifact": subscription.scope.artifact_id,
        "location": subscription.scope.location_id,
    }
    named = {name: value for name, value in scope.items() if value is not None}
    return documents.Subscription(
        id=subscription.id,
        project=subscription.project,
        description=subscription.description,
        target=subscription.target,
        events=None if subscription.events is None else list(subscription.events),
        scope=documents.Scope(**named) if named else None,
        state=subscription.state,
        reason=subscription.reason,
        created_at=moment.text(subscription.created_at),
        updated_at=moment.text(subscription.updated_at),
        confirm_until=_time(subscription.confirm_until),
        old_secret_until=_time(subscription.old_secret_until),
        delivered_at=_time(subscription.delivered_at),
        failing_since=_time(subscription.failing_since),
        next_try_at=_time(subscription.next_at) if subscription.is_live else None,
    )


def represent_with_secret(subscription: Subscription, secret: str) -> documents.SubscriptionWithSecret:
    """The same where its secret is made."""
    return documents.SubscriptionWithSecret(**as_given(represent_subscription(subscription)), secret=secret)


def represent_delivery(delivery: Delivery) -> documents.Delivery:
    """A message as the log shows it."""
    return documents.Delivery(
        id=delivery.id,
        event=delivery.event_id,
        type=name_of(delivery.event.type),
        subject=subject_of(delivery.event),
        time=moment.text(delivery.event.occurred_at),
        state=delivery.state,
        reason=delivery.reason,
        status=delivery.status,
        tries=delivery.tries,
        created_at=moment.text(delivery.created_at),
        tried_at=_time(delivery.tried_at),
        finished_at=_time(delivery.finished_at),
    )


def _target(services: Services, target: str) -> str:
    try:
        return services.webhooks.parse(target).text
    except LocationRefused as refused:
        raise InvalidParameterValue(refused.message.replace("'url'", "'target'")) from refused


def _events(names: Sequence[str] | None) -> tuple[str, ...] | None:
    for name in names or ():
        if name not in EVENTS:
            raise InvalidParameterValue(
                f"Member 'events' has {quoted(name)}, which is no event; there are {', '.join(EVENTS)}."
            )
    return None if names is None else tuple(dict.fromkeys(names))


def _scope(services: Services, asked: documents.Scope) -> Scope:
    given = as_given(asked)
    if len(given) > 1:
        raise BadRequest(
            f"Member 'scope' must be null, or an object with one of {', '.join(asked.__struct_fields__)}; it has "
            f"{' and '.join(given)}."
        )
    if asked.type_name is not UNSET and asked.type_name not in services.types.names:
        raise InvalidParameterValue(
            f"Member 'scope.type_name' is {quoted(asked.type_name)}, and no type has this name here."
        )
    return Scope(given.get("type_name"), given.get("artifact"), given.get("location"))


def _time(micros: int | None) -> str | None:
    return None if micros is None else moment.text(micros)
