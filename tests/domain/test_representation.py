"""What clients see of an artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from glare.digest import Digests
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.blob import Attempt, Blob, BlobStatus, External, LocationState, Slot
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.compile import compile_type
from glare.domain.microversion import Microversion
from glare.domain.representation import represent, represent_for_all
from glare.types import ArtifactType, Integer, ListOf, String
from support.sample_types import SampleArtifact

V1 = Microversion(1, 0)
ID = "3d5f9ba0-6b5c-4b0c-9f4e-1f2f3a4b5c6d"

Made = TypeVar("Made")
Maker = Callable[..., Made]


def external(url: str, *, confidential: bool) -> External:
    """A location that was measured."""
    return External(url, confidential, LocationState.VERIFIED, 1, 1, None, None)


def document(spec: TypeSpec, artifact: Artifact, *, full_urls: bool = True) -> dict[str, Any]:
    """What a client of version 1.0 sees."""
    return represent(spec, artifact, microversion=V1, full_urls=full_urls)


def test_every_field_is_always_there(sample: TypeSpec, make_artifact: Maker[Artifact]) -> None:
    """An artifact without values shows each field of its type, with its default or null, and its formatter's key."""
    assert document(sample, make_artifact()) == {
        "id": ID,
        "name": "thing",
        "owner": "project",
        "status": "drafted",
        "created_at": "2023-11-14T22:13:20Z",
        "updated_at": "2023-11-14T22:13:21Z",
        "activated_at": None,
        "description": "",
        "tags": [],
        "metadata": {},
        "visibility": "private",
        "version": "1.0.0",
        "display_type_name": "Sample Artifact",
        "blob": None,
        "small_blob": None,
        "dict_of_blobs": {},
        "link1": None,
        "link2": None,
        "bool1": False,
        "bool2": False,
        "int1": None,
        "int2": None,
        "float1": None,
        "float2": None,
        "str1": None,
        "list_of_str": [],
        "list_of_int": [],
        "dict_of_str": {},
        "dict_of_int": {},
        "dict_of_links": {},
        "list_of_links": [],
        "string_mutable": None,
        "string_regex": None,
        "string_required": None,
        "string_validators": None,
        "int_validators": None,
        "list_validators": [],
        "dict_validators": None,
        "system_attribute": "default",
        "metadata_attribute": "default",
        "__some_meta_information__": "THING",
    }


def test_stored_values_are_shown(sample: TypeSpec, make_artifact: Maker[Artifact]) -> None:
    """Stored values replace defaults, also where they are empty or false."""
    values = {"tags": ["a"], "bool1": True, "system_attribute": "", "int1": 0, "description": "text"}
    artifact = make_artifact(
        values=values,
        status=Status.ACTIVE,
        visibility=Visibility.PUBLIC,
        activated_at=1_700_000_000_000_000,
        version="2.0.0-rc.1",
    )
    expected = values | {
        "status": "active",
        "visibility": "public",
        "activated_at": "2023-11-14T22:13:20Z",
        "version": "2.0.0-rc.1",
    }
    seen = document(sample, artifact)
    assert {name: seen[name] for name in expected} == expected


def test_null_shows_the_default_except_in_the_description(sample: TypeSpec, make_artifact: Maker[Artifact]) -> None:
    """A null that is stored shows the default of the field, but stays null in the description (quirk 9)."""
    seen = document(sample, make_artifact(values={"description": None, "system_attribute": None, "tags": None}))
    assert (seen["description"], seen["system_attribute"], seen["tags"]) == (None, "default", [])


def test_defaults_are_not_shared(sample: TypeSpec, make_artifact: Maker[Artifact]) -> None:
    """What is done to the containers of one representation shows in no other."""

    class Labelled(SampleArtifact):
        labels = ListOf(of=String(), default=["new"])

    spec = compile_type(Labelled)
    seen = document(spec, make_artifact())
    seen["tags"].append("a")
    seen["labels"].append("a")
    seen["dict_of_blobs"]["a"] = 1
    again = document(spec, make_artifact())
    assert (again["tags"], again["labels"], again["dict_of_blobs"]) == ([], ["new"], {})


def test_values_of_unknown_fields_are_not_shown(sample: TypeSpec, make_artifact: Maker[Artifact]) -> None:
    """A value or a blob of a field that the type no longer declares is not shown."""
    assert "gone" not in document(sample, make_artifact(values={"gone": 1}))


def test_a_stored_blob_has_eight_keys(sample: TypeSpec, make_artifact: Maker[Artifact], make_blob: Maker[Blob]) -> None:
    """A blob in a store shows its own address within the API, and nothing of the store."""
    slot = Slot("blob")
    assert document(sample, make_artifact(blobs={slot: make_blob(slot)}))["blob"] == {
        "url": f"/artifacts/sample_artifact/{ID}/blob",
        "status": "active",
        "external": False,
        "md5": "0" * 32,
        "sha1": "1" * 40,
        "sha256": "2" * 64,
        "size": 3,
        "content_type": "application/octet-stream",
    }


@pytest.mark.parametrize("key", ["a", "dir/file", "a b", "a[0]", "ключ", "100%", "a?b#c"])
def test_the_keys_of_a_folder_are_not_escaped(
    sample: TypeSpec, make_artifact: Maker[Artifact], make_blob: Maker[Blob], key: str
) -> None:
    """A blob of a folder stands under its key, which its URL repeats whole and unescaped (quirk 37)."""
    slot = Slot("dict_of_blobs", key)
    seen = document(sample, make_artifact(blobs={slot: make_blob(slot)}))["dict_of_blobs"]
    assert list(seen) == [key]
    assert seen[key]["url"] == f"/artifacts/sample_artifact/{ID}/dict_of_blobs/{key}"


def test_a_blob_that_is_being_stored(sample: TypeSpec, make_artifact: Maker[Artifact], make_blob: Maker[Blob]) -> None:
    """The first upload of a blob shows the reserved size, its address, and no checksums."""
    slot = Slot("blob")
    saving = make_blob(
        slot, status=BlobStatus.SAVING, size=None, digests=None, location=None, attempt=Attempt("a", 1, 4096)
    )
    seen = document(sample, make_artifact(blobs={slot: saving}))["blob"]
    assert seen["status"] == "saving"
    assert seen["size"] == 4096
    assert seen["url"] == f"/artifacts/sample_artifact/{ID}/blob"
    assert (seen["md5"], seen["sha1"], seen["sha256"]) == (None, None, None)


def test_a_blob_that_is_being_replaced(
    sample: TypeSpec, make_artifact: Maker[Artifact], make_blob: Maker[Blob]
) -> None:
    """While a blob is being replaced, the old one is shown, as it is what can be read."""
    slot = Slot("blob")
    seen = document(sample, make_artifact(blobs={slot: make_blob(slot, attempt=Attempt("a", 1, 4096))}))["blob"]
    assert (seen["status"], seen["size"], seen["md5"]) == ("active", 3, "0" * 32)


@pytest.mark.parametrize(
    ("url", "short"),
    [
        ("https://example.com:8443/a?X-Amz-Signature=abc", "https://example.com"),
        ("http://[2001:db8::1]/a", "http://[2001:db8::1]"),
    ],
)
def test_a_confidential_location_is_shortened(
    sample: TypeSpec, make_artifact: Maker[Artifact], make_blob: Maker[Blob], url: str, short: str
) -> None:
    """Who may not see a confidential URL sees its scheme and host; who may sees the text as it was given."""
    slot = Slot("blob")
    artifact = make_artifact(blobs={slot: make_blob(slot, location=external(url, confidential=True))})
    assert document(sample, artifact)["blob"]["url"] == url
    assert document(sample, artifact, full_urls=False)["blob"]["url"] == short


def test_a_plain_location_is_shown_to_everybody(
    sample: TypeSpec, make_artifact: Maker[Artifact], make_blob: Maker[Blob]
) -> None:
    """An external location that is not confidential is shown verbatim, with what was measured."""
    slot = Slot("blob")
    digests = Digests("a", "b", "c")
    url = "http://Example.com/a%20b?c=d"
    blob = make_blob(slot, location=external(url, confidential=False), digests=digests, size=9, content_type="text/x")
    seen = document(sample, make_artifact(blobs={slot: blob}), full_urls=False)["blob"]
    assert seen == {
        "url": url,
        "status": "active",
        "external": True,
        "md5": "a",
        "sha1": "b",
        "sha256": "c",
        "size": 9,
        "content_type": "text/x",
    }


def test_all_shows_base_fields(sample: TypeSpec, everything: TypeSpec, make_artifact: Maker[Artifact]) -> None:
    """Through `all` an artifact shows the base fields, its type's names, and what its own type's formatter adds."""
    seen = represent_for_all(
        everything, sample, make_artifact(values={"int1": 5, "tags": ["a"]}), microversion=V1, full_urls=True
    )
    assert set(seen) == {*everything.fields, "__some_meta_information__"}
    assert seen["type_name"] == "sample_artifact"
    assert seen["display_type_name"] == "Sample Artifact"
    assert seen["tags"] == ["a"]
    assert seen["__some_meta_information__"] == "THING"


def test_a_formatter_adds_and_never_replaces(make_artifact: Maker[Artifact]) -> None:
    """A field wins over a key of its name that a formatter returns."""

    class Overbearing(SampleArtifact):
        def format(self, artifact: Any, representation: Any) -> dict[str, Any]:
            return {"name": "other", "extra": len(representation)}

    seen = document(compile_type(Overbearing), make_artifact())
    assert (seen["name"], seen["extra"]) == ("thing", 40)


def test_later_fields_are_hidden_from_earlier_requests(make_artifact: Maker[Artifact]) -> None:
    """A field since a microversion is shown from that microversion on, with its value."""

    class Growing(ArtifactType):
        name = "growing"
        later = Integer(since=Microversion(1, 2))

    spec, artifact = compile_type(Growing), make_artifact(values={"later": 5})
    assert "later" not in represent(spec, artifact, microversion=Microversion(1, 1), full_urls=True)
    assert represent(spec, artifact, microversion=Microversion(1, 2), full_urls=True)["later"] == 5
