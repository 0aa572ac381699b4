"""The JSON Schemas of the API's description: what artifacts, blobs, patches, quotas and errors really look like.

``/schemas`` keeps its quirks because clients compare it whole. Here the same fields are described as they are on the
wire.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from glare.domain.declared.artifact_type import FieldSpec, TypeSpec
from glare.domain.declared.base_fields import BASE_FIELDS
from glare.domain.declared.coercion import Kind
from glare.domain.declared.compile import ALL
from glare.domain.declared.validators import UUID_PATTERN
from glare.http.description.document_schemas import Schema, reference
from glare.http.microversion import MAXIMUM
from glare.types.registry import TypeRegistry

BASE: Final = "Artifact"
"""The component that holds the fields of every type."""

_SUPPRESSED: Final = frozenset(
    ("glareType", "filter_ops", "mutable", "sortable", "required_on_activate", "metadata", "pattern")
)
"""Keys of ``/schemas`` that are no JSON Schema, or that are written anew here."""

_NUMBER: Final = "(?:0|[1-9][0-9]{0,4})"
_PRERELEASE: Final = "(?:0|[1-9][0-9]{0,5}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_BUILD: Final = "[0-9A-Za-z-]+"
SEMANTIC_VERSION: Final = (
    rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PRERELEASE}(?:\.{_PRERELEASE})*)?(?:\+{_BUILD}(?:\.{_BUILD})*)?$"
)
"""Versions as they are shown. Others are accepted and completed: ``1`` becomes ``1.0.0``."""


def component_schemas(types: TypeRegistry) -> dict[str, Schema]:
    """All component schemas: those that every service has, and three for each type (two for ``all``)."""
    schemas: dict[str, Schema] = {
        BASE: {"description": "What artifacts of all types have in common.", **_represented(types.all, BASE_FIELDS)},
    }
    for spec in (*types.specs.values(), types.all):
        own = {"description": spec.description, **_represented(spec, spec.fields.keys() - BASE_FIELDS.keys())}
        schemas[answer_name(spec)] = {"allOf": [reference(BASE), own]}
        schemas[page_name(spec)] = _page(spec)
        if spec.name != ALL:
            schemas[new_name(spec)] = _settable(spec)
    return schemas


def answer_name(spec: TypeSpec) -> str:
    """The component of an artifact of this type."""
    return f"{spec.name}.Artifact"


def page_name(spec: TypeSpec) -> str:
    """The component of a page of artifacts of this type."""
    return f"{spec.name}.Page"


def new_name(spec: TypeSpec) -> str:
    """The component of what creates an artifact of this type."""
    return f"{spec.name}.New"


def _represented(spec: TypeSpec, names: Collection[str]) -> Schema:
    """An object with all of these fields. Only older microversions leave some out. A type's `format` hook may add
    further keys.
    """
    schema = spec.schema(MAXIMUM)["properties"]
    properties = {
        name: _represented_field(spec.fields[name], described) for name, described in schema.items() if name in names
    }
    always = [name for name in properties if spec.fields[name].since is None]
    return {"type": "object", "properties": properties, "required": always}


def _settable(spec: TypeSpec) -> Schema:
    schema = spec.schema(MAXIMUM)["properties"]
    fields = [
        field
        for field in spec.fields.values()
        if field.name in schema
        and not (field.system or field.is_blob)
        and field.name not in ("status", "visibility", "display_type_name")
    ]
    return {
        "type": "object",
        "properties": {field.name: _given_field(field, schema[field.name]) for field in fields},
        "required": ["name"],
        "additionalProperties": False,
    }


def _page(spec: TypeSpec) -> Schema:
    return {
        "type": "object",
        "properties": {
            "artifacts": {"type": "array", "items": reference(answer_name(spec))},
            "type_name": {"const": spec.name},
            "schema": {"const": f"/schemas/{spec.name}"},
            "total_count": {
                "type": "integer",
                "minimum": 0,
                "description": "How many artifacts pass the filters, whatever limit and marker are.",
            },
            "first": {"type": "string", "description": "Address of the first page."},
            "next": {
                "type": "string",
                "description": "Address of the next page; there when this one is as long as its limit, so the next may "
                "be empty.",
            },
        },
        "required": ["artifacts", "type_name", "schema", "total_count", "first"],
    }


def _represented_field(field: FieldSpec, schema: Mapping[str, Any]) -> Schema:
    if field.is_blob:
        blob = reference("Blob")
        if field.is_folder:
            shape = {"type": ["object", "null"], "additionalProperties": blob, "maxProperties": field.max_keys}
        else:
            shape = {"anyOf": [blob, {"type": "null"}]}
        return {**shape, "description": _description_of(field), "readOnly": True}
    # Stored values of this kind may be UUIDs in any of the forms that Python reads, so a pattern would be too strict.
    return _plain(field, schema, patterns=field.is_base)


def _given_field(field: FieldSpec, schema: Mapping[str, Any]) -> Schema:
    return _plain(field, schema, patterns=True)


def _plain(field: FieldSpec, schema: Mapping[str, Any], *, patterns: bool) -> Schema:
    """The field's schema without what only ``/schemas`` says, and with null where null is possible."""
    described = {key: value for key, value in schema.items() if key not in _SUPPRESSED}
    if field.kind is Kind.VERSION and "pattern" in schema:
        described["pattern"] = SEMANTIC_VERSION
    elif "pattern" in schema and (patterns or schema["pattern"] != UUID_PATTERN):
        described["pattern"] = schema["pattern"]
    if schema["type"] in ("integer", ["integer", "null"]):
        described["format"] = "int64"
    if "enum" in schema and field.nullable:
        described["enum"] = [*schema["enum"], None]
    text = _description_of(field)
    if text:
        described["description"] = text
    return described


def _description_of(field: FieldSpec) -> str:
    """What the author says of the field, and what the declaration means for its users."""
    custom = not field.is_base
    said = (
        (field.description, bool(field.description)),
        ("Set by the service.", field.system and custom),
        ("May change while the artifact is active.", field.mutable and custom),
        ("Needed for activation.", field.required_on_activate and custom),
        (f"At most {field.max_blob_size} bytes{' each' if field.is_folder else ''}.", field.is_blob),
        (f"At most {field.max_folder_size} bytes together.", field.is_folder),
        (f"From API version {field.since} on.", field.since is not None),
    )
    return " ".join(str(text) for text, holds in said if holds)
