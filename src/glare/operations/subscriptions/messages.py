"""What a subscriber may read of an event, decided when it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from glare.db.lists import members
from glare.db.rows import fetch_artifact
from glare.documents.subscriptions import CONFIRMATION
from glare.domain.artifact import Visibility
from glare.domain.blob import External
from glare.domain.events import Event
from glare.domain.subscription import Subscription, location_of
from glare.events import cloudevents
from glare.operations.services import Services
from glare.operations.subscriptions.fan_out import may_hear

NOT_VISIBLE: Final = object()
"""In the place of data: the subscriber may not know of the event any more."""

_OF_PEOPLE: Final = ("name", "version", "description")
"""Text of an artifact that everybody reads who sees it, whatever it looks like."""


def data_of(services: Services, connection: Connection, subscription: Subscription, event: Event) -> Any:
    """The data of the message, or `NOT_VISIBLE`."""
    if event.type == CONFIRMATION:
        return _confirmation(services, subscription)
    if event.artifact_id is None:
        return event.payload if event.project == subscription.project else NOT_VISIBLE
    artifact = fetch_artifact(connection, event.artifact_id)
    if event.type_name not in services.types.names:
        return NOT_VISIBLE
    seen = None if artifact is None else (artifact.owner, artifact.visibility)
    shared = artifact is not None and artifact.visibility is Visibility.SHARED
    member = members.find(connection, event.artifact_id, subscription.project) if shared else None
    if not may_hear(subscription, event, seen, member):
        return NOT_VISIBLE
    payload = cloudevents.with_zones(event.payload)
    blobs = () if artifact is None else artifact.blobs.values()
    locations = [blob.location for blob in blobs if isinstance(blob.location, External)]
    if subscription.project == (event.project if artifact is None else artifact.owner):
        return _with_url(payload, location_of(event), {one.id: one.url for one in locations})
    # Of locations that are there now and not confidential others see the whole URL, of all else scheme and host.
    open_urls = {location.url for location in locations} - {one.url for one in locations if one.confidential}
    if not isinstance(payload, dict):
        return cloudevents.without_urls(payload, open_urls.__contains__)
    return {
        name: value if name in _OF_PEOPLE else cloudevents.without_urls(value, open_urls.__contains__)
        for name, value in payload.items()
    }


def _with_url(payload: Any, location_id: str | None, urls: Mapping[str | None, str]) -> Any:
    """The payload with the whole URL of the location that it is about, for its owner: events are recorded with what all
    may see.
    """
    if location_id is None or location_id not in urls:
        return payload
    return payload | {"location": payload["location"] | {"url": urls[location_id]}}


def _confirmation(services: Services, subscription: Subscription) -> dict[str, Any]:
    """What a target confirms with: the token in its answer, or by a request of its owner to this path."""
    if subscription.token is None:
        return {"subscription": subscription.id}
    return {
        "subscription": subscription.id,
        "token": services.secrets.open(subscription.token),
        "confirmation": f"/subscriptions/{subscription.id}/confirmation",
    }
