"""JSON Patch, whose operations are checked one by one (`glare.domain.patch`), as the description has it."""

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
        "description": "A field, or an element of a list or dict: `/description`, `/tags/-`, `/metadata/key`. "
        "`/status` and `/visibility` move the artifact through its life cycle.",
    },
    "ElementPointer": {
        "type": "string",
        "pattern": "^/[^/]+(?:/[^/]+)+$",
        "description": "An element of a list or dict. A whole field is replaced with null instead.",
    },
}
"""Component schemas by name."""
