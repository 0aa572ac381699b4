"""Every public method of the library, over both of its transports."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from support.origins.crooked import Crooked
from support.origins.origin import Origin
from support.programs.client import Driver, Library

DATA = bytes(range(256)) * 300
IMAGE = {"type_name": "images", "container_format": "bare", "disk_format": "raw"}


def test_every_method_of_the_library_is_called(driver: Driver, request: pytest.FixtureRequest) -> None:
    """Whatever the installed library offers is called by a test of this file."""
    assert isinstance(request.module, ModuleType)
    driven = {
        method
        for _, function in inspect.getmembers(request.module, inspect.isfunction)
        for mark in getattr(function, "pytestmark", ())
        if mark.name == "drives"
        for method in mark.args
    }
    assert len(driver.offered["library"]) >= 18
    assert set(driver.offered["library"]) == driven


@pytest.mark.drives("artifacts.get_type_list", "artifacts.get_type_schema", "versions.list")
def test_what_the_service_offers_is_told(library: Library) -> None:
    """Types come with their versions and schemas; the versions, answered with 300, are an error for the client."""
    alice = library.alice
    assert ["images", "1.0"] in alice("artifacts.get_type_list")
    schema = alice("artifacts.get_type_schema", "images")
    assert (schema["name"], schema["properties"]["image"]["glareType"]) == ("images", "Blob")
    alice.refused(404, "no_such_type", "artifacts.get_type_schema", "no_such_type")
    alice.refused(300, "version", "versions.list")


@pytest.mark.drives(
    "artifacts.create", "artifacts.get", "artifacts.get_by_name", "artifacts.update", "artifacts.delete"
)
def test_an_artifact_is_made_found_changed_and_deleted(library: Library, name: str) -> None:
    """An artifact has the values and types that were given, for its owner and administrators, until it is deleted."""
    alice, bob, admin = library.alice, library.bob, library.admin
    fields = {**IMAGE, "min_ram": 64, "tags": ["ä"], "metadata": {"k": "v", "l": "w"}, "description": "☃"}
    made = alice("artifacts.create", name, "1.0.0", **fields)
    assert {key: made[key] for key in fields if key != "type_name"} == {
        key: value for key, value in fields.items() if key != "type_name"
    }
    assert (made["owner"], made["status"]) == ("wonderland", "drafted")
    assert alice("artifacts.get", made["id"], type_name="images") == made
    assert admin("artifacts.get", made["id"], type_name="images") == made
    bob.refused(404, made["id"], "artifacts.get", made["id"], type_name="images")
    newer = alice("artifacts.create", name, "2.0.0", type_name="images")
    assert alice("artifacts.get_by_name", name, type_name="images") == newer
    assert alice("artifacts.get_by_name", name, "1.0.0", type_name="images") == made
    alice.refused(409, name, "artifacts.create", name, "2.0.0", type_name="images")
    removed = ["metadata/k", "description"]
    changed = alice("artifacts.update", made["id"], "images", remove_props=removed, min_ram=128, tags=[])
    assert (changed["min_ram"], changed["tags"], changed["metadata"]) == (128, [], {"l": "w"})
    assert changed["description"] is None
    alice.refused(400, "min_ram", "artifacts.update", made["id"], "images", min_ram=-1)
    bob.refused(404, made["id"], "artifacts.update", made["id"], "images", min_ram=1)
    bob.refused(404, made["id"], "artifacts.delete", made["id"], "images")
    assert alice("artifacts.delete", made["id"], "images") is None
    alice.refused(404, made["id"], "artifacts.get", made["id"], type_name="images")
    library.caller("nonsense").refused(401, "X-Auth-Token", "artifacts.get", newer["id"], type_name="images")


@pytest.mark.drives("artifacts.list")
def test_lists_come_in_pages(library: Library, name: str) -> None:
    """Pages follow one another without loss or repetition, up to the limit, from the marker, in the order that was
    asked for.
    """
    versions = ["1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0"]
    ids = {
        version: library.alice("artifacts.create", name, version, type_name="images", min_ram=number)["id"]
        for number, version in enumerate(versions)
    }

    def listed(**options: object) -> list[str]:
        words = {"type_name": "images", "sort": "version:asc", "filters": [["name", name]], **options}
        return [artifact["version"] for artifact in library.alice("artifacts.list", **words)]

    assert [listed(page_size=size) for size in (1, 2, 5, 20)] == [versions] * 4
    assert [listed(page_size=size, limit=3) for size in (1, 2, 3, 20)] == [versions[:3]] * 4
    assert listed(sort="version:desc", page_size=2) == versions[::-1]
    assert listed(marker=ids["2.0.0"], page_size=2) == versions[2:]
    assert listed(filters=[["name", name], ["min_ram", ["gte:1", "lt:3"]]]) == versions[1:3]
    assert listed(type_name="all") == versions
    assert library.bob("artifacts.list", "images", filters=[["name", name]]) == []
    library.alice.refused(400, "no_such_field", "artifacts.list", "images", filters=[["no_such_field", "1"]])


@pytest.mark.drives("artifacts.activate", "artifacts.deactivate", "artifacts.reactivate", "artifacts.publish")
def test_an_artifact_goes_through_its_states(library: Library, name: str) -> None:
    """Each change of state is made by who may make it, in the order of the life cycle, and refused otherwise."""
    alice, admin = library.alice, library.admin
    template = alice("artifacts.create", name, type_name="heat_templates")["id"]
    alice.refused(403, "template", "artifacts.activate", template, "heat_templates")
    alice("artifacts.upload_blob", template, "template", b"{}", "heat_templates")
    admin.refused(403, "activate the artifact first", "artifacts.publish", template, "heat_templates")
    assert alice("artifacts.activate", template, "heat_templates")["status"] == "active"
    for change in ("deactivate", "publish"):
        alice.refused(403, f"artifact:{change}", f"artifacts.{change}", template, "heat_templates")
    assert admin("artifacts.deactivate", template, "heat_templates")["status"] == "deactivated"
    alice.refused(403, "artifact:download", "artifacts.download_blob", template, "template", "heat_templates")
    assert admin("artifacts.reactivate", template, "heat_templates")["status"] == "active"
    assert admin("artifacts.publish", template, "heat_templates")["visibility"] == "public"
    assert library.bob("artifacts.download_blob", template, "template", "heat_templates") == b"{}"
    library.bob.refused(403, "another project", "artifacts.update", template, "heat_templates", description="mine")


@pytest.mark.drives("artifacts.upload_blob", "artifacts.download_blob")
def test_blobs_go_up_and_come_back(library: Library, tmp_path: Path, name: str) -> None:
    """A file, bytes, and chunks of unknown number are stored as they are, with their type and digests, and come back
    the same.
    """
    alice = library.alice
    template = alice("artifacts.create", name, type_name="heat_templates")["id"]
    file = tmp_path / "data"
    file.write_bytes(DATA)
    sources: dict[str, object] = {"file": file, "bytes": DATA, "chunks": iter([DATA[:1000], DATA[1000:]])}
    for key, source in sources.items():
        words = (template, f"nested_templates/{key}", source, "heat_templates")
        assert alice("artifacts.upload_blob", *words, content_type="text/x-data") is None
        blob = alice("artifacts.get", template, "heat_templates")["nested_templates"][key]
        assert (blob["size"], blob["content_type"], blob["status"]) == (len(DATA), "text/x-data", "active")
        assert [blob[kind] for kind in ("md5", "sha1", "sha256")] == [
            hashlib.new(kind, DATA).hexdigest() for kind in ("md5", "sha1", "sha256")
        ]
        assert alice("artifacts.download_blob", template, f"nested_templates/{key}", "heat_templates") == DATA
    place = (template, "nested_templates/file", "heat_templates")
    assert library.admin("artifacts.download_blob", *place, do_checksum=False) == DATA
    library.bob.refused(404, template, "artifacts.download_blob", *place)
    library.bob.refused(404, template, "artifacts.upload_blob", template, "template", b"x", "heat_templates")
    alice.refused(404, "template", "artifacts.download_blob", template, "template", "heat_templates")
    alice.refused(400, "folder", "artifacts.upload_blob", template, "nested_templates", b"x", "heat_templates")


@pytest.mark.drives("artifacts.add_external_location", "artifacts.remove_external_location")
def test_a_location_is_added_and_removed(library: Library, name: str, external: Origin) -> None:
    """A location is measured and can be downloaded; a false claim is refused; only who may change the artifact removes
    it.
    """
    alice, image = library.alice, library.alice("artifacts.create", name, type_name="images")["id"]
    external.put(f"/library/{name}", DATA)
    url, md5 = external.url(f"/library/{name}"), hashlib.md5(DATA).hexdigest()
    words = (image, "image", {"url": url, "md5": "0" * 32}, "images")
    alice.refused(400, "md5", "artifacts.add_external_location", *words)
    words = (image, "image", {"url": url, "md5": md5}, "images")
    library.bob.refused(404, image, "artifacts.add_external_location", *words)
    assert alice("artifacts.add_external_location", *words) is None
    blob = alice("artifacts.get", image, "images")["image"]
    assert (blob["external"], blob["size"], blob["md5"], blob["url"]) == (True, len(DATA), md5, url)
    assert alice("artifacts.download_blob", image, "image", "images") == DATA
    library.bob.refused(404, image, "artifacts.remove_external_location", image, "image", "images")
    assert alice("artifacts.remove_external_location", image, "image", "images") is None
    assert alice("artifacts.get", image, "images")["image"] is None


@pytest.mark.drives("artifacts.add_tag", "artifacts.remove_tag")
def test_tags_are_added_and_removed(library: Library, name: str) -> None:
    """Adding what is there and removing what is not change nothing."""
    alice, image = library.alice, library.alice("artifacts.create", name, type_name="images")["id"]
    for _ in range(2):
        assert alice("artifacts.add_tag", image, "x", "images")["tags"] == ["x"]
    for _ in range(2):
        assert alice("artifacts.remove_tag", image, "x", "images")["tags"] == []
    library.bob.refused(404, image, "artifacts.add_tag", image, "x", "images")
    library.bob.refused(404, image, "artifacts.remove_tag", image, "x", "images")


@pytest.fixture
def broken() -> Iterator[Crooked]:
    """A server that answers 500 to everything."""
    with Crooked(lambda visit: visit.head(500, Content_Length=0)) as server:
        yield server


def test_a_server_error_is_told_as_one(driver: Driver, library: Library, broken: Crooked) -> None:
    """An answer 500 becomes the client's exception of that name, on Python 3 too."""
    Library(library.transport, driver, broken.url.rstrip("/")).alice.refused(
        500, "Server Error", "artifacts.get", "any", "images"
    )
