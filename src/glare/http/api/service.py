"""What needs no credentials: versions, health, the description of the API."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

from msgspec import UNSET
from starlette.responses import PlainTextResponse, Response
from starlette.types import Scope

from glare.documents.service import Health, Link, Readiness, Version, Versions
from glare.domain.declared import legacy
from glare.domain.microversion import Microversion
from glare.http.call import Application, Call, json_response
from glare.http.door import Ready, ready_of
from glare.http.media_types import HTML, JSON, PLAIN, VERSIONED
from glare.http.microversion import MAXIMUM, MINIMUM
from glare.http.operation import SERVICE, Answer, Handled, Public
from glare.operations.upkeep.health import Readiness as Found

_VERSIONS: tuple[tuple[Any, str], ...] = (
    (MINIMUM, "STABLE"),
    (Microversion(1, 1), "EXPERIMENTAL"),
    (Microversion(1, 2), "EXPERIMENTAL"),
    (MAXIMUM, "EXPERIMENTAL"),
)


VERSIONS: Final = Answer(legacy.VERSIONS_STATUS, "Multiple Choices: the versions.", Versions)


@Public(
    id="versions",
    about=SERVICE,
    summary="The versions of the API; every method answers alike",
    answer=VERSIONS,
)
async def versions(call: Call) -> Response:
    listed = [
        Version(
            version=str(version),
            status=status,
            links=[Link("describedby", HTML, legacy.VERSIONS_LINK)],
            media_type=f"{VERSIONED}{version}",
        )
        for version, status in _VERSIONS
    ]
    return json_response(Versions(listed), legacy.VERSIONS_STATUS, JSON)


async def _health(call: Call) -> Response:
    """This process answers."""
    if call.headers.get("accept", "").startswith(JSON):
        return json_response(Health(detailed=False, reasons=["OK"]), media_type=JSON)
    return PlainTextResponse("OK")


def healthy(_: Application, scope: Scope) -> Ready | None:
    """The same at once; None for who wants a document."""
    if any(name == b"accept" and value.startswith(b"application/json") for name, value in scope["headers"]):
        return None
    return _HEALTHY


_HEALTHY: Final = ready_of(PlainTextResponse("OK"))


def _declared_health(name: str) -> Handled:
    answer = Answer(200, "It does.", Health)
    plain = Answer(200, "It does.", Literal["OK"], media_type=PLAIN)
    return Public(id=name, about=SERVICE, summary="Whether this process answers", answer=answer, more=(plain,))(_health)


healthz: Final = _declared_health("healthz")
healthcheck: Final = _declared_health("healthcheck")


@Public(
    id="readyz",
    about=SERVICE,
    summary="Whether the database and the stores answer too",
    answer=Answer(200, "They do.", Readiness),
    more=(Answer(503, "They do not.", Readiness),),
)
async def ready(call: Call) -> Response:
    try:
        async with asyncio.timeout(5):
            found = await call.application.readiness.result(call.application.lanes.probes)
    except TimeoutError:
        found = Found({"time": "the checks took longer than 5 seconds"})
    if call.application.drain.leaving:
        found = Found({"process": "it is stopping", **found.problems}, found.limits)
    return _readiness(found)


def _readiness(found: Found) -> Response:
    problems = dict(found.problems)
    shown = Readiness(ready=not problems, problems=problems or UNSET, limits=dict(found.limits) or UNSET)
    return json_response(shown, 503 if problems else 200, JSON)


def readiness_at_hand(application: Application, _: Scope) -> Ready | None:
    """The same at once, where it was looked lately."""
    found = application.readiness.at_hand(application.lanes.probes)
    return None if found is None else ready_of(_readiness(*found))
