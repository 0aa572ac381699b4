"""The log of what was sent to subscribers: reading it, and sending again."""

from __future__ import annotations

from sqlalchemy import Connection

from glare.db import deliveries
from glare.db import subscriptions as rows
from glare.documents.subscriptions import CONFIRMATION, DeliveryQuery, DeliveryState, SubscriptionState
from glare.domain.actor import Actor
from glare.domain.subscription import Delivery, Subscription
from glare.errors import Conflict, NotFound
from glare.operations.page import Page, page_of
from glare.operations.services import Services
from glare.operations.subscriptions.access import find, noted


def list_deliveries(services: Services, actor: Actor, subscription_id: str, query: DeliveryQuery) -> Page[Delivery]:
    """One page of a subscription's log. Raises `NotFound`, `PolicyException`, `InvalidParameterValue`."""
    limit = min(query.limit, services.rules.query.max_page)
    before = None if query.marker is None else int(query.marker)
    with services.db.read() as connection:
        subscription = find(services, connection, actor, subscription_id, "subscription:get")
        found = deliveries.page(connection, subscription.id, query.state, before, limit)
    return page_of(found, limit, lambda delivery: str(delivery.number))


def show_delivery(services: Services, actor: Actor, subscription_id: str, message_id: str) -> Delivery:
    """One message. Raises `NotFound`, `PolicyException`."""
    with services.db.read() as connection:
        subscription = find(services, connection, actor, subscription_id, "subscription:get")
        return _find(connection, subscription, message_id)


def redeliver(services: Services, actor: Actor, subscription_id: str, message_id: str) -> Delivery:
    """Have a message sent again under its id, with all its tries; it comes first of its queue.

    Raises `NotFound`, `PolicyException`, and `Conflict` where the subscription does not get messages of this kind now.
    """

    def work(connection: Connection) -> Delivery:
        subscription = find(services, connection, actor, subscription_id, "subscription:update", lock=True)
        found = _find(connection, subscription, message_id)
        wanted = SubscriptionState.PENDING if found.event.type == CONFIRMATION else SubscriptionState.ACTIVE
        if subscription.state is not wanted:
            raise Conflict(
                f"Subscription '{subscription.id}' is {subscription.state}, so '{found.id}' is not sent; it would "
                f"have to be {wanted}."
            )
        again = {
            "state": DeliveryState.PENDING.value,
            "reason": None,
            "tries": 0,
            "first_tried_at": None,
            "finished_at": None,
        }
        deliveries.change(connection, found.number, again)
        rows.change(connection, subscription.id, {"next_at": services.clock()})
        noted(services, connection, actor, "subscription.redeliver", subscription, {"delivery": found.id})
        return _find(connection, subscription, message_id)

    return services.db.transact(work)


def _find(connection: Connection, subscription: Subscription, message_id: str) -> Delivery:
    found = deliveries.fetch(connection, subscription.id, message_id)
    if found is None:
        raise NotFound(f"Subscription '{subscription.id}' has no delivery '{message_id[:64]}' in its log.")
    return found
