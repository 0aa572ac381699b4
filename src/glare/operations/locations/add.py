"""Record an external location: authorise, reserve, charge, measure, compare, publish; or undo."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from glare.db import location_hosts
from glare.db.location_hosts import Turn
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.blob import External, LocationState, Slot
from glare.domain.claims import Claims
from glare.domain.declared.artifact_type import FieldSpec, TypeSpec
from glare.domain.declared.coercion import shown
from glare.domain.declared.hooks import ChangeKind
from glare.domain.microversion import NEWEST, Microversion
from glare.domain.origin_text import OCTETS
from glare.egress.cancellation import Cancellation
from glare.egress.confidential import is_confidential
from glare.egress.measure import Expected, Measured, measure
from glare.egress.url import Url
from glare.errors import BadRequest, Conflict, Forbidden
from glare.operations import access, hooks
from glare.operations.locations.unmeasured import record_unmeasured
from glare.operations.outbound import Charge, charged
from glare.operations.services import Services
from glare.operations.slots import attempts, holders, replicas

MAX_URL: Final = 2048
_CLOSED_SCHEMES: Final = frozenset({"file", "filesystem", "swift+config", "sql"})
_DIGEST_LENGTHS: Final = {"md5": 32, "sha1": 40, "sha256": 64}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


@dataclass(frozen=True, slots=True)
class LocationRequest:
    """A location as the client describes it, its shape checked."""

    type_name: str
    artifact_id: str
    path: str
    url: str = field(repr=False)  # It may hold a signature.
    claims: Claims
    confidential: bool | None  # What its owner says; nothing is None.
    expected: access.Expected = access.ANYTHING
    cdn_loop: str = ""
    microversion: Microversion = NEWEST


def parse_location(body: Any) -> tuple[str, Claims, bool | None]:
    """The URL, the claims and what a location document says about confidentiality, None for nothing.

    Raises `BadRequest` for a wrong shape, `Forbidden` for internal locations in stores that are closed to them.
    """
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object with the member 'url'.")
    url = body.get("url")
    if not isinstance(url, str) or not url:
        raise BadRequest("Member 'url' is required and must be a string.")
    if len(url) > MAX_URL:
        raise BadRequest(f"Member 'url' may have at most {MAX_URL} characters; it has {len(url)}.")
    kind = body.get("location_type", "external")
    if kind not in ("external", "internal"):
        raise BadRequest("Member 'location_type' must be 'external' or 'internal'.")
    claims = Claims(size=_size(body), **{name: _digest(body, name) for name in _DIGEST_LENGTHS})
    if kind == "internal":
        _refuse_internal(url)
    if not url.startswith(("http://", "https://")):
        raise BadRequest("Member 'url' of an external location must start with 'http://' or 'https://'.")
    confidential = body.get("confidential")
    if "confidential" in body and not isinstance(confidential, bool):
        raise BadRequest(
            "Member 'confidential' must be true or false; leave it out to have it decided by the URL's query."
        )
    return url, claims, confidential


def add_location(
    services: Services, actor: Actor, request: LocationRequest, cancellation: Cancellation
) -> tuple[TypeSpec, Artifact]:
    """Measure the URL and record it as the blob that `request.path` names; returns the artifact as it is then.

    `cancellation` is for the caller whose client has gone away: then everything is undone.

    Raises `LocationRefused`, `TooManyRequests` and what `upload_blob` raises; in every case nothing has changed but the
    counters of outbound requests.
    """
    url = services.egress.parse(request.url)
    spec, artifact, field, slot = authorise(services, actor, request)
    change = hooks.of_blob(ChangeKind.ADD_LOCATION, actor, slot, request.url)
    values = hooks.before(spec, change, artifact)

    def check(current: Artifact) -> None:
        require_takeable(services, current, field, slot, request)

    reservation = attempts.reserve(
        services, actor, artifact, spec, field, slot, check, declared=None, content_type=OCTETS, store=None
    )
    with services.heartbeats.keep(reservation.attempt_id), attempts.undone_on_error(services, reservation):
        if services.rules.measure:
            with charged(services, artifact.owner, url.host) as charge:
                after = fill(
                    services,
                    reservation,
                    request,
                    cancellation,
                    values,
                    charge,
                    uuid.uuid4().hex,
                    progress=charge.spend,
                )
        else:
            after = record_unmeasured(
                services, reservation, url, request.claims, values, confidential=request.confidential
            )
    hooks.after(spec, change, after)
    return spec, after


def fill(
    services: Services,
    reservation: attempts.Reservation,
    request: LocationRequest,
    cancellation: Cancellation,
    values: Mapping[str, Any],
    charge: Charge,
    location_id: str,
    *,
    progress: Callable[[int], None],
    also: Callable[[Connection], None] = lambda _: None,
) -> Artifact:
    """Measure the URL into the reservation's slot, and publish it; `also` is done in the same transaction."""
    url = services.egress.parse(request.url)
    measured = measure(
        services.egress,
        url,
        pool=services.hashing,
        limit=reservation.limit if charge.left is None else min(reservation.limit, charge.left),
        over=reservation.over if charge.left is None or reservation.limit <= charge.left else charge.over,
        cancellation=cancellation,
        cdn_loop=request.cdn_loop,
        progress=progress,
        expected=Expected(request.claims.size, request.claims.sha256),
    )
    request.claims.check(measured.content, f"the external location of blob '{reservation.slot.path}'")
    location = proven_location(services, url, measured, location_id, confidential=request.confidential)

    def noted(connection: Connection) -> None:
        also(connection)
        if location.check_at is not None:
            turn = Turn(url.host, reservation.artifact.owner)
            location_hosts.place_host(connection, turn, measured.network, location.check_at, services.clock())

    return attempts.publish(
        services,
        reservation,
        measured.content,
        location,
        measured.content_type,
        "set_location",
        host=url.host,
        values=values,
        also=noted,
    )


def require_takeable(
    services: Services, artifact: Artifact, field: FieldSpec, slot: Slot, request: LocationRequest
) -> None:
    """Raises what keeps the location from the slot: something is there, or being stored; nothing may change; replicas
    differ.
    """
    _require_free(services, artifact, slot)
    access.require_changeable(field, artifact, slot)
    replicas.require_possible(artifact, field, slot, request.claims)


def authorise(services: Services, actor: Actor, request: LocationRequest) -> tuple[TypeSpec, Artifact, FieldSpec, Slot]:
    """What the request names, for a caller that may record a location there now."""
    spec = access.find_type(services, request.type_name)
    artifact = access.find_artifact(services, actor, spec, request.artifact_id)
    access.require_writer(services, actor, artifact)
    access.require(services, "artifact:set_location", actor, artifact)
    field, slot = access.find_slot(spec, request.path, request.microversion)
    request.expected.check(artifact, slot)
    require_takeable(services, artifact, field, slot, request)
    return spec, artifact, field, slot


def _require_free(services: Services, artifact: Artifact, slot: Slot) -> None:
    blob = artifact.blobs.get(slot)
    if blob is None:
        return
    holders.require_idle_slot(services, artifact, slot)
    if blob.location is not None:
        raise Conflict(
            f"Blob '{slot.path}' exists already; a location does not replace it. Delete it first, or use another."
        )


def proven_location(
    services: Services, url: Url, measured: Measured, location_id: str, *, confidential: bool | None
) -> External:
    """The record of a location that was measured just now. One whose query holds a secret is always confidential."""
    now = services.clock()
    check_at, full_at = services.rules.verification.rhythm.first(now, services.chance())
    return External(
        url=url.text,
        confidential=is_confidential(url, confidential, services.rules.harmless_parameters),
        state=LocationState.VERIFIED,
        proven_at=now,
        seen_at=now,
        etag=measured.etag,
        last_modified=measured.last_modified,
        id=location_id,
        check_at=check_at,
        full_at=full_at,
        as_sent=measured.as_sent,
    )


def _refuse_internal(url: str) -> None:
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    if scheme in _CLOSED_SCHEMES:
        raise Forbidden(f"Internal locations with scheme '{scheme}' are not allowed; upload the data instead.")
    raise BadRequest(
        f"No store is configured for internal locations with scheme {shown(scheme)}; upload the data instead."
    )


def _digest(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    length = _DIGEST_LENGTHS[name]
    if not isinstance(value, str) or not re.fullmatch(rf"[0-9A-Fa-f]{{{length}}}", value):
        raise BadRequest(f"Member '{name}' must be {length} hexadecimal digits or null.")
    return value.lower()


def _size(body: dict[str, Any]) -> int | None:
    value = body.get("size")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadRequest("Member 'size' must be a number of bytes, or left away.")
    return value
