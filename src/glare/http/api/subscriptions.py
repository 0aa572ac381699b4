"""Subscriptions to events, and the log of what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from glare.domain import moment
from glare.domain.subscription import Delivery, Subscription, name_of
from glare.events.cloudevents import subject_of
from glare.http.answers import Pairs, page_in_parts
from glare.http.api.artifacts import JSON
from glare.http.call import Call, json_response
from glare.operations.subscriptions import confirmations, deliveries
from glare.operations.subscriptions import manage as subscriptions
from glare.operations.subscriptions.access import require_project
from glare.operations.subscriptions.documents import parse_token

_SCOPE: Final[Mapping[str, str]] = {"type_name": "type_name", "artifact": "artifact_id", "location": "location_id"}


async def create(call: Call) -> Response:
    """POST /subscriptions"""
    call.require_media_type(JSON)
    require_project(call.actor)
    body = await call.document()
    made, secret = await call.run(subscriptions.create_subscription, call.services, call.actor, body)
    return json_response({**shown(made), "secret": secret}, 201)


async def list_page(call: Call) -> Response:
    """GET /subscriptions"""
    await call.require_no_body()

    def read(pairs: Pairs) -> tuple[list[Any], str | None]:
        page = subscriptions.list_subscriptions(call.services, call.actor, pairs)
        return [shown(one) for one in page.subscriptions], page.marker

    return await call.run_list(page_in_parts, call, "subscriptions", read)


async def show(call: Call) -> Response:
    """GET /subscriptions/ID"""
    await call.require_no_body()
    return json_response(shown(await call.run(subscriptions.show_subscription, call.services, call.actor, _id(call))))


async def update(call: Call) -> Response:
    """PATCH /subscriptions/ID"""
    call.require_media_type(JSON)
    require_project(call.actor)
    body = await call.document()
    changed = await call.run(subscriptions.change_subscription, call.services, call.actor, _id(call), body)
    return json_response(shown(changed))


async def delete(call: Call) -> Response:
    """DELETE /subscriptions/ID"""
    await call.require_no_body()
    await call.run(subscriptions.delete_subscription, call.services, call.actor, _id(call))
    return Response(status_code=204)


async def replace_secret(call: Call) -> Response:
    """POST /subscriptions/ID/secret"""
    call.require_media_type(JSON)
    require_project(call.actor)
    body = await call.document()
    changed, secret = await call.run(subscriptions.replace_secret, call.services, call.actor, _id(call), body)
    return json_response({**shown(changed), "secret": secret})


async def confirm(call: Call) -> Response:
    """POST /subscriptions/ID/confirmation"""
    call.require_media_type(JSON)
    require_project(call.actor)
    token = parse_token(await call.document())
    return json_response(shown(await call.run(confirmations.confirm, call.services, call.actor, _id(call), token)))


async def list_deliveries(call: Call) -> Response:
    """GET /subscriptions/ID/deliveries"""
    await call.require_no_body()

    def read(pairs: Pairs) -> tuple[list[Any], str | None]:
        page = deliveries.list_deliveries(call.services, call.actor, _id(call), pairs)
        return [shown_delivery(one) for one in page.deliveries], page.marker

    return await call.run_list(page_in_parts, call, "deliveries", read)


async def show_delivery(call: Call) -> Response:
    """GET /subscriptions/ID/deliveries/DELIVERY"""
    await call.require_no_body()
    message_id = call.parameters["delivery"]
    found = await call.run(deliveries.show_delivery, call.services, call.actor, _id(call), message_id)
    return json_response(shown_delivery(found))


async def redeliver(call: Call) -> Response:
    """POST /subscriptions/ID/deliveries/DELIVERY/redelivery"""
    await call.require_no_body()
    message_id = call.parameters["delivery"]
    again = await call.run(deliveries.redeliver, call.services, call.actor, _id(call), message_id)
    return json_response(shown_delivery(again), 202)


def shown(subscription: Subscription) -> dict[str, Any]:
    """A subscription as the API shows it: without any secret."""
    scope = {name: getattr(subscription.scope, member) for name, member in _SCOPE.items()}
    return {
        "id": subscription.id,
        "project": subscription.project,
        "description": subscription.description,
        "target": subscription.target,
        "events": subscription.events,
        "scope": {name: value for name, value in scope.items() if value is not None} or None,
        "state": subscription.state,
        "reason": subscription.reason,
        "created_at": _time(subscription.created_at),
        "updated_at": _time(subscription.updated_at),
        "confirm_until": _time(subscription.confirm_until),
        "old_secret_until": _time(subscription.old_secret_until),
        "delivered_at": _time(subscription.delivered_at),
        "failing_since": _time(subscription.failing_since),
        "next_try_at": _time(subscription.next_at) if subscription.is_live else None,
    }


def shown_delivery(delivery: Delivery) -> dict[str, Any]:
    """A message as the log shows it: what it is about and what became of it, not what was in it."""
    return {
        "id": delivery.id,
        "event": delivery.event_id,
        "type": name_of(delivery.event.type),
        "subject": subject_of(delivery.event),
        "time": _time(delivery.event.occurred_at),
        "state": delivery.state,
        "reason": delivery.reason,
        "status": delivery.status,
        "tries": delivery.tries,
        "created_at": _time(delivery.created_at),
        "tried_at": _time(delivery.tried_at),
        "finished_at": _time(delivery.finished_at),
    }


def _id(call: Call) -> str:
    return call.parameters["subscription"]


def _time(micros: int | None) -> str | None:
    return None if micros is None else moment.show(micros)
