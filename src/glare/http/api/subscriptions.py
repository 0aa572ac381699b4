"""Subscriptions to events, and the log of what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from glare.documents import subscriptions as documents
from glare.http.call import Call
from glare.http.operation import Answer, Listing, Operation, Tag, Taking
from glare.operations.subscriptions import confirmations, deliveries, manage
from glare.operations.subscriptions.access import require_project
from glare.operations.subscriptions.documents import represent_delivery, represent_subscription, represent_with_secret

SUBSCRIPTIONS: Final = Tag(
    "subscriptions",
    "Events that are sent to a URL as they happen, signed as Standard Webhooks has it, with CloudEvents in JSON.",
    path={"subscription": "Id of a subscription.", "delivery": "Id of a delivery: its `webhook-id`."},
)


def _of_project(call: Call) -> None:
    require_project(call.actor)


@Listing(
    id="subscriptions.list",
    about=SUBSCRIPTIONS,
    summary="The subscriptions of a project, newest first",
    query=documents.SubscriptionQuery,
    answer=Answer(200, "One page. `next` is there while there is more.", documents.SubscriptionPage),
    errors=(403,),
)
def list_page(call: Call, query: documents.SubscriptionQuery) -> tuple[Sequence[documents.Subscription], str | None]:
    page = manage.list_subscriptions(call.services, call.actor, query)
    return [represent_subscription(one) for one in page.entries], page.marker


@Taking(
    id="subscriptions.create",
    about=SUBSCRIPTIONS,
    summary="Subscribe to events",
    body=documents.NewSubscription,
    answer=Answer(
        201,
        f"Made, and the target is asked to confirm (`{documents.CONFIRMATION}`).",
        documents.SubscriptionWithSecret,
    ),
    errors=(403, 408, 409, 413, 415, 429),
    admit=_of_project,
)
async def create(call: Call, asked: documents.NewSubscription) -> documents.SubscriptionWithSecret:
    return represent_with_secret(*await call.run(manage.create_subscription, call.services, call.actor, asked))


@Operation(
    id="subscriptions.show",
    about=SUBSCRIPTIONS,
    summary="One subscription",
    answer=Answer(200, "The subscription, without its secret.", documents.Subscription),
    errors=(403, 404),
)
async def show(call: Call) -> documents.Subscription:
    return represent_subscription(await call.run(manage.show_subscription, call.services, call.actor, _id(call)))


@Taking(
    id="subscriptions.change",
    about=SUBSCRIPTIONS,
    summary="Change members of a subscription",
    body=documents.SubscriptionChanges,
    answer=Answer(200, "As it is now. A new target has to confirm.", documents.Subscription),
    errors=(403, 404, 408, 413, 415, 429),
    admit=_of_project,
)
async def update(call: Call, asked: documents.SubscriptionChanges) -> documents.Subscription:
    changed = await call.run(manage.change_subscription, call.services, call.actor, _id(call), asked)
    return represent_subscription(changed)


@Operation(
    id="subscriptions.delete",
    about=SUBSCRIPTIONS,
    summary="Delete a subscription with its log",
    answer=Answer(204, "Deleted."),
    errors=(403, 404),
)
async def delete(call: Call) -> Response:
    await call.run(manage.delete_subscription, call.services, call.actor, _id(call))
    return Response(status_code=204)


@Taking(
    id="subscriptions.secret",
    about=SUBSCRIPTIONS,
    summary="Sign with another secret",
    body=documents.NewSecret,
    answer=Answer(
        200,
        "The secret, here only. For some time messages have a signature with the old one too.",
        documents.SubscriptionWithSecret,
    ),
    errors=(403, 404, 408, 413, 415),
    admit=_of_project,
)
async def replace_secret(call: Call, asked: documents.NewSecret) -> documents.SubscriptionWithSecret:
    return represent_with_secret(*await call.run(manage.replace_secret, call.services, call.actor, _id(call), asked))


@Taking(
    id="subscriptions.confirm",
    about=SUBSCRIPTIONS,
    summary="Confirm a target by hand",
    body=documents.Confirmation,
    answer=Answer(200, "Active now.", documents.Subscription),
    errors=(403, 404, 408, 409, 413, 415),
    admit=_of_project,
)
async def confirm(call: Call, asked: documents.Confirmation) -> documents.Subscription:
    confirmed = await call.run(confirmations.confirm, call.services, call.actor, _id(call), asked.token)
    return represent_subscription(confirmed)


@Listing(
    id="subscriptions.deliveries",
    about=SUBSCRIPTIONS,
    summary="What was sent and is to be sent, newest first",
    query=documents.DeliveryQuery,
    answer=Answer(200, "One page. `next` is there while there is more.", documents.DeliveryPage),
    errors=(403, 404),
)
def list_deliveries(call: Call, query: documents.DeliveryQuery) -> tuple[Sequence[documents.Delivery], str | None]:
    page = deliveries.list_deliveries(call.services, call.actor, _id(call), query)
    return [represent_delivery(one) for one in page.entries], page.marker


@Operation(
    id="subscriptions.delivery",
    about=SUBSCRIPTIONS,
    summary="One message and what became of it",
    answer=Answer(200, "The message.", documents.Delivery),
    errors=(403, 404),
)
async def show_delivery(call: Call) -> documents.Delivery:
    message_id = call.parameters["delivery"]
    found = await call.run(deliveries.show_delivery, call.services, call.actor, _id(call), message_id)
    return represent_delivery(found)


@Operation(
    id="subscriptions.redeliver",
    about=SUBSCRIPTIONS,
    summary="Send a message again, under the same id",
    answer=Answer(202, "It is the next of its queue.", documents.Delivery),
    errors=(403, 404, 409),
)
async def redeliver(call: Call) -> documents.Delivery:
    message_id = call.parameters["delivery"]
    again = await call.run(deliveries.redeliver, call.services, call.actor, _id(call), message_id)
    return represent_delivery(again)


def _id(call: Call) -> str:
    return call.parameters["subscription"]
