"""Events about external locations, and how a location looks in them and in the API."""

from __future__ import annotations

from typing import Any

import msgspec

from glare.domain.artifact import Artifact
from glare.domain.blob import Slot
from glare.domain.events import Event, artifact_event
from glare.domain.representation import represent_location


def location_event(name: str, artifact: Artifact, slot: Slot, now: int) -> Event:
    """The event `name` about the blob in `slot` as it is now. Its URL is never more than what everybody may see.

    `payload` has the artifact as other events have it, and the location.
    """
    payload: dict[str, Any] = dict(artifact_event(name, artifact, now).payload)
    blob = artifact.blobs.get(slot)
    if blob is not None:
        payload["location"] = msgspec.to_builtins(represent_location(artifact, blob, full_url=False, to_operator=False))
    return Event(name, artifact.owner, artifact.type_name, artifact.id, payload, now)
