"""The description of external locations and their checks."""

from __future__ import annotations

from typing import Any, Final

from glare.db.jobs import JobState
from glare.domain.blob import LocationState
from glare.domain.verification import CheckKind, Outcome
from glare.http.description.documents import Schema, reference
from glare.http.description.parts import answer
from glare.http.description.service import described, in_path, in_query, operation

LOCATIONS: Final = "locations"

TAG: Final = {
    "name": LOCATIONS,
    "description": "External locations: what is known of each, and having it checked.",
}

_TEXT: Final[Schema] = {"type": "string"}
_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_STATE: Final[Schema] = {"enum": [state.value for state in LocationState]}

_LOCATION: Final[dict[str, Schema]] = {
    "id": _TEXT,
    "status": {"const": "active"},
    "artifact": _TEXT,
    "artifact_type": _TEXT,
    "project": _TEXT,
    "blob": _TEXT | {"description": "The blob field, or field and key, as in the artifact's paths."},
    "url": _TEXT
    | {"description": "Of a confidential one only owner and administrators see more than scheme and host."},
    "confidential": {"type": "boolean"},
    "state": _STATE,
    "reason": _TEXT_OR_NULL | {"description": "Why it is not verified, or why the last check failed."},
    "stale": {"type": "boolean", "description": "Whether the last proof is older than the operator wants it to be."},
    "size": {"type": ["integer", "null"], "minimum": 0},
    "md5": _TEXT_OR_NULL,
    "sha1": _TEXT_OR_NULL,
    "sha256": _TEXT_OR_NULL,
    "content_type": _TEXT_OR_NULL,
    "as_sent": {
        "type": ["object", "null"],
        "properties": {
            "content_encoding": _TEXT_OR_NULL,
            "ends_with_connection": {"type": "boolean"},
            "transformed": {"type": "boolean"},
        },
        "required": ["content_encoding", "ends_with_connection", "transformed"],
        "description": "How the origin sends the bytes, where only the sha256 that was claimed has proved that they are the content, and "
        "all of it; null where its headers left no doubt.",
    },
    "proven_at": _TIME_OR_NULL | {"description": "When the whole body was last read and found equal."},
    "seen_at": _TIME_OR_NULL | {"description": "When a check of any kind last found nothing wrong, or read a body."},
    "failures": _COUNT | {"description": "Failed checks in a row."},
    "next_check_at": _TIME_OR_NULL | {"description": "Null also where it is due at once."},
}

_ERROR: Final[Schema] = {
    "type": ["object", "null"],
    "properties": {"type": _TEXT, "message": _TEXT},
    "required": ["type", "message"],
    "description": "Why it failed, or failed last.",
}

_OF_JOB: Final[dict[str, Schema]] = {
    "id": _TEXT,
    "artifact": _TEXT,
    "artifact_type": _TEXT,
    "project": _TEXT,
    "blob": _TEXT,
    "url": _TEXT,
    "confidential": {"type": "boolean"},
}

_RECORDING: Final[dict[str, Schema]] = {
    **_OF_JOB,
    "status": {"enum": ["saving", "failed"]},
    "error": _ERROR,
    "tries": _COUNT,
    "asked_at": _TIME,
    "finished_at": _TIME_OR_NULL,
}

_STATES: Final = [state.value for state in JobState]

_CHECK: Final[dict[str, Schema]] = {
    "kind": {"enum": [kind.value for kind in CheckKind]},
    "outcome": {"enum": [outcome.value for outcome in Outcome]},
    "reason": _TEXT_OR_NULL,
    "state": _STATE | {"description": "The location's after it."},
    "first_at": _TIME,
    "last_at": _TIME,
    "checks": {"type": "integer", "minimum": 1, "description": "So many in a row ended like this."},
    "bytes": _COUNT | {"description": "Read by all of them."},
}


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _page(name: str, item: str) -> Schema:
    return {
        "type": "object",
        "properties": {
            name: {"type": "array", "items": reference(item)},
            "first": {"type": "string", "description": "Address of the first page."},
            "next": {"type": "string", "description": "Address of the next page, which may be empty."},
        },
        "required": [name, "first"],
    }


LOCATION_SCHEMAS: Final[dict[str, Schema]] = {
    "RecordedLocation": _object(_LOCATION),
    "RecordedCheck": _object(_CHECK),
    "Recording": _object(_RECORDING)
    | {"description": "A location that is still to be recorded, or could not be; for its owner and administrators."},
    "Promotion": _object(
        {
            **_OF_JOB,
            "promotion": _object(
                {
                    "status": {"enum": _STATES},
                    "error": _ERROR,
                    "tries": _COUNT,
                    "asked_at": _TIME,
                    "finished_at": _TIME_OR_NULL,
                }
            ),
        }
    ),
    "LocationOrRecording": {"oneOf": [reference("RecordedLocation"), reference("Recording")]},
    "LocationPage": _page("locations", "RecordedLocation"),
    "CheckPage": _page("checks", "RecordedCheck"),
}

_LIMIT: Final = in_query("limit", "How many entries a page may have.", type="integer", minimum=1, default=100)


def location_paths() -> dict[str, Any]:
    """The paths, by address."""
    the_id = in_path("location_id", "Id of an external location.")
    return {
        "/locations": described(get=_list()),
        "/locations/{location_id}": described(
            the_id,
            get=operation("locations.show", LOCATIONS, "One location", answer("It.", "LocationOrRecording"), 403, 404),
        ),
        "/locations/{location_id}/checks": described(the_id, get=_history(), post=_check()),
        "/locations/{location_id}/promotion": described(the_id, get=_promotion(), post=_promote()),
    }


def _list() -> dict[str, Any]:
    told = operation(
        "locations.list",
        LOCATIONS,
        "The external locations of the caller's project; admins see all",
        answer("One page. `next` is there while there may be more.", "LocationPage"),
        403,
    )
    for_admins = "; for admins."
    return told | {
        "parameters": [
            in_query("state", "The state that they are in.", **_STATE),
            in_query("artifact", "Id of the artifact that they belong to."),
            in_query("host", "Host of their URL" + for_admins),
            in_query("project", "Project that they belong to" + for_admins),
            _LIMIT,
            in_query("marker", "Where the page begins; part of `next`."),
        ]
    }


def _history() -> dict[str, Any]:
    told = operation(
        "locations.checks",
        LOCATIONS,
        "What its checks have found, newest first; equal outcomes in a row are one entry",
        answer("One page. `next` is there while there may be more.", "CheckPage"),
        403,
        404,
    )
    return told | {
        "parameters": [_LIMIT, in_query("marker", "Where the page begins; part of `next`.", pattern="^[0-9]{1,18}$")]
    }


def _promotion() -> dict[str, Any]:
    return operation(
        "locations.promotion",
        LOCATIONS,
        "How far its last promotion is, or how it ended",
        answer("The promotion.", "Promotion"),
        403,
        404,
    )


def _promote() -> dict[str, Any]:
    told = operation(
        "locations.promote",
        LOCATIONS,
        "Have it copied into a store in its place; who asks meanwhile joins",
        answer("The promotion, which a worker does.", "Promotion"),
        *(403, 404, 409, 413, 429, 451),
    )
    responses = told["responses"]
    return told | {"responses": {"202": responses.pop("200")} | responses}


def _check() -> dict[str, Any]:
    told = operation(
        "locations.check",
        LOCATIONS,
        "Have it checked whole as soon as a worker is free; who asks meanwhile shares the check",
        answer("The location as it is now.", "RecordedLocation"),
        403,
        404,
        429,
        451,
    )
    responses = told["responses"]
    return told | {"responses": {"202": responses.pop("200")} | responses}
