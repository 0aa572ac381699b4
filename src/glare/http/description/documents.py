"""The JSON documents that the API's description has whatever the types are: blobs, patches, errors and the
like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from glare.domain.declared.legacy import BLOB_PROPERTIES
from glare.operations.locations.add import MAX_URL

Schema = dict[str, Any]

_CHECKSUMS: Final = {"md5": 32, "sha1": 40, "sha256": 64}


def reference(name: str) -> Schema:
    """A reference to a component schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _checksum(name: str) -> Schema:
    return {"type": ["string", "null"], "pattern": f"^[0-9a-fA-F]{{{_CHECKSUMS[name]}}}$"}


def _object(properties: Mapping[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)} | more


DOCUMENTS: Final[Mapping[str, Schema]] = {
    "Blob": _object(
        {
            "url": {
                "type": "string",
                "description": "Where to download stored data; of external data the URL itself, or its scheme and host where it is confidential.",
            },
            **BLOB_PROPERTIES,
            "size": {"type": ["integer", "null"], "minimum": 0, "description": "Bytes; what is reserved while saving."},
            "external": {"type": "boolean", "description": "Whether the data lives at a URL outside of the service."},
            "content_type": {"type": ["string", "null"]},
        },
        description="What is known of one blob. Size and checksums are measured, and taken from a client only where the "
        "operator has switched measuring off.",
        additionalProperties=False,
    ),
    "Location": {
        "type": "object",
        "description": "An external location to record. Size and checksums are claims: they must equal what is measured.",
        "properties": {
            "url": {"type": "string", "format": "uri", "minLength": 1, "maxLength": MAX_URL, "pattern": "^https?://"},
            "location_type": {
                "enum": ["external", "internal"],
                "default": "external",
                "description": "Internal locations are refused: no store is configured for them.",
            },
            "confidential": {
                "type": "boolean",
                "description": "Whether to show the URL to the owner's project and admins only. Left out, that is decided by its query: anything "
                "there that is not known to be harmless is a secret. A URL with the parameter of a known signature or token is always confidential.",
            },
            "size": {"type": ["integer", "null"], "minimum": 0},
            **{name: _checksum(name) for name in _CHECKSUMS},
        },
        "required": ["url"],
    },
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
