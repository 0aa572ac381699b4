"""What needs no credentials: versions, health, the description of the API."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import PlainTextResponse, Response

from glare.domain.declared import legacy
from glare.domain.microversion import Microversion
from glare.http.call import Call, json_response
from glare.http.microversion import MAXIMUM, MINIMUM
from glare.operations.upkeep.health import Readiness

_VERSIONS: tuple[tuple[Any, str], ...] = (
    (MINIMUM, "STABLE"),
    (Microversion(1, 1), "EXPERIMENTAL"),
    (Microversion(1, 2), "EXPERIMENTAL"),
    (MAXIMUM, "EXPERIMENTAL"),
)


async def versions(call: Call) -> Response:
    """Any method on / and /versions"""
    listed = [
        {
            "version": str(version),
            "status": status,
            "links": [{"rel": "describedby", "type": "text/html", "href": legacy.VERSIONS_LINK}],
            "media-type": f"application/vnd.openstack.artifacts-{version}",
        }
        for version, status in _VERSIONS
    ]
    return json_response({"versions": listed}, legacy.VERSIONS_STATUS, "application/json")


async def health(call: Call) -> Response:
    """GET /healthz and /healthcheck: this process answers."""
    if call.headers.get("accept", "").startswith("application/json"):
        return json_response({"detailed": False, "reasons": ["OK"]}, media_type="application/json")
    return PlainTextResponse("OK")


async def ready(call: Call) -> Response:
    """GET /readyz: the database and the stores answer too."""
    try:
        async with asyncio.timeout(5):
            found = await call.application.readiness.result(call.application.lanes.probes)
    except TimeoutError:
        found = Readiness({"time": "the checks took longer than 5 seconds"})
    problems = dict(found.problems)
    if call.application.drain.leaving:
        problems = {"process": "it is stopping", **problems}
    told: dict[str, Any] = {"ready": not problems}
    if problems:
        told["problems"] = problems
    if found.limits:
        told["limits"] = found.limits
    return json_response(told, 503 if problems else 200, "application/json")
