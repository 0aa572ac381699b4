"""The description of subscriptions to events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from glare.domain.subscription import CONFIRMATION, EVENTS, DeliveryState, SubscriptionState
from glare.http.description.parts import VERSIONING, answer, body, parameters, problems

SUBSCRIPTIONS: Final = "subscriptions"

TAG: Final = {
    "name": SUBSCRIPTIONS,
    "description": "Events that are sent to a URL as they happen, signed as Standard Webhooks has it, with CloudEvents in JSON.",
}

Schema = dict[str, Any]

_TIME: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_DESCRIPTION: Final[Schema] = {"type": "string", "maxLength": 255, "pattern": "^[^\\x00]*$"}
_EVENTS: Final[Schema] = {
    "type": ["array", "null"],
    "items": {"enum": list(EVENTS)},
    "minItems": 1,
    "description": "Which events; null is all of them.",
}
_TARGET: Final[Schema] = {
    "type": "string",
    "format": "uri",
    "minLength": 1,
    "maxLength": 2048,
    "description": "Where events are sent to. It has to confirm before it gets any.",
}
_SCOPE: Final[Schema] = {
    "type": ["object", "null"],
    "properties": {
        "type_name": {"type": "string", "minLength": 1, "maxLength": 64},
        "artifact": {"type": "string", "minLength": 1, "maxLength": 36},
        "location": {"type": "string", "minLength": 1, "maxLength": 32},
    },
    "maxProperties": 1,
    "additionalProperties": False,
    "description": "What events are about: one type, one artifact or one external location; null is all that the project may see.",
}
_SECRET: Final[Schema] = {
    "type": "string",
    "pattern": "^whsec_[A-Za-z0-9+/]{32,86}={0,2}$",
    "description": "What messages are signed with: `whsec_` and the base64 of 24 to 64 bytes. Shown once, where it is made.",
}


def _object(properties: Mapping[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)} | more


_SHOWN: Final[Mapping[str, Schema]] = {
    "id": {"type": "string"},
    "project": {"type": "string"},
    "description": {"type": "string"},
    "target": {"type": "string"},
    "events": {"type": ["array", "null"], "items": {"type": "string"}},
    "scope": _SCOPE,
    "state": {"enum": [state.value for state in SubscriptionState]},
    "reason": _TEXT_OR_NULL | {"description": "Why it is suspended or expired."},
    "created_at": _TIME,
    "updated_at": _TIME,
    "confirm_until": _TIME | {"description": "How long the target may take to confirm."},
    "old_secret_until": _TIME | {"description": "How long messages are signed with the secret before this one too."},
    "delivered_at": _TIME | {"description": "The last message that the target took."},
    "failing_since": _TIME | {"description": "The first failure after that."},
    "next_try_at": _TIME | {"description": "When the next message is due; null where none waits."},
}

_DELIVERY: Final = _object(
    {
        "id": {"type": "string", "description": "The `webhook-id` that the target sees, the same at each try."},
        "event": {"type": "string", "description": "The `id` of the CloudEvents document."},
        "type": {"type": "string"},
        "subject": _TEXT_OR_NULL,
        "time": _TIME,
        "state": {"enum": [state.value for state in DeliveryState]},
        "reason": _TEXT_OR_NULL
        | {
            "description": "Why the last try failed: unreachable, tls, timeout, broken, redirected, status, gone; or why it was dropped."
        },
        "status": {"type": ["integer", "null"], "description": "The HTTP status of the last answer."},
        "tries": {"type": "integer"},
        "created_at": _TIME,
        "tried_at": _TIME,
        "finished_at": _TIME,
    }
)


def _listed(name: str, item: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {
            name: {"type": "array", "items": item},
            "first": {"type": "string", "description": "Address of the first page."},
            "next": {
                "type": "string",
                "description": "Address of the next page; there when this one is as long as its limit, so the next may be empty.",
            },
        },
        "required": [name, "first"],
    }


DOCUMENTS: Final[Mapping[str, Schema]] = {
    "Subscription": _object(_SHOWN),
    "SubscriptionWithSecret": _object({**_SHOWN, "secret": _SECRET}),
    "NewSubscription": {
        "type": "object",
        "properties": {
            "target": _TARGET,
            "events": _EVENTS,
            "scope": _SCOPE,
            "description": _DESCRIPTION,
            "secret": _SECRET,
        },
        "required": ["target"],
        "additionalProperties": False,
    },
    "SubscriptionChanges": {
        "type": "object",
        "properties": {
            "target": _TARGET,
            "events": _EVENTS,
            "scope": _SCOPE,
            "description": _DESCRIPTION,
            "enabled": {
                "type": "boolean",
                "description": "false switches it off; true switches it on, after whatever switched it off.",
            },
        },
        "additionalProperties": False,
    },
    "NewSecret": {"type": "object", "properties": {"secret": _SECRET}, "additionalProperties": False},
    "Confirmation": _object({"token": {"type": "string", "minLength": 1}}),
    "SubscriptionPage": _listed("subscriptions", {"$ref": "#/components/schemas/Subscription"}),
    "Delivery": _DELIVERY,
    "DeliveryPage": _listed("deliveries", {"$ref": "#/components/schemas/Delivery"}),
}
"""Component schemas by name."""


def subscription_paths() -> dict[str, Any]:
    """The paths, by address."""
    one, delivery = "/subscriptions/{subscription}", "/subscriptions/{subscription}/deliveries/{delivery}"
    of_subscription = _in_path("subscription", "Id of a subscription.")
    of_delivery = _in_path("delivery", "Id of a delivery: its `webhook-id`.")
    return {
        "/subscriptions": _path(get=_list(), post=_create()),
        one: _path(of_subscription, get=_show(), patch=_change(), delete=_delete()),
        f"{one}/secret": _path(of_subscription, post=_replace_secret()),
        f"{one}/confirmation": _path(of_subscription, post=_confirm()),
        f"{one}/deliveries": _path(of_subscription, get=_log()),
        delivery: _path(of_subscription, of_delivery, get=_show_delivery()),
        f"{delivery}/redelivery": _path(of_subscription, of_delivery, post=_redeliver()),
    }


def _list() -> dict[str, Any]:
    told = _operation("subscriptions.list", "The subscriptions of a project, newest first", 403)
    states = [state.value for state in SubscriptionState]
    return told(
        {"200": answer("One page. `next` is there while there is more.", "SubscriptionPage")},
        parameters=[
            _in_query("project", "Whose; the caller's without it."),
            _in_query("state", "Those in this state only.", enum=states),
            *_paging("^[0-9]{1,18}_.{1,36}$"),
        ],
    )


def _create() -> dict[str, Any]:
    told = _operation("subscriptions.create", "Subscribe to events", 403, 408, 409, 413, 415, 429)
    made = answer(f"Made, and the target is asked to confirm (`{CONFIRMATION}`).", "SubscriptionWithSecret")
    return told({"201": made}, requestBody=body("NewSubscription"))


def _show() -> dict[str, Any]:
    told = _operation("subscriptions.show", "One subscription", 403, 404)
    return told({"200": answer("The subscription, without its secret.", "Subscription")})


def _change() -> dict[str, Any]:
    told = _operation("subscriptions.change", "Change members of a subscription", 403, 404, 408, 413, 415, 429)
    changed = answer("As it is now. A new target has to confirm.", "Subscription")
    return told({"200": changed}, requestBody=body("SubscriptionChanges"))


def _delete() -> dict[str, Any]:
    told = _operation("subscriptions.delete", "Delete a subscription with its log", 403, 404)
    return told({"204": answer("Deleted.", None)})


def _replace_secret() -> dict[str, Any]:
    told = _operation("subscriptions.secret", "Sign with another secret", 403, 404, 408, 413, 415)
    replaced = answer(
        "The secret, here only. For some time messages have a signature with the old one too.", "SubscriptionWithSecret"
    )
    return told({"200": replaced}, requestBody=body("NewSecret"))


def _confirm() -> dict[str, Any]:
    told = _operation("subscriptions.confirm", "Confirm a target by hand", 403, 404, 408, 409, 413, 415)
    return told({"200": answer("Active now.", "Subscription")}, requestBody=body("Confirmation"))


def _log() -> dict[str, Any]:
    told = _operation("subscriptions.deliveries", "What was sent and is to be sent, newest first", 403, 404)
    states = [state.value for state in DeliveryState]
    return told(
        {"200": answer("One page. `next` is there while there is more.", "DeliveryPage")},
        parameters=[_in_query("state", "Those in this state only.", enum=states), *_paging("^[0-9]{1,18}$")],
    )


def _show_delivery() -> dict[str, Any]:
    told = _operation("subscriptions.delivery", "One message and what became of it", 403, 404)
    return told({"200": answer("The message.", "Delivery")})


def _redeliver() -> dict[str, Any]:
    told = _operation("subscriptions.redeliver", "Send a message again, under the same id", 403, 404, 409)
    return told({"202": answer("It is the next of its queue.", "Delivery")})


def _operation(operation_id: str, summary: str, *statuses: int) -> Callable[..., dict[str, Any]]:
    def told(success: dict[str, Any], **more: Any) -> dict[str, Any]:
        responses = success | problems(*statuses)
        return {
            "operationId": operation_id,
            "tags": [SUBSCRIPTIONS],
            "summary": summary,
            "responses": responses,
            **more,
        }

    return told


def _paging(marker: str) -> list[dict[str, Any]]:
    return [
        _in_query("limit", "How many entries a page may have.", type="integer", minimum=1, default=100),
        _in_query("marker", "Where the page begins; part of `next`.", pattern=marker),
    ]


def _in_query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"} | schema}


def _in_path(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}


def _path(*own: dict[str, Any], **operations: dict[str, Any]) -> dict[str, Any]:
    return {"parameters": [*own, *parameters(*VERSIONING)], **operations}
