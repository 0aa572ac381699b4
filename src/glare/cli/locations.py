"""`glare-server locations`: what operators see of external locations."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import msgspec

from glare.cli.configuration import say
from glare.cli.database import services_of
from glare.cli.tables import asked_for, print_json, print_page, table
from glare.db import check_history, checks
from glare.db.checks import LocationQuery
from glare.db.rows import fetch_artifact, fetch_artifacts
from glare.documents import locations as documents
from glare.documents.parse import parse_query
from glare.domain.artifact import Artifact
from glare.domain.blob import Blob, External
from glare.domain.representation import represent_location
from glare.domain.verification import CheckKind, Outcome
from glare.egress.cancellation import Cancellation
from glare.errors import Cause, NotFound
from glare.operations.locations.show import query_of, represent_check
from glare.operations.locations.verify import verify
from glare.operations.page import page_of
from glare.operations.services import Services
from glare.operations.takedowns import lookup as takedowns

_COLUMNS = ("ID", "STATE", "REASON", "PROVEN", "ARTIFACT", "BLOB", "URL")
_CHECKS = ("FIRST", "LAST", "CHECKS", "KIND", "OUTCOME", "REASON", "STATE", "BYTES")
_FILTERS = ("state", "host", "project", "artifact", "limit", "marker")
_HISTORY = 20


def list_locations(args: Namespace) -> int:
    """`glare-server locations list`."""
    with services_of(args) as services:
        given = asked_for(args, _FILTERS)
        asked = parse_query(documents.LocationQuery, given)
        query = query_of(asked, services.rules.query.max_page, project=asked.project)
        found = _page(services, query)
    nothing = "no external location is recorded, or none that the options choose."
    page = page_of(found, query.limit, lambda location: location.id)
    return print_page(args, _COLUMNS, map(_row, found), map(msgspec.to_builtins, found), nothing, page.marker)


def show(args: Namespace) -> int:
    """`glare-server locations show`."""
    with services_of(args) as services:
        with services.db.read() as connection:
            history = check_history.list_checks(connection, args.id, _HISTORY)
        document = _document(services, args.id)
    if args.output == "json":
        checks_found = [represent_check(entry, to_operator=True) for entry in history]
        print_json(msgspec.to_builtins(document) | {"checks": msgspec.to_builtins(checks_found)})
        return 0
    print("\n".join(table([(f"{name}:", _text(value)) for name, value in msgspec.to_builtins(document).items()])))
    if history:
        entries = [represent_check(entry, to_operator=True) for entry in history]
        rows = [
            tuple(
                _text(getattr(entry, name))
                for name in ("first_at", "last_at", "checks", "kind", "outcome", "reason", "state", "bytes")
            )
            for entry in entries
        ]
        print("\n" + "\n".join(table([_CHECKS, *rows])))
    return 0


def check(args: Namespace) -> int:
    """`glare-server locations check`. 1 unless the origin serves what was recorded, as far as this check can tell."""
    with services_of(args) as services:
        with services.db.read() as connection:
            target = checks.find(connection, args.id)
            if target is None:
                raise _missing(args.id)
            takedowns.require_open(connection, sha256=target.sha256, url=target.url)
        finding = verify(services, target, CheckKind(args.kind), Cancellation())
        if finding is None:
            raise NotFound(
                f"The artifact of location '{args.id}' is deleted, or the URL leads to what is taken down; it is not "
                "checked."
            )
        document = _document(services, args.id)
    why = f" ({finding.reason})" if finding.reason else ""
    print(f"{finding.kind}: {finding.outcome}{why}; {finding.bytes} bytes read; the location is {document.state}")
    if finding.reason == Cause.POLICY:
        say(
            "[locations] as this command read it does not allow the URL or its address; run it with the configuration "
            "of the service, or open the network or port there."
        )
    return 0 if finding.outcome is Outcome.EQUAL else 1


def _page(services: Services, query: LocationQuery) -> list[documents.RecordedLocation]:
    with services.db.read() as connection:
        found = checks.list_locations(connection, query)
        artifacts = {one.id: one for one in fetch_artifacts(connection, list({one for _, one in found}))}
    located = []
    for location_id, artifact_id in found:
        artifact = artifacts.get(artifact_id)
        blob = _blob(artifact, location_id) if artifact is not None else None
        if artifact is not None and blob is not None:
            located.append(represent_location(artifact, blob, full_url=False, to_operator=True))
    return located


def _document(services: Services, location_id: str) -> documents.RecordedLocation:
    with services.db.read() as connection:
        target = checks.find(connection, location_id)
        artifact = fetch_artifact(connection, target.artifact_id) if target is not None else None
    blob = _blob(artifact, location_id) if artifact is not None else None
    if artifact is None or blob is None:
        raise _missing(location_id)
    return represent_location(artifact, blob, full_url=False, to_operator=True)


def _blob(artifact: Artifact, location_id: str) -> Blob | None:
    found = (blob for blob in artifact.blobs.values() if isinstance(blob.location, External))
    return next(
        (blob for blob in found if isinstance(blob.location, External) and blob.location.id == location_id), None
    )


def _row(document: documents.RecordedLocation) -> tuple[str, ...]:
    return tuple(
        _text(getattr(document, name)) for name in ("id", "state", "reason", "proven_at", "artifact", "blob", "url")
    )


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _missing(location_id: str) -> NotFound:
    return NotFound(f"There is no location '{location_id[:40]}'; `glare-server locations list` prints them.")
