"""External locations: list, show, have them checked or promoted, read what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from glare.documents import locations as documents
from glare.http.call import Call
from glare.http.operation import Answer, Listing, Operation, Tag
from glare.operations.locations import show as locations
from glare.operations.locations.promote import ask_for_promotion, find_promotion

LOCATIONS: Final = Tag(
    "locations",
    "External locations: what is known of each, and having it checked.",
    path={"location_id": "Id of an external location."},
)


@Listing(
    id="locations.list",
    about=LOCATIONS,
    summary="The external locations of the caller's project; admins see all",
    query=documents.LocationQuery,
    answer=Answer(200, "One page. `next` is there while there may be more.", documents.LocationPage),
    errors=(403,),
)
def list_page(call: Call, query: documents.LocationQuery) -> tuple[Sequence[documents.RecordedLocation], str | None]:
    page = locations.list_locations(call.services, call.actor, query)
    return page.entries, page.marker


@Operation(
    id="locations.show",
    about=LOCATIONS,
    summary="One location",
    answer=Answer(200, "It.", (documents.RecordedLocation, documents.Recording)),
    errors=(403, 404),
)
async def show(call: Call) -> documents.RecordedLocation | documents.Recording:
    return await call.run(locations.show_location, call.services, call.actor, _id(call))


@Listing(
    id="locations.checks",
    about=LOCATIONS,
    summary="What its checks have found, newest first; equal outcomes in a row are one entry",
    query=documents.CheckQuery,
    answer=Answer(200, "One page. `next` is there while there may be more.", documents.CheckPage),
    errors=(403, 404),
)
def list_checks(call: Call, query: documents.CheckQuery) -> tuple[Sequence[documents.RecordedCheck], str | None]:
    page = locations.list_checks(call.services, call.actor, _id(call), query)
    return page.entries, page.marker


@Operation(
    id="locations.check",
    about=LOCATIONS,
    summary="Have it checked whole as soon as a worker is free; whoever asks meanwhile shares the check",
    answer=Answer(202, "The location as it is now.", (documents.RecordedLocation, documents.Recording)),
    errors=(403, 404, 429, 451),
)
async def check(call: Call) -> documents.RecordedLocation | documents.Recording:
    return await call.run(locations.ask_for_check, call.services, call.actor, _id(call))


@Operation(
    id="locations.promote",
    about=LOCATIONS,
    summary="Have it copied into a store in its place; whoever asks meanwhile joins",
    answer=Answer(202, "The promotion, which a worker does.", documents.Promotion),
    errors=(403, 404, 409, 413, 429, 451),
)
async def promote(call: Call) -> documents.Promotion:
    return await call.run(ask_for_promotion, call.services, call.actor, _id(call))


@Operation(
    id="locations.promotion",
    about=LOCATIONS,
    summary="How far its last promotion is, or how it ended",
    answer=Answer(200, "The promotion.", documents.Promotion),
    errors=(403, 404),
)
async def show_promotion(call: Call) -> documents.Promotion:
    return await call.run(find_promotion, call.services, call.actor, _id(call))


def _id(call: Call) -> str:
    return call.parameters["location_id"]
