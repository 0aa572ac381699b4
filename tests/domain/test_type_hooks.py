"""What a compiled type does for the operations: new artifacts, activation, and the author's hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import pytest

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.blob import Blob as BlobRecord
from glare.domain.blob import Slot
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.compile import compile_type
from glare.domain.declared.hooks import Hooks, Member
from glare.errors import GlareError, InvalidParameterValue
from glare.types import ArtifactType, ArtifactView, Blob, BlobDict, Ingest, Ingested, ListOf, Option, Reader, String
from support.sample_types import HooksArtifact, NonNullableFieldsArtifact

ACTOR = Actor("user", "project", frozenset())


def test_a_new_artifact_stores_what_it_was_given(sample: TypeSpec) -> None:
    """A new artifact stores given values that are something, the description's null, and no columns."""
    given = {"name": "n", "version": "1.0.0", "int1": 5, "str1": None, "description": None, "tags": ["a"]}
    assert sample.complete(given) == {"int1": 5, "description": None, "tags": ["a"]}


def test_fields_that_cannot_be_null_need_a_value() -> None:
    """A field that is not nullable takes its default, and without one is refused when it has no value."""
    spec = compile_type(NonNullableFieldsArtifact)
    assert spec.complete({"int_not_nullable_without_default": 7}) == {
        "int_not_nullable_with_default": 0,
        "int_not_nullable_without_default": 7,
    }
    with pytest.raises(InvalidParameterValue, match="int_not_nullable_without_default"):
        spec.complete({})


def test_what_activation_needs(sample: TypeSpec, make_artifact: Callable[..., Artifact]) -> None:
    """Activation needs a value in each required field, where empty text and defaults are values."""
    assert sample.missing(make_artifact()) == ("string_required",)
    assert sample.missing(make_artifact(values={"string_required": ""})) == ()


class Demanding(ArtifactType):
    name = "demanding"
    image = Blob()
    folder = BlobDict()
    labels = ListOf(of=String(), default=None)


def test_blobs_are_needed_and_empty_folders_suffice(
    make_artifact: Callable[..., Artifact], make_blob: Callable[..., BlobRecord]
) -> None:
    """A required blob must exist, in whatever state; an empty folder is there (quirk 14), a list that shows null is
    not.
    """
    spec, slot = compile_type(Demanding), Slot("image")
    assert spec.missing(make_artifact()) == ("image", "labels")
    assert spec.missing(make_artifact(values={"labels": ["a"]}, blobs={slot: make_blob(slot)})) == ()


def test_a_type_without_a_display_name_can_be_activated(make_artifact: Callable[..., Artifact]) -> None:
    """A missing display name is no missing value (quirk 50)."""

    class Nameless(ArtifactType):
        name = "nameless"

    assert compile_type(Nameless).missing(make_artifact()) == ()


def test_a_view_shows_every_field(
    sample: TypeSpec, make_artifact: Callable[..., Artifact], make_blob: Callable[..., BlobRecord]
) -> None:
    """A hook sees each field of the artifact with its value or default, and blobs as they are."""
    slot, member = Slot("blob"), Slot("dict_of_blobs", "a")
    blobs = {slot: make_blob(slot), member: make_blob(member)}
    view = sample.view(make_artifact(values={"int1": 3}, blobs=blobs))
    assert set(view) == set(sample.fields)
    assert len(view) == len(sample.fields)
    assert (view["int1"], view["bool1"], view["tags"], view["str1"]) == (3, False, [], None)
    assert view["blob"] is blobs[slot]
    assert view["dict_of_blobs"] == {"a": blobs[member]}
    assert view["small_blob"] is None
    assert view["created_at"] == 1_700_000_000_000_000
    view["tags"].append("x")
    assert sample.view(make_artifact())["tags"] == []


def test_overridden_hooks_are_known(sample: TypeSpec) -> None:
    """A compiled type says which hooks its author overrode, so that the others cost nothing."""
    none = {"validate": False, "ingest": False, "download": False, "before": False, "after": False, "format": False}
    assert sample.hooks == Hooks(**none | {"ingest": True, "format": True})
    assert compile_type(HooksArtifact).hooks == Hooks(**none | {"before": True, "after": True})
    assert not sample.rewrites_downloads

    class Rewriting(ArtifactType):
        name = "rewriting"

        def download(self, artifact: ArtifactView, field: str, key: str | None, stream: Reader) -> Reader:
            return BytesIO(stream.read(5).upper())

    assert compile_type(Rewriting).rewrites_downloads


def test_a_before_hook_sets_fields_of_its_own(sample: TypeSpec) -> None:
    """A `before` hook may set fields of its type, system ones too; they are coerced as input is."""
    assert sample.hook_values({"system_attribute": 5, "int1": "7", "str1": None}) == {
        "system_attribute": "5",
        "int1": 7,
        "str1": None,
    }
    assert sample.hook_values(None) == {}


@pytest.mark.parametrize("name", ["name", "status", "tags", "blob", "unknown"])
def test_a_before_hook_sets_nothing_else(sample: TypeSpec, name: str) -> None:
    """A `before` hook that sets a base field, a blob or an unknown field is a mistake of the type's author."""
    with pytest.raises(GlareError, match="may not set"):
        sample.hook_values({name: "x"})


class Unpacking(ArtifactType):
    name = "unpacking"
    text = String()

    def ingest(self, upload: Ingest, stream: Reader) -> Ingested:
        upper = BytesIO(stream.read(100).upper())
        return Ingested(upper, lambda stored: [Member("folder", "a", stored.open(0, stored.size))], keep=False)


def an_upload(spec: TypeSpec, artifact: Artifact, field: str) -> Ingest:
    """An upload into a field."""
    return Ingest(spec.view(artifact), ACTOR, field, None, "text/plain", None, None)


def test_ingest_returns_the_stream_to_store(sample: TypeSpec, make_artifact: Callable[..., Artifact]) -> None:
    """A type's ingest hook passes data on, rewrites it, or refuses it with an error of its own."""
    upload = an_upload(sample, make_artifact(), "blob")
    assert sample.ingest(upload, BytesIO(b"data")).stream.read(10) == b"data"
    with pytest.raises(GlareError, match="makes the sample type fail"):
        sample.ingest(upload, BytesIO(b"invalid_data"))


def test_ingest_may_return_more_than_a_stream(make_artifact: Callable[..., Artifact]) -> None:
    """What an ingest hook says of members passes through as it is."""
    spec = compile_type(Unpacking)
    ingested = spec.ingest(an_upload(spec, make_artifact(), "zip"), BytesIO(b"data"))
    assert ingested.stream.read(10) == b"DATA"
    assert (ingested.members is None, ingested.keep, ingested.replaces) == (False, False, ())


def test_a_type_without_ingest_hook_stores_the_stream_itself(make_artifact: Callable[..., Artifact]) -> None:
    """Without an ingest hook the stream is stored as it comes."""
    spec, stream = compile_type(HooksArtifact), BytesIO(b"data")
    assert spec.ingest(an_upload(spec, make_artifact(), "blob"), stream) == Ingested(stream)


def test_options_have_defaults() -> None:
    """The options of a type are the operator's values, and the defaults of the declaration for the rest."""

    class Optioned(ArtifactType):
        name = "optioned"
        config = (Option("level", int, 3), Option("mode", str))

    options: list[Mapping[str, Any]] = [
        compile_type(Optioned, given).artifact_type.options for given in (None, {"mode": "fast"})
    ]
    assert options == [{"level": 3, "mode": None}, {"level": 3, "mode": "fast"}]
