"""The description of takedowns."""

from __future__ import annotations

from typing import Any, Final

from glare.domain.takedown import TakedownKind
from glare.http.description.documents import Schema, reference
from glare.http.description.parts import answer, body, problems
from glare.http.description.service import described, in_path, in_query, operation

TAKEDOWNS: Final = "takedowns"

TAG: Final = {
    "name": TAKEDOWNS,
    "description": "What is not to be read, requested or recorded: contents, hosts and URLs; for admins.",
}

_TEXT: Final[Schema] = {"type": "string"}
_KIND: Final[Schema] = {"enum": [kind.value for kind in TakedownKind]}
_VALUE: Final[Schema] = _TEXT | {
    "minLength": 1,
    "description": "The sha256 of a content, the name or address of a host (names below it are meant too), or a URL: without a query with "
    "any query.",
}
_REASON: Final[Schema] = _TEXT | {
    "minLength": 1,
    "maxLength": 2000,
    "pattern": "^[^\\u0000]*$",
    "description": "For administrators; readers learn the id only.",
}
_SHOWN: Final[dict[str, Schema]] = {
    "id": _TEXT,
    "kind": _KIND,
    "value": _VALUE,
    "reason": _REASON,
    "created_at": {"type": "string", "format": "date-time"},
    "created_by": {"type": ["string", "null"], "description": "The user."},
}
_ASKED: Final[dict[str, Schema]] = {"kind": _KIND, "value": _VALUE, "reason": _REASON}


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


TAKEDOWN_SCHEMAS: Final[dict[str, Schema]] = {
    "Takedown": _object(_SHOWN),
    "NewTakedown": _object(_ASKED),
    "TakedownPage": {
        "type": "object",
        "properties": {
            "takedowns": {"type": "array", "items": reference("Takedown")},
            "first": {"type": "string", "description": "Address of the first page."},
            "next": {"type": "string", "description": "Address of the next page, which may be empty."},
        },
        "required": ["takedowns", "first"],
    },
}


def takedown_paths() -> dict[str, Any]:
    """The paths, by address."""
    return {
        "/takedowns": described(get=_list(), post=_create()),
        "/takedowns/{takedown_id}": described(
            in_path("takedown_id", "Id of a takedown."),
            get=operation("takedowns.show", TAKEDOWNS, "One takedown", answer("It.", "Takedown"), 403, 404),
            delete=_delete(),
        ),
    }


def _create() -> dict[str, Any]:
    told = operation(
        "takedowns.create",
        TAKEDOWNS,
        "Take down a content, a host or a URL: readers get 451, nothing is requested or recorded, and the records stay",
        answer("The takedown.", "Takedown"),
        *(403, 408, 409, 413, 415),
    )
    responses = told["responses"]
    return told | {"requestBody": body("NewTakedown"), "responses": {"201": responses.pop("200")} | responses}


def _list() -> dict[str, Any]:
    told = operation(
        "takedowns.list",
        TAKEDOWNS,
        "What is taken down, by id",
        answer("One page. `next` is there while there may be more.", "TakedownPage"),
        403,
    )
    return told | {
        "parameters": [
            in_query("kind", "What kind they are of.", **_KIND),
            in_query("limit", "How many entries a page may have.", type="integer", minimum=1, default=100),
            in_query("marker", "Where the page begins; part of `next`."),
        ]
    }


def _delete() -> dict[str, Any]:
    told = operation("takedowns.delete", TAKEDOWNS, "Undo a takedown", answer("It is gone.", None))
    return told | {"responses": {"204": answer("It is gone.", None)} | problems(403, 404)}
