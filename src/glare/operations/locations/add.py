"""Record an external location: authorise, reserve, charge, measure, compare, publish; or undo."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from msgspec import UNSET
from sqlalchemy import Connection

from glare.db import location_hosts
from glare.db.location_hosts import Turn
from glare.documents.blobs import Location
from glare.documents.parse import parse
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.claims import Claims
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.hooks import ChangeKind
from glare.domain.origins.origin_text import OCTETS
from glare.domain.wording import quoted
from glare.egress.cancellation import Cancellation
from glare.egress.confidential import is_confidential
from glare.egress.measure import Caller, Expected, measure
from glare.errors import BadRequest, Conflict, Forbidden
from glare.operations import access, hooks
from glare.operations.locations.proof import proven
from glare.operations.locations.unmeasured import NewLocation, record_unmeasured
from glare.operations.outbound import Charge, charged
from glare.operations.place import Place
from glare.operations.services import Services
from glare.operations.slots import attempts, holders, replicas
from glare.spans import Kind

_CLOSED_SCHEMES: Final = frozenset({"file", "filesystem", "swift+config", "sql"})
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


@dataclass(frozen=True, slots=True)
class LocationRequest:
    """A location as the client describes it, its shape checked."""

    named: access.Named
    url: str = field(repr=False)  # It may hold a signature.
    claims: Claims
    confidential: bool | None  # What its owner says; nothing is None.
    expected: access.Expected = access.ANYTHING
    cdn_loop: str = ""


def parse_location(body: Any) -> tuple[str, Claims, bool | None]:
    """The URL, the claims and what a location document says about confidentiality, None for nothing.

    Raises `BadRequest` for a wrong shape, `Forbidden` for internal locations in stores that are closed to them.
    """
    asked = parse(Location, body)
    if asked.location_type == "internal":
        _refuse_internal(asked.url)
    if not asked.url.startswith(("http://", "https://")):
        raise BadRequest("Member 'url' of an external location must start with 'http://' or 'https://'.")
    md5, sha1, sha256 = (digest and digest.lower() for digest in (asked.md5, asked.sha1, asked.sha256))
    claims = Claims(size=asked.size, md5=md5, sha1=sha1, sha256=sha256)
    return asked.url, claims, None if asked.confidential is UNSET else asked.confidential


def add_location(
    services: Services, actor: Actor, request: LocationRequest, cancellation: Cancellation
) -> tuple[TypeSpec, Artifact]:
    """Measure the URL and record it as the blob that `request` names; returns the artifact as it is then.

    `cancellation` is for the caller whose client has gone away: then everything is undone.

    Raises `LocationRefused`, `TooManyRequests` and what `upload_blob` raises; in every case nothing has changed but the
    counters of outbound requests.
    """
    url = services.egress.parse(request.url)
    place = authorise(services, actor, request)
    spec, artifact = place.spec, place.artifact
    change = hooks.of_blob(ChangeKind.ADD_LOCATION, actor, place.slot, request.url)
    values = hooks.before(spec, change, artifact)
    check = partial(require_takeable, services, request)
    reservation = attempts.reserve(services, actor, place, attempts.Coming(None, OCTETS, None), check)
    with services.heartbeats.keep(reservation.attempt_id), attempts.undone_on_error(services, reservation):
        if services.rules.measure:
            with charged(services, artifact.owner, url.host) as charge:
                measuring = Measuring(charge, cancellation, charge.spend)
                after = fill(services, reservation, request, measuring, values)
        else:
            location = NewLocation(url, request.claims, request.confidential)
            after = record_unmeasured(services, reservation, location, values)
    hooks.after(spec, change, after)
    return spec, after


@dataclass(frozen=True, slots=True)
class Measuring:
    """What a measurement is charged to, what ends it early, and who hears of each piece in bytes."""

    charge: Charge
    cancellation: Cancellation
    progress: Callable[[int], None]


def fill(
    services: Services,
    reservation: attempts.Reservation,
    request: LocationRequest,
    measuring: Measuring,
    values: Mapping[str, Any],
    also: Callable[[Connection], None] = lambda _: None,
) -> Artifact:
    """Measure the URL into the reservation's place, and publish it under the attempt's id; `also` is done in the same
    transaction.
    """
    url = services.egress.parse(request.url)
    with services.tracer.span("measure", kind=Kind.CLIENT) as span:
        measured = measure(
            services.egress,
            url,
            services.hashing,
            measuring.charge.within(reservation.limit, reservation.over),
            Expected(request.claims.size, request.claims.sha256),
            Caller(measuring.cancellation, measuring.progress, request.cdn_loop),
        )
        span.note({"glare.size": measured.content.size})
    request.claims.check(measured.content, f"the external location of blob '{reservation.place.slot.path}'")
    confidential = is_confidential(url, request.confidential, services.rules.harmless_parameters)
    location = proven(services, measured, reservation.attempt_id, url.text, confidential=confidential)

    def noted(connection: Connection) -> None:
        also(connection)
        if location.check_at is not None:
            turn = Turn(url.host, reservation.place.artifact.owner)
            location_hosts.place_host(connection, turn, measured.network, location.check_at, services.clock())

    filling = attempts.Filling(measured.content, location, measured.content_type, url.host)
    return attempts.publish(services, reservation, filling, "set_location", values, noted)


def require_takeable(services: Services, request: LocationRequest, place: Place) -> None:
    """Raises what keeps the location from the place: something is there, or being stored; nothing may change; replicas
    differ.
    """
    _require_free(services, place)
    access.require_changeable(place)
    replicas.require_possible(place, request.claims)


def authorise(services: Services, actor: Actor, request: LocationRequest) -> Place:
    """What the request names, for a caller that may record a location there now."""
    place = access.place_to_change(services, actor, "artifact:set_location", request.named)
    request.expected.check(place)
    require_takeable(services, request, place)
    return place


def _require_free(services: Services, place: Place) -> None:
    blob = place.blob
    if blob is None:
        return
    holders.require_idle_slot(services, place)
    if blob.location is not None:
        raise Conflict(
            f"Blob '{place.slot.path}' exists already; a location does not replace it. Delete it first, or use another."
        )


def _refuse_internal(url: str) -> None:
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    if scheme in _CLOSED_SCHEMES:
        raise Forbidden(f"Internal locations with scheme '{scheme}' are not allowed; upload the data instead.")
    raise BadRequest(
        f"No store is configured for internal locations with scheme {quoted(scheme)}; upload the data instead."
    )
