"""External locations: list, show, have them checked, read what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import Response

from glare.http.answers import Pairs, page_in_parts
from glare.http.call import Call, json_response
from glare.operations.locations import show as locations
from glare.operations.locations.promote import ask_for_promotion, find_promotion
from glare.operations.locations.show import Page


async def list_page(call: Call) -> Response:
    """GET /locations"""
    await call.require_no_body()
    return await call.run_list(_list, call)


async def show(call: Call) -> Response:
    """GET /locations/ID"""
    await call.require_no_body()
    return await call.run(_show, call)


async def list_checks(call: Call) -> Response:
    """GET /locations/ID/checks"""
    await call.require_no_body()
    return await call.run_list(_list_checks, call)


async def check(call: Call) -> Response:
    """POST /locations/ID/checks"""
    await call.require_no_body()
    return await call.run(_check, call)


async def promote(call: Call) -> Response:
    """POST /locations/ID/promotion"""
    await call.require_no_body()
    return await call.run(_promote, call)


async def show_promotion(call: Call) -> Response:
    """GET /locations/ID/promotion"""
    await call.require_no_body()
    return await call.run(_show_promotion, call)


def _list(call: Call) -> Response:
    return _page(call, "locations", lambda pairs: locations.list_locations(call.services, call.actor, pairs))


def _show(call: Call) -> Response:
    return json_response(locations.show_location(call.services, call.actor, _id(call)))


def _list_checks(call: Call) -> Response:
    return _page(call, "checks", lambda pairs: locations.list_checks(call.services, call.actor, _id(call), pairs))


def _check(call: Call) -> Response:
    asked = locations.ask_for_check(call.services, call.actor, _id(call))
    return json_response(asked, 202)


def _promote(call: Call) -> Response:
    return json_response(ask_for_promotion(call.services, call.actor, _id(call)), 202)


def _show_promotion(call: Call) -> Response:
    return json_response(find_promotion(call.services, call.actor, _id(call)))


def _id(call: Call) -> str:
    return call.parameters["location_id"]


def _page(call: Call, name: str, read: Callable[[Pairs], Page]) -> Response:
    def parts(pairs: Pairs) -> tuple[Sequence[Any], str | None]:
        page = read(pairs)
        return page.documents, page.marker

    return page_in_parts(call, name, parts)
