"""GET /schemas and /schemas/T."""

from __future__ import annotations

import re
from typing import Any

import pytest

from support.service import Glare, Json

pytestmark = pytest.mark.sqlite  # The page and the schemas are made from the code.

TYPES = {
    *("all", "images", "heat_templates", "heat_environments", "murano_packages", "tosca_templates", "secrets"),
    *("sample_artifact", "hooks_artifact", "non_nullable_fields_artifact", "unpacking_artifact", "crate_artifact"),
}

# The appendix of the contract, without descriptions.
UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
VERSION = r"/^([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+)?$/"
E, L, N, D = (
    ["eq", "neq", "in"],
    ["like", "eq", "neq", "in"],
    ["eq", "neq", "in", "gt", "gte", "lt", "lte"],
    ["lt", "gt"],
)
STRING: Json = {"type": "string", "glareType": "String"}
NULLABLE: Json = {"type": ["string", "null"], "glareType": "String"}
DATE: Json = {"glareType": "DateTime", "readOnly": True, "sortable": True, "format": "date-time", "filter_ops": D}
OPTIONAL: Json = {"required_on_activate": False}
BASE: dict[str, Json] = {
    "id": {**STRING, "readOnly": True, "sortable": True, "maxLength": 255, "pattern": UUID, "filter_ops": E},
    "name": {**STRING, **OPTIONAL, "sortable": True, "minLength": 1, "maxLength": 255, "filter_ops": L},
    "owner": {**STRING, **OPTIONAL, "readOnly": True, "sortable": True, "maxLength": 255, "filter_ops": E},
    "status": {
        **STRING,
        "mutable": True,
        "sortable": True,
        "default": "drafted",
        "filter_ops": E,
        "enum": ["drafted", "active", "deactivated", "deleted"],
    },
    "created_at": {"type": "string", **DATE},
    "updated_at": {"type": "string", **DATE, "mutable": True},
    "activated_at": {"type": ["string", "null"], **DATE, **OPTIONAL},
    "description": {**NULLABLE, **OPTIONAL, "mutable": True, "default": "", "maxLength": 4096, "filter_ops": []},
    "tags": {
        "type": ["array", "null"],
        "glareType": "StringList",
        "mutable": True,
        "default": [],
        **OPTIONAL,
        "items": {"type": "string", "maxLength": 255, "pattern": "^[^,/]+$", "minLength": 1},
        "maxItems": 255,
        "uniqueItems": True,
        "filter_ops": [],
    },
    "metadata": {
        "type": ["object", "null"],
        "glareType": "StringDict",
        "default": {},
        "maxProperties": 255,
        **OPTIONAL,
        "additionalProperties": {"type": "string", "maxLength": 255, "minLength": 1},
        "filter_ops": E,
    },
    "visibility": {
        **STRING,
        "mutable": True,
        "sortable": True,
        "default": "private",
        "enum": ["private", "public"],
        "filter_ops": E,
    },
    "version": {**STRING, **OPTIONAL, "sortable": True, "default": "0.0.0", "pattern": VERSION, "filter_ops": N},
    "display_type_name": {**NULLABLE, "readOnly": True, "sortable": True, "maxLength": 255, "filter_ops": L},
}
TYPE_NAME: Json = {**NULLABLE, "sortable": True, "maxLength": 255, "filter_ops": L}

BLOB_VALUE: Json = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "properties": {
        "size": {"type": ["number", "null"]},
        **{name: {"type": ["string", "null"]} for name in ("md5", "sha1", "sha256")},
        "external": {"type": "boolean"},
        "content_type": {"type": "string"},
        "status": {"type": "string", "enum": ["saving", "active"]},
    },
    "required": ["size", "md5", "sha1", "sha256", "external", "status", "content_type"],
}
BLOB: Json = {**BLOB_VALUE, "glareType": "Blob", "filter_ops": []}

TEXT: Json = {**NULLABLE, "maxLength": 255, "filter_ops": E}
RAM: Json = {"type": ["integer", "null"], "glareType": "Integer", "minimum": 0, "filter_ops": N, **OPTIONAL}
IMAGES: dict[str, Json] = {
    "container_format": {**NULLABLE, "enum": ["ami", "ari", "aki", "bare", "ovf", "ova", "docker"], "filter_ops": E},
    "disk_format": {
        **NULLABLE,
        "enum": ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso"],
        "filter_ops": E,
    },
    **dict.fromkeys(("min_ram", "min_disk"), RAM),
    "image": {**BLOB, **OPTIONAL},
    **{key: {**TEXT, **OPTIONAL, "pattern": UUID} for key in ("kernel_id", "ramdisk_id")},
    **{key: {**TEXT, **OPTIONAL} for key in ("instance_uuid", "architecture", "os_distro", "os_version")},
}
HEAT: dict[str, Json] = {
    "environments": {
        "type": ["object", "null"],
        "glareType": "LinkDict",
        "mutable": True,
        "default": {},
        "maxProperties": 255,
        "additionalProperties": {"type": "string"},
        "filter_ops": ["eq", "neq"],
    },
    "template": BLOB,
    "nested_templates": {
        "type": ["object", "null"],
        "glareType": "BlobDict",
        "default": {},
        "maxProperties": 255,
        "filter_ops": [],
        "additionalProperties": BLOB_VALUE,
    },
    "default_envs": {
        "type": ["object", "null"],
        "glareType": "StringDict",
        "mutable": True,
        "default": {},
        "maxProperties": 255,
        "additionalProperties": {"type": "string", "maxLength": 255},
        "filter_ops": E,
    },
}


def whole(name: str, display_name: str, properties: dict[str, Json]) -> Json:
    """A type's schema, without descriptions."""
    return {
        "name": name,
        "version": "1.0",
        "title": f"Artifact type {name} of version 1.0",
        "type": "object",
        "display_name": display_name,
        "required": ["name"],
        "properties": {**BASE, **properties},
    }


EXPECTED = [
    whole("all", "All Artifacts", {"type_name": TYPE_NAME}),
    whole("images", "Images", IMAGES),
    whole("heat_templates", "Heat Templates", HEAT),
    whole("heat_environments", "Heat Environments", {"environment": BLOB}),
]


def schema_of(api: Glare, name: str) -> Any:
    """The schema of a type as it is sent."""
    return api.alice.request("GET", f"/schemas/{name}").json()["schemas"][name]


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda schema: schema["name"])
def test_schema_to_the_letter(api: Glare, expected: Json) -> None:
    """The schema equals the contract's key by key; each field is described in words of our own."""
    schema = schema_of(api, expected["name"])
    for name, field in schema["properties"].items():
        assert field.pop("description", None), f"{name} has no description"
    assert schema == expected


def test_every_enabled_type_is_listed(api: Glare) -> None:
    """/schemas holds each type's schema as /schemas/T has it, and always `all`."""
    answer = api.alice.request("GET", "/schemas")
    assert answer.headers["content-type"] == "application/schema+json; charset=UTF-8"
    schemas = answer.json()["schemas"]
    assert set(answer.json()) == {"schemas"}
    assert set(schemas) == TYPES
    for name in TYPES:
        one = api.alice.request("GET", f"/schemas/{name}")
        assert one.headers["content-type"] == "application/schema+json; charset=UTF-8"
        assert one.json() == {"schemas": {name: schemas[name]}}


@pytest.mark.parametrize("name", ["unknown", "trained_models", "Images"])
def test_schema_of_an_unknown_type_is_404(api: Glare, name: str) -> None:
    """A type that does not exist, or is not enabled, has no schema."""
    answer = api.alice.request("GET", f"/schemas/{name}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "TypeNotFound")


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_property_has_what_clients_read(api: Glare, name: str) -> None:
    """The client looks up type, glareType and filter_ops of every property, and reads absent flags as false."""
    schema = schema_of(api, name)
    assert set(schema) == {"name", "version", "title", "type", "display_name", "required", "properties"}
    kind = re.compile(r"(String|Integer|Float|Boolean|DateTime|Link|Blob)(List|Dict)?")
    for field in schema["properties"].values():
        assert kind.fullmatch(field["glareType"])
        assert isinstance(field["filter_ops"], list)
        assert "type" in field
        for flag in ("readOnly", "mutable", "sortable"):
            assert field.get(flag, True) is True
        assert field.get("required_on_activate", False) is False
        assert field.get("default", "something") is not None


def test_sample_type(api: Glare) -> None:
    """The rarer keys, as a type of an author's own has them."""
    fields = schema_of(api, "sample_artifact")["properties"]
    assert fields["string_validators"]["enum"] == ["aa", "bb", "c" * 11]
    assert fields["string_validators"]["maxLength"] == 10
    assert (fields["int_validators"]["minimum"], fields["int_validators"]["maximum"]) == (10, 20)
    assert fields["string_regex"]["pattern"] == "^([0-9a-fA-F]){8}$"
    assert fields["string_regex"]["maxLength"] == 255
    assert (fields["list_validators"]["maxItems"], fields["list_validators"]["uniqueItems"]) == (3, True)
    keys = {key: {"type": ["string", "null"], "maxLength": 255} for key in ("abc", "def", "ghi", "jkl")}
    assert fields["dict_validators"]["properties"] == keys
    assert fields["dict_validators"]["additionalProperties"] is False
    assert fields["dict_validators"]["maxProperties"] == 3
    assert "default" not in fields["dict_validators"]
    assert (fields["system_attribute"]["readOnly"], fields["system_attribute"]["default"]) == (True, "default")
    assert fields["metadata_attribute"]["metadata"] == {"metadata1": "value1", "metadata2": "blahblahblah"}
    assert fields["bool1"]["default"] is False
    assert fields["blob"]["description"] == "I am Blob"
    assert fields["list_of_int"]["items"] == {"type": "integer"}
    assert fields["dict_of_links"]["glareType"] == "LinkDict"


def test_not_nullable_fields(api: Glare) -> None:
    """A field that cannot be null has a plain type, and zero is a default that is shown."""
    fields = schema_of(api, "non_nullable_fields_artifact")["properties"]
    assert fields["int_not_nullable_with_default"]["type"] == "integer"
    assert fields["int_not_nullable_with_default"]["default"] == 0
    assert "default" not in fields["int_not_nullable_without_default"]


@pytest.mark.parametrize("name", sorted(TYPES))
def test_schemas_are_the_same_at_both_versions(api: Glare, name: str) -> None:
    """1.0 and 1.1 show the same fields."""
    newer = api.alice.request("GET", f"/schemas/{name}", headers={"OpenStack-API-Version": "artifact 1.1"})
    assert newer.json()["schemas"][name] == schema_of(api, name)
