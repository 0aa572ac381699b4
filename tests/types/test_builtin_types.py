"""The built-in types have the fields of the contract's table."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft4Validator

from glare.domain.microversion import Microversion
from glare.types.registry import TypeRegistry

V1 = Microversion(1, 0)
UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
E = ["eq", "neq", "in"]
N = ["eq", "neq", "in", "gt", "gte", "lt", "lte"]
K = ["eq", "neq"]
NOT_REQUIRED = {"required_on_activate": False}
MUTABLE = {"mutable": True}
SORTABLE = {"sortable": True}
TEXT = {"maxLength": 255}
MAX_ITEMS = {"maxItems": 255}
MAX_KEYS = {"maxProperties": 255}
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


def row(json_type: str, glare_type: str, ops: list[str], *keys: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One field: all of them are nullable."""
    schema: dict[str, Any] = {"type": [json_type, "null"], "glareType": glare_type, "filter_ops": ops}
    for key in (*keys, more):
        schema |= key
    return schema


def string(*keys: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Text with the usual operators."""
    return row("string", "String", E, *keys, **more)


def blob(*keys: dict[str, Any]) -> dict[str, Any]:
    """A blob."""
    return row("object", "Blob", [], BLOB, *keys)


TABLE: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "images": (
        "Images",
        {
            "container_format": string(enum=["ami", "ari", "aki", "bare", "ovf", "ova", "docker"]),
            "disk_format": string(enum=["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso"]),
            "min_ram": row("integer", "Integer", N, NOT_REQUIRED, minimum=0),
            "min_disk": row("integer", "Integer", N, NOT_REQUIRED, minimum=0),
            "image": blob(NOT_REQUIRED),
            "kernel_id": string(NOT_REQUIRED, TEXT, pattern=UUID),
            "ramdisk_id": string(NOT_REQUIRED, TEXT, pattern=UUID),
            "instance_uuid": string(NOT_REQUIRED, TEXT),
            "architecture": string(NOT_REQUIRED, TEXT),
            "os_distro": string(NOT_REQUIRED, TEXT),
            "os_version": string(NOT_REQUIRED, TEXT),
        },
    ),
    "heat_templates": (
        "Heat Templates",
        {
            "environments": row(
                "object", "LinkDict", K, MUTABLE, MAX_KEYS, default={}, additionalProperties={"type": "string"}
            ),
            "template": blob(),
            "nested_templates": row("object", "BlobDict", [], MAX_KEYS, default={}, additionalProperties=BLOB),
            "default_envs": row(
                "object",
                "StringDict",
                E,
                MUTABLE,
                MAX_KEYS,
                default={},
                additionalProperties={"type": "string", "maxLength": 255},
            ),
        },
    ),
    "heat_environments": ("Heat Environments", {"environment": blob()}),
    "murano_packages": (
        "Murano packages",
        {
            "package": blob(NOT_REQUIRED),
            "type": string(enum=["Application", "Library"], default="Application"),
            "display_name": string(MUTABLE, TEXT),
            "categories": row(
                "array", "StringList", E, MUTABLE, MAX_ITEMS, default=[], items={"type": "string"} | TEXT
            ),
            "keywords": row("array", "StringList", E, MUTABLE, MAX_ITEMS, default=[], items={"type": "string"} | TEXT),
            "class_definitions": row(
                "array", "StringList", E, MAX_ITEMS, default=[], items={"type": "string"} | TEXT, uniqueItems=True
            ),
            "inherits": row(
                "object", "StringDict", E, MAX_KEYS, default={}, additionalProperties={"type": "string"} | TEXT
            ),
            "dependencies": row("array", "LinkList", K, NOT_REQUIRED, MAX_ITEMS, default=[], items={"type": "string"}),
        },
    ),
    "tosca_templates": ("TOSCA Templates", {"template_format": string(TEXT), "template": blob()}),
    "secrets": (
        "Secrets",
        {
            "payload": blob(),
            "payload_content_encoding": row("string", "String", [], NOT_REQUIRED, default="base64", enum=["base64"]),
            "secret_type": row(
                "string",
                "String",
                ["eq"],
                NOT_REQUIRED,
                SORTABLE,
                default="opaque",
                enum=["symmetric", "public", "private", "passphrase", "certificate", "opaque"],
            ),
            "algorithm": row("string", "String", ["eq"], NOT_REQUIRED, TEXT),
            "mode": row("string", "String", ["eq"], NOT_REQUIRED, TEXT),
            "bit_length": row("integer", "Integer", N, NOT_REQUIRED, SORTABLE, minimum=1),
        },
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_fields_of_a_built_in_type(built_in: TypeRegistry, name: str) -> None:
    """A built-in type has exactly the fields of the contract's table, and the base fields, in its schema."""
    display_name, expected = TABLE[name]
    spec = built_in.get(name)
    schema = spec.schema(V1)
    properties = dict(schema["properties"])
    for base in built_in.all.fields:
        if base != "type_name":
            theirs = built_in.all.schema(V1)["properties"][base]
            assert properties.pop(base) == theirs
    assert {
        key: {k: v for k, v in value.items() if k != "description"} for key, value in properties.items()
    } == expected
    assert schema["display_name"] == display_name
    assert schema["version"] == "1.0"
    assert schema["title"] == f"Artifact type {name} of version 1.0"


def test_fields_are_described(built_in: TypeRegistry) -> None:
    """Every field has a description, except the two that never had one."""
    silent = {
        (name, field)
        for name in built_in.names
        for field, keys in built_in.get(name).schema(V1)["properties"].items()
        if not keys.get("description")
    }
    assert silent == {("murano_packages", "inherits"), ("murano_packages", "keywords")}


def test_schemas_are_valid_json_schemas(built_in: TypeRegistry) -> None:
    """Each built-in type's schema is a valid JSON Schema."""
    for name in built_in.names:
        Draft4Validator.check_schema(built_in.get(name).schema(V1))


def test_limits_that_schemas_do_not_show(built_in: TypeRegistry) -> None:
    """Blobs have the limits of the contract's table."""
    assert built_in.get("images").fields["image"].max_blob_size == 1073741824000
    assert built_in.get("murano_packages").fields["package"].max_blob_size == 104857600
    assert built_in.get("heat_templates").fields["template"].max_blob_size == 10485760
    nested = built_in.get("heat_templates").fields["nested_templates"]
    assert (nested.max_blob_size, nested.max_folder_size) == (10485760, 2673868800)


def test_no_blob_of_a_built_in_type_may_be_replaced_after_activation(built_in: TypeRegistry) -> None:
    """None of the built-in types has a mutable blob: what is active keeps its bytes."""
    for name in built_in.names:
        assert not [field.name for field in built_in.get(name).fields.values() if field.is_blob and field.mutable]
