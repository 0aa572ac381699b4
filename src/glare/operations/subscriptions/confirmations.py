"""A target proves that it wants events, before it gets any."""

from __future__ import annotations

import hmac
import secrets
import uuid
from typing import Any

from sqlalchemy import Connection

from glare.db import deliveries
from glare.db import subscriptions as rows
from glare.documents.subscriptions import CONFIRMATION, SubscriptionState
from glare.domain.actor import Actor
from glare.domain.events import Event
from glare.domain.moment import SECOND
from glare.domain.subscription import NewDelivery, Subscription
from glare.errors import Conflict, Forbidden
from glare.operations.outbound import charge_request
from glare.operations.services import Services
from glare.operations.subscriptions.access import find, noted


def ask(services: Services, connection: Connection, subscription: Subscription) -> None:
    """Have the target asked, with a token that it has not seen before. Raises `TooManyRequests`, and `Unavailable`
    without a key.
    """
    charge_request(services, connection, subscription.project)
    now = services.clock()
    deliveries.drop_confirmations(connection, subscription.id, "replaced", now)
    values: dict[str, Any] = {
        "state": SubscriptionState.PENDING,
        "reason": None,
        "token": services.secrets.seal(secrets.token_urlsafe(32)),
        "confirm_until": now + int(services.rules.subscriptions.confirmation_time * SECOND),
        "failing_since": None,
        "next_at": now,
    }
    rows.change(connection, subscription.id, values)
    event = Event(CONFIRMATION, subscription.project, None, None, {"subscription": subscription.id}, now)
    deliveries.add(connection, [NewDelivery(subscription.id, None, uuid.uuid4().hex, event)], now)


def confirm(services: Services, actor: Actor, subscription_id: str, token: str) -> Subscription:
    """The target confirms by hand: somebody who reads what it gets sends the token.

    Raises `NotFound`, `PolicyException`, `Forbidden` for a wrong token, `Conflict` where nothing is to be confirmed.
    """

    def work(connection: Connection) -> Subscription:
        found = find(services, connection, actor, subscription_id, "subscription:update", lock=True)
        if found.state is not SubscriptionState.PENDING or found.token is None:
            raise Conflict(f"Subscription '{found.id}' is {found.state}; only a pending one is to be confirmed.")
        if found.confirm_until is None or found.confirm_until <= services.clock():
            raise Conflict(
                f"The token of subscription '{found.id}' is too old; PATCH it with \"enabled\": true for a new one."
            )
        if not fits(services, found, token):
            raise Forbidden("Member 'token' is not the one that the target got last; look there again.")
        confirmed(services, connection, actor, found)
        return find(services, connection, actor, subscription_id, "subscription:update")

    return services.db.transact(work)


def fits(services: Services, subscription: Subscription, token: object) -> bool:
    """Whether this is the token that the target was sent."""
    if not isinstance(token, str) or subscription.token is None:
        return False
    return hmac.compare_digest(services.secrets.open(subscription.token).encode(), token.encode(errors="replace"))


def confirmed(services: Services, connection: Connection, actor: Actor | None, subscription: Subscription) -> None:
    """The target wants events; `actor` is None where it said so itself. The row is locked."""
    now = services.clock()
    deliveries.drop_confirmations(connection, subscription.id, "confirmed", now)
    rows.change(
        connection,
        subscription.id,
        {"state": SubscriptionState.ACTIVE, "reason": None, "token": None, "confirm_until": None, "next_at": now},
    )
    noted(services, connection, actor, "subscription.confirm", subscription)


def expire(services: Services, subscription_id: str) -> None:
    """Give up a target that has not confirmed in time, unless it has meanwhile."""

    def work(connection: Connection) -> None:
        now = services.clock()
        found = rows.fetch(connection, subscription_id, lock=True)
        if found is None or found.state is not SubscriptionState.PENDING or (found.confirm_until or 0) > now:
            return
        deliveries.drop_confirmations(connection, found.id, "expired", now)
        rows.change(
            connection, found.id, {"state": SubscriptionState.EXPIRED, "reason": "not_confirmed", "next_at": None}
        )
        noted(services, connection, None, "subscription.expire", found)

    services.db.transact(work)
