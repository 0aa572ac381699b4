"""The JSON documents that the API's description has whatever the types are: patches, errors and the
like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]


def reference(name: str) -> Schema:
    """A reference to a component schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Mapping[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)} | more


DOCUMENTS: Final[Mapping[str, Schema]] = {
    "JsonPatch": {
        "type": "array",
        "description": "JSON Patch (RFC 6902). Operations run in order; nothing is stored unless all of them pass.",
        "items": reference("PatchOperation"),
    },
    "PatchOperation": {
        "oneOf": [
            _object({"op": {"enum": ["add", "replace", "test"]}, "path": reference("Pointer"), "value": {}}),
            _object({"op": {"const": "remove"}, "path": reference("ElementPointer")}),
            _object({"op": {"const": "copy"}, "from": reference("Pointer"), "path": reference("Pointer")}),
            _object({"op": {"const": "move"}, "from": reference("ElementPointer"), "path": reference("Pointer")}),
        ]
    },
    "Pointer": {
        "type": "string",
        "pattern": "^(?:/[^/]+)+$",
        "description": "A field, or an element of a list or dict: `/description`, `/tags/-`, `/metadata/key`. `/status` and "
        "`/visibility` move the artifact through its life cycle.",
    },
    "ElementPointer": {
        "type": "string",
        "pattern": "^/[^/]+(?:/[^/]+)+$",
        "description": "An element of a list or dict. A whole field is replaced with null instead.",
    },
    "Error": _object(
        {
            "code": {"type": "integer", "description": "The HTTP status."},
            "title": {"type": "string"},
            "explanation": {"type": "string", "description": "What the status means."},
            "error": _object(
                {
                    "message": {"type": "string", "description": "What is wrong here, and the remedy."},
                    "type": {"type": "string"},
                }
            )
            | {"additionalProperties": {"type": "string"}},
        },
    ),
    "VersionError": {
        "allOf": [
            reference("Error"),
            _object({"min_version": {"type": "string"}, "max_version": {"type": "string"}}),
        ]
    },
    "TypeSchemas": _object(
        {
            "schemas": {
                "type": "object",
                "description": "The JSON Schema of each type by the type's name.",
                "additionalProperties": {"type": "object"},
            }
        }
    ),
    "Versions": _object(
        {
            "versions": {
                "type": "array",
                "items": _object(
                    {
                        "version": {"type": "string"},
                        "status": {"type": "string"},
                        "media-type": {"type": "string"},
                        "links": {"type": "array", "items": {"type": "object"}},
                    }
                ),
            }
        }
    ),
    "Health": _object({"detailed": {"type": "boolean"}, "reasons": {"type": "array", "items": {"type": "string"}}}),
    "Readiness": {
        "type": "object",
        "properties": {
            "ready": {"type": "boolean"},
            "problems": {"type": "object", "additionalProperties": {"type": "string"}},
            "limits": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["ready"],
    },
}
"""Component schemas by name."""
