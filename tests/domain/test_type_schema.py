"""Schemas are word for word what the contract says."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft4Validator

from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.compile import compile_type
from glare.domain.microversion import Microversion
from glare.types import ArtifactType, DateTime, DictOf, Integer, ListOf, String, Version

V1 = Microversion(1, 0)
UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
VERSION = r"/^([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+)?$/"
E = ["eq", "neq", "in"]
L = ["like", "eq", "neq", "in"]
N = ["eq", "neq", "in", "gt", "gte", "lt", "lte"]
K = ["eq", "neq"]
D = ["lt", "gt"]

BLOB: dict[str, Any] = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "properties": {
        "size": {"type": ["number", "null"]},
        "md5": {"type": ["string", "null"]},
        "sha1": {"type": ["string", "null"]},
        "sha256": {"type": ["string", "null"]},
        "external": {"type": "boolean"},
        "content_type": {"type": "string"},
        "status": {"type": "string", "enum": ["saving", "active"]},
    },
    "required": ["size", "md5", "sha1", "sha256", "external", "status", "content_type"],
}

BASE: dict[str, dict[str, Any]] = {
    "id": {
        "type": "string",
        "glareType": "String",
        "readOnly": True,
        "sortable": True,
        "maxLength": 255,
        "pattern": UUID,
        "filter_ops": E,
    },
    "name": {
        "type": "string",
        "glareType": "String",
        "sortable": True,
        "required_on_activate": False,
        "minLength": 1,
        "maxLength": 255,
        "filter_ops": L,
    },
    "owner": {
        "type": "string",
        "glareType": "String",
        "readOnly": True,
        "sortable": True,
        "required_on_activate": False,
        "maxLength": 255,
        "filter_ops": E,
    },
    "status": {
        "type": "string",
        "glareType": "String",
        "mutable": True,
        "sortable": True,
        "default": "drafted",
        "enum": ["drafted", "active", "deactivated", "deleted"],
        "filter_ops": E,
    },
    "created_at": {
        "type": "string",
        "glareType": "DateTime",
        "readOnly": True,
        "sortable": True,
        "format": "date-time",
        "filter_ops": D,
    },
    "updated_at": {
        "type": "string",
        "glareType": "DateTime",
        "readOnly": True,
        "mutable": True,
        "sortable": True,
        "format": "date-time",
        "filter_ops": D,
    },
    "activated_at": {
        "type": ["string", "null"],
        "glareType": "DateTime",
        "readOnly": True,
        "sortable": True,
        "required_on_activate": False,
        "format": "date-time",
        "filter_ops": D,
    },
    "description": {
        "type": ["string", "null"],
        "glareType": "String",
        "mutable": True,
        "required_on_activate": False,
        "default": "",
        "maxLength": 4096,
        "filter_ops": [],
    },
    "tags": {
        "type": ["array", "null"],
        "glareType": "StringList",
        "mutable": True,
        "required_on_activate": False,
        "default": [],
        "items": {"type": "string", "maxLength": 255, "pattern": "^[^,/]+$", "minLength": 1},
        "maxItems": 255,
        "uniqueItems": True,
        "filter_ops": [],
    },
    "metadata": {
        "type": ["object", "null"],
        "glareType": "StringDict",
        "required_on_activate": False,
        "default": {},
        "additionalProperties": {"type": "string", "maxLength": 255, "minLength": 1},
        "maxProperties": 255,
        "filter_ops": E,
    },
    "visibility": {
        "type": "string",
        "glareType": "String",
        "mutable": True,
        "sortable": True,
        "default": "private",
        "enum": ["private", "public"],
        "filter_ops": E,
    },
    "version": {
        "type": "string",
        "glareType": "String",
        "sortable": True,
        "required_on_activate": False,
        "default": "0.0.0",
        "pattern": VERSION,
        "filter_ops": N,
    },
    "display_type_name": {
        "type": ["string", "null"],
        "glareType": "String",
        "readOnly": True,
        "sortable": True,
        "maxLength": 255,
        "filter_ops": L,
    },
}


def scalar(json_type: str, glare_type: str, ops: list[str], **more: Any) -> dict[str, Any]:
    """A nullable field that activation does not require."""
    return {
        "type": [json_type, "null"],
        "glareType": glare_type,
        "filter_ops": ops,
        "required_on_activate": False,
    } | more


def a_list(json_type: str, glare_type: str, ops: list[str], **more: Any) -> dict[str, Any]:
    """A list of elements of this JSON type."""
    items = {"type": json_type} | ({"maxLength": 255} if glare_type == "StringList" else {})
    return scalar("array", glare_type, ops, default=[], items=items, maxItems=255) | more


def a_dict(json_type: str, glare_type: str, ops: list[str], **more: Any) -> dict[str, Any]:
    """A dict of values of this JSON type."""
    values = {"type": json_type} | ({"maxLength": 255} if glare_type == "StringDict" else {})
    return scalar("object", glare_type, ops, default={}, additionalProperties=values, maxProperties=255) | more


SAMPLE: dict[str, dict[str, Any]] = {
    "blob": BLOB
    | {
        "glareType": "Blob",
        "filter_ops": [],
        "mutable": True,
        "required_on_activate": False,
        "description": "I am Blob",
    },
    "small_blob": BLOB | {"glareType": "Blob", "filter_ops": [], "mutable": True, "required_on_activate": False},
    "dict_of_blobs": {
        "type": ["object", "null"],
        "glareType": "BlobDict",
        "default": {},
        "maxProperties": 255,
        "filter_ops": [],
        "additionalProperties": BLOB,
        "required_on_activate": False,
    },
    "link1": scalar("string", "Link", K),
    "link2": scalar("string", "Link", K),
    "bool1": scalar("boolean", "Boolean", ["eq"], default=False),
    "bool2": scalar("boolean", "Boolean", ["eq"], default=False),
    "int1": scalar("integer", "Integer", N, sortable=True),
    "int2": scalar("integer", "Integer", N, sortable=True),
    "float1": scalar("number", "Float", N, sortable=True),
    "float2": scalar("number", "Float", N, sortable=True),
    "str1": scalar("string", "String", L, sortable=True, maxLength=255),
    "list_of_str": a_list("string", "StringList", ["eq", "in"]),
    "list_of_int": a_list("integer", "IntegerList", ["eq", "in"]),
    "dict_of_str": a_dict("string", "StringDict", ["eq", "in"]),
    "dict_of_int": a_dict("integer", "IntegerDict", ["eq", "in"]),
    "dict_of_links": a_dict("string", "LinkDict", ["eq"], mutable=True),
    "list_of_links": a_list("string", "LinkList", ["eq"], mutable=True),
    "string_mutable": scalar("string", "String", E, mutable=True, maxLength=255),
    "string_regex": scalar("string", "String", E, pattern="^([0-9a-fA-F]){8}$", maxLength=255),
    "string_required": {"type": ["string", "null"], "glareType": "String", "filter_ops": E, "maxLength": 255},
    "string_validators": scalar("string", "String", E, enum=["aa", "bb", "c" * 11], maxLength=10),
    "int_validators": scalar("integer", "Integer", N, minimum=10, maximum=20),
    "list_validators": a_list("string", "StringList", [], maxItems=3, uniqueItems=True),
    "dict_validators": {
        "type": ["object", "null"],
        "glareType": "StringDict",
        "filter_ops": [],
        "required_on_activate": False,
        "maxProperties": 3,
        "additionalProperties": False,
        "properties": {key: {"type": ["string", "null"], "maxLength": 255} for key in ("abc", "def", "ghi", "jkl")},
    },
    "system_attribute": {
        "type": ["string", "null"],
        "glareType": "String",
        "filter_ops": E,
        "readOnly": True,
        "sortable": True,
        "default": "default",
        "maxLength": 255,
    },
    "metadata_attribute": {
        "type": ["string", "null"],
        "glareType": "String",
        "filter_ops": E,
        "default": "default",
        "maxLength": 255,
        "metadata": {"metadata1": "value1", "metadata2": "blahblahblah"},
    },
}


def frame(name: str, display_name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """A whole schema of version 1.0."""
    return {
        "name": name,
        "version": "1.0",
        "title": f"Artifact type {name} of version 1.0",
        "type": "object",
        "display_name": display_name,
        "required": ["name"],
        "properties": properties,
    }


def without_base_descriptions(spec: TypeSpec) -> dict[str, Any]:
    """The type's schema; the text of the base fields' descriptions is ours to choose, so it is only checked to be
    there.
    """
    schema = dict(spec.schema(V1))
    schema["properties"] = {name: dict(keys) for name, keys in schema["properties"].items()}
    for name in (*BASE, "type_name"):
        if name in schema["properties"]:
            assert schema["properties"][name].pop("description")
    return schema


def test_the_schema_of_all(everything: TypeSpec) -> None:
    """The schema of `all` is the one of the contract's appendix."""
    type_name = {"type": ["string", "null"], "glareType": "String", "sortable": True, "maxLength": 255, "filter_ops": L}
    assert without_base_descriptions(everything) == frame("all", "All Artifacts", BASE | {"type_name": type_name})


def test_the_schema_of_the_sample_type(sample: TypeSpec) -> None:
    """The schema of the sample type follows from the contract's table."""
    assert without_base_descriptions(sample) == frame("sample_artifact", "Sample Artifact", BASE | SAMPLE)


def test_schemas_are_valid_themselves(sample: TypeSpec, everything: TypeSpec) -> None:
    """Each schema is a valid JSON Schema, for all its extra keys."""
    for spec in (sample, everything):
        Draft4Validator.check_schema(spec.schema(V1))


class Further(ArtifactType):
    """What the other types do not use."""

    name = "further"

    moment = DateTime()
    edition = Version()
    moments_known_later = Integer(since=Microversion(1, 2))
    restricted = DictOf(of=Integer(minimum=1), allowed_keys=("a", "b"), required_keys=("a",))
    demanding = DictOf(of=String(max_length=9), required_keys=("a",), min_size=1)
    short = ListOf(of=String(min_length=2, allowed=("aa", "bb")), min_size=1, max_size=2)
    excluded = String(forbidden_chars="<>", default="x")


def test_the_schema_keys_of_rarer_rules() -> None:
    """Dates, versions, restricted keys, required keys, lower bounds and element rules show as the contract says."""
    properties = compile_type(Further).schema(Microversion(1, 1))["properties"]
    assert properties["moment"] == {
        "type": ["string", "null"],
        "glareType": "DateTime",
        "filter_ops": D,
        "format": "date-time",
    }
    assert properties["edition"] == {
        "type": ["string", "null"],
        "glareType": "String",
        "filter_ops": N,
        "pattern": VERSION,
    }
    assert properties["restricted"] == {
        "type": ["object", "null"],
        "glareType": "IntegerDict",
        "filter_ops": N,
        "default": {},
        "maxProperties": 255,
        "additionalProperties": False,
        "properties": {"a": {"type": "integer", "minimum": 1}, "b": {"type": ["integer", "null"], "minimum": 1}},
    }
    assert properties["demanding"]["required"] == ["a"]
    assert properties["demanding"]["minProperties"] == 1
    assert properties["demanding"]["additionalProperties"] == {"type": "string", "maxLength": 9}
    assert properties["short"]["items"] == {"type": "string", "minLength": 2, "enum": ["aa", "bb"]}
    assert (properties["short"]["minItems"], properties["short"]["maxItems"]) == (1, 2)
    assert properties["excluded"]["pattern"] == "^[^<>]+$"


def test_a_type_without_a_display_name() -> None:
    """The display name is there and null where the author gave none."""
    assert compile_type(Further).schema(V1)["display_name"] is None


def test_a_field_is_unknown_before_its_microversion() -> None:
    """A field declared since a microversion is in no older schema, and in all from then on."""
    spec = compile_type(Further)
    known = [
        "moments_known_later" in spec.schema(Microversion(1, minor))["properties"]
        and "moments_known_later" in spec.face(Microversion(1, minor)).fields
        for minor in range(4)
    ]
    assert known == [False, False, True, True]
