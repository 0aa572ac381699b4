"""The body of a message: a CloudEvents 1.0 document in JSON (structured mode), and what of an event a subscriber may
read in it.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from glare.domain.events import Event
from glare.domain.moment import SECOND
from glare.domain.subscription import name_of
from glare.trace import kept

_encode = msgspec.json.Encoder().encode

_WEB: Final = re.compile(r"(https?)://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:@]*)", re.IGNORECASE)
_NAIVE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?")


def document(event_id: str, source: str, event: Event, data: Any, number: int | None) -> bytes:
    """The document, encoded. `number` is the event's place among all: of one subject a later one has a larger one."""
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": name_of(event.type),
        "time": _time(event.occurred_at),
        "datacontenttype": "application/json",
    }
    subject = subject_of(event)
    if subject is not None:
        attributes["subject"] = subject
    if number is not None:
        attributes["sequence"] = f"{number:020d}"
    trace = kept(event.trace, event.project)
    if trace is not None:
        attributes |= trace.headers  # The extension "distributed tracing": what caused the event, whatever sends it.
    return _encode(attributes | {"data": data})


def subject_of(event: Event) -> str | None:
    """The path of the artifact that an event is about."""
    return None if event.artifact_id is None else f"/artifacts/{event.type_name}/{event.artifact_id}"


def with_zones(payload: Any) -> Any:
    """The payload with times in UTC that say so: those of notifications, which it is made of, have no zone."""
    if isinstance(payload, dict):
        return {
            name: f"{value}Z"
            if name.endswith("_at") and isinstance(value, str) and _NAIVE.fullmatch(value)
            else with_zones(value)
            for name, value in payload.items()
        }
    return [with_zones(value) for value in payload] if isinstance(payload, list) else payload


def without_urls(payload: Any, may_show: Callable[[str], bool]) -> Any:
    """The payload with scheme and host only of each URL in it that may not be shown whole."""
    if isinstance(payload, dict):
        return {name: without_urls(value, may_show) for name, value in payload.items()}
    if isinstance(payload, list):
        return [without_urls(value, may_show) for value in payload]
    if isinstance(payload, str) and not may_show(payload):
        found = _WEB.match(payload)
        return payload if found is None else f"{found[1].lower()}://{found[2].lower()}"
    return payload


def _time(micros: int) -> str:
    moment = datetime.fromtimestamp(micros // SECOND, UTC).replace(microsecond=micros % SECOND)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
