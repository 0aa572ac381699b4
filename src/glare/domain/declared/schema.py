"""JSON Schemas of types and fields, as ``/schemas`` shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from glare.domain.declared.coercion import Kind, Shape
from glare.domain.declared.legacy import BLOB_PROPERTIES, VERSION_PATTERN
from glare.domain.declared.validators import AllowedKeys, RequiredKeys, Validator

if TYPE_CHECKING:
    from glare.domain.declared.artifact_type import FieldSpec

_JSON_TYPES: Final[Mapping[Kind, str]] = {
    Kind.STRING: "string",
    Kind.INTEGER: "integer",
    Kind.FLOAT: "number",
    Kind.BOOLEAN: "boolean",
    Kind.DATETIME: "string",
    Kind.VERSION: "string",
    Kind.LINK: "string",
    Kind.BLOB: "object",
}
_CONTAINERS: Final[Mapping[Shape, str]] = {Shape.LIST: "array", Shape.DICT: "object"}
_KIND_KEYS: Final[Mapping[Kind, Mapping[str, Any]]] = {
    Kind.DATETIME: {"format": "date-time"},
    Kind.VERSION: {"pattern": VERSION_PATTERN},
}
_BLOB_KEYS: Final[Mapping[str, Any]] = {
    "additionalProperties": False,
    "properties": BLOB_PROPERTIES,
    "required": ["size", "md5", "sha1", "sha256", "external", "status", "content_type"],
}


def type_schema(name: str, version: str, display_name: str | None, fields: Iterable[FieldSpec]) -> dict[str, Any]:
    """The schema of a type with these fields."""
    return {
        "name": name,
        "version": version,
        "title": f"Artifact type {name} of version {version}",
        "type": "object",
        "display_name": display_name,
        "required": ["name"],
        "properties": {field.name: field_schema(field) for field in fields},
    }


def field_schema(field: FieldSpec) -> dict[str, Any]:
    """The schema of one field."""
    json_type = _CONTAINERS.get(field.shape) or _JSON_TYPES[field.kind]
    schema: dict[str, Any] = {
        "type": [json_type, "null"] if field.nullable else json_type,
        "glareType": field.glare_type,
        "filter_ops": list(field.filter_ops),
    }
    said = (
        ("description", field.description, field.description is not None),
        ("readOnly", True, field.system),
        ("mutable", True, field.mutable),
        ("sortable", True, field.sortable),
        ("required_on_activate", False, not field.required_on_activate),
        ("default", field.default, field.default is not None),
        ("metadata", field.metadata, field.metadata is not None),
    )
    schema.update({key: value for key, value, present in said if present})
    if field.shape is Shape.LIST:
        schema["items"] = _element_schema(field)
    elif field.shape is Shape.DICT:
        schema["additionalProperties"] = _element_schema(field)
    else:
        schema.update(_KIND_KEYS.get(field.kind, {}))
        schema.update(_BLOB_KEYS if field.is_blob else _merged(field.element_rules))
    schema.update(_merged(field.container_rules))
    schema.update(_restricted(field))
    return schema


def _element_schema(field: FieldSpec) -> dict[str, Any]:
    if field.is_blob:
        return {"type": ["object", "null"], **_BLOB_KEYS}
    return {"type": _JSON_TYPES[field.kind], **_KIND_KEYS.get(field.kind, {}), **_merged(field.element_rules)}


def _restricted(field: FieldSpec) -> dict[str, Any]:
    """What a dict of known keys has instead of a schema for all values: a property for each key, and no list of
    required ones.
    """
    rules = field.container_rules
    allowed = [key for rule in rules if isinstance(rule, AllowedKeys) for key in rule.keys]
    required = [key for rule in rules if isinstance(rule, RequiredKeys) for key in rule.keys]
    if not allowed:
        return {"required": required} if required else {}
    element = _element_schema(field)
    optional = element | {"type": [element["type"], "null"]}
    return {
        "properties": {key: element if key in required else optional for key in allowed},
        "additionalProperties": False,
    }


def _merged(rules: Iterable[Validator]) -> dict[str, Any]:
    """The keys of all rules; of two patterns the first stands, as one object has one."""
    merged: dict[str, Any] = {}
    for rule in rules:
        if isinstance(rule, (AllowedKeys, RequiredKeys)):
            continue
        for key, value in rule.schema().items():
            merged.setdefault(key, value)
    return merged
