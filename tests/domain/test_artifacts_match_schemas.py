"""What is stored and shown validates against the schema of its type."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from glare.domain.artifact import Artifact
from glare.domain.blob import Attempt, Blob, BlobStatus, Slot
from glare.domain.declared.artifact_type import FieldSpec, TypeSpec
from glare.domain.declared.coercion import Kind
from glare.domain.declared.compile import compile_type
from glare.domain.microversion import Microversion
from glare.domain.representation import represent
from glare.errors import InvalidParameterValue
from glare.types.heat_templates import HeatTemplate
from glare.types.images import Image
from glare.types.murano_packages import MuranoPackage
from glare.types.secrets import Secret
from support.sample_types import HooksArtifact, NonNullableFieldsArtifact, SampleArtifact

NOW: Final = Microversion(1, 2)
SPECS: Final = [
    compile_type(cls)
    for cls in (SampleArtifact, NonNullableFieldsArtifact, HooksArtifact, Image, HeatTemplate, MuranoPackage, Secret)
]

TEXTS: Final = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["aa", "bb", "c" * 11, "base64", "Library", "raw", "", " 7", "1e5", "nan", "x" * 256, "0123abcd"]),
    st.uuids().map(str),
    st.from_regex(r"(/artifacts/[a-z]{1,5}/|https?://)[a-z]{1,5}", fullmatch=True),
)
SCALARS: Final = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(0, 25), st.floats(), TEXTS, st.datetimes().map(str)
)
KEYS: Final = st.sampled_from(["abc", "def", "", "\U0001f600"]) | st.text(max_size=4)
JSON: Final = SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(KEYS, SCALARS, max_size=4)


def accepted(field: FieldSpec, value: Any) -> bool:
    """Whether the field takes the value."""
    try:
        field.coerce(value)
    except InvalidParameterValue:
        return False
    return True


@st.composite
def requests(draw: st.DrawFn) -> tuple[TypeSpec, dict[str, Any]]:
    """A type, and the stored values of a request that it accepts."""
    spec = draw(st.sampled_from(SPECS))
    fields = [field for field in spec.fields.values() if not field.is_blob]
    asked = draw(st.dictionaries(st.sampled_from([field.name for field in fields]), JSON, max_size=8))
    coerced = {
        name: spec.fields[name].coerce(value) for name, value in asked.items() if accepted(spec.fields[name], value)
    }
    coerced |= {
        field.name: coerced.get(field.name) or 0
        for field in spec.custom_fields.values()
        if not field.nullable and field.kind is Kind.INTEGER
    }
    return spec, coerced


def schema_of(spec: TypeSpec) -> dict[str, Any]:
    """The schema, mended where no artifact of the contract could match it."""
    schema = copy.deepcopy(dict(spec.schema(NOW)))
    del schema["properties"]["version"]["pattern"]
    for field in spec.fields.values():
        declared = schema["properties"][field.name]
        if "enum" in declared and field.nullable:
            declared["enum"].append(None)
        if field.is_blob:
            blob = declared["additionalProperties"] if field.is_folder else declared
            blob["properties"]["url"] = {"type": "string"}
    return schema


@given(requests())
def test_accepted_input_matches_the_schema(
    make_artifact: Callable[..., Artifact], make_blob: Callable[..., Blob], request_of: tuple[TypeSpec, dict[str, Any]]
) -> None:
    """Whatever a type accepts is shown as an artifact that validates against the type's schema."""
    spec, coerced = request_of
    slots = [Slot(field.name, "a/b" if field.is_folder else None) for field in spec.fields.values() if field.is_blob]
    saving = {"status": BlobStatus.SAVING, "digests": None, "size": None, "attempt": Attempt("a", 1, 5)}
    artifact = make_artifact(
        name=coerced.get("name") or "n",
        values=spec.complete(coerced),
        blobs={slot: make_blob(slot, **(saving if number % 2 else {})) for number, slot in enumerate(slots)},
    )
    document = represent(spec, artifact, microversion=NOW, full_urls=True)
    errors = [f"{error.json_path}: {error.message}" for error in Draft4Validator(schema_of(spec)).iter_errors(document)]
    assert not errors


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("version", "1.0.0", "quirk 6: the pattern stands between slashes"),
        (
            "kernel_id",
            "3d5f9ba06b5c4b0c9f4e1f2f3a4b5c6d",
            "the contract accepts UUIDs without dashes and stores them so",
        ),
        ("disk_format", None, "the contract's lists of allowed values lack the null of nullable fields"),
        ("image", {"url": "/artifacts/images/x/image"}, "quirk 6: a blob has a url that its schema does not allow"),
    ],
)
def test_where_the_contract_contradicts_itself(name: str, value: Any, reason: str) -> None:
    """Some things that the contract lets an artifact be, its own schemas do not match; they stay, as schemas are
    compared.
    """
    schema = compile_type(Image).schema(NOW)["properties"][name]
    if name != "image":
        assert compile_type(Image).fields[name].coerce(value) == value, "it is accepted"
    assert list(Draft4Validator(schema).iter_errors(value)), reason
