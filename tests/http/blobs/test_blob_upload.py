"""Uploads: what is stored, under which names, and who may."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from sqlalchemy import insert, select

from glare.db.keys import slot_id
from glare.db.tables import blobs
from glare.digest import BLOCK
from support.origins.origin import Origin
from support.service import LOCATION, Glare, Json, path_of, running

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("uploads"), ports=(origin.port,)) as service:
        yield service
        assert service.leftovers() == {}


def sample(api: Glare) -> Json:
    """A drafted artifact of Alice's with blobs and a folder, ready to be activated."""
    return api.alice.create("sample_artifact", name=f"sample {next(NUMBERS)}", string_required="x")


def pieces(data: bytes, size: int = 3) -> Iterator[bytes]:
    """The data as a stream of unknown length."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


def measured(data: bytes) -> Json:
    """What a blob object says about `data`."""
    return {
        "size": len(data),
        "md5": hashlib.md5(data).hexdigest(),
        "sha1": hashlib.sha1(data).hexdigest(),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


CONTENTS = {
    "nothing": b"",
    "a byte": b"x",
    "text": b"hello world",
    "one block": bytes(BLOCK),
    "a block and a byte": bytes(BLOCK) + b"!",
    "three blocks and some": b"0123456789abcdef" * (3 * BLOCK // 16) + b"tail!",
}


@pytest.mark.parametrize("chunked", [False, True], ids=["known length", "chunked"])
@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS.keys())
def test_data_is_stored_whole_and_measured(api: Glare, data: bytes, chunked: bool) -> None:
    """Whatever its length, and whether or not it was announced: the blob is the bytes, with their size and digests."""
    artifact = sample(api)
    after = api.alice.upload(artifact, "blob", pieces(data, 100_000) if chunked else data)
    assert after["blob"] == measured(data) | {
        "url": f"{path_of(artifact)}/blob",
        "status": "active",
        "external": False,
        "content_type": "application/octet-stream",
    }
    assert api.alice.show(artifact)["blob"] == after["blob"]
    assert api.alice.download(artifact, "blob").content == data


KEYS = [
    "key",
    "a/b/c.txt",
    "with space",
    "dots..and.more",
    "'single' \"double\"",
    "[0]",
    "a[b",
    "naïve/Grüße/日本",
    "100%",
    "a?b#c",
    "a+b&c=d",
    "x" * 1000,
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key if len(key) < 50 else f"{len(key)} characters")
def test_a_key_of_a_folder_is_everything_after_the_first_slash(api: Glare, key: str) -> None:
    """Keys may hold slashes, spaces, quotes, brackets and any script; they and their URLs come back unescaped."""
    artifact = sample(api)
    path = f"dict_of_blobs/{quote(key)}"
    after = api.alice.upload(artifact, path, b"content")
    assert list(after["dict_of_blobs"]) == [key]
    assert after["dict_of_blobs"][key]["url"] == f"{path_of(artifact)}/dict_of_blobs/{key}"
    assert api.alice.download(artifact, path).content == b"content"
    page = api.alice.page("sample_artifact", f"name=eq:{artifact['name']}")
    assert list(page["artifacts"][0]["dict_of_blobs"]) == [key]


WRONG_PATHS = {
    "a key on a single blob": "blob/key",
    "a slash on a single blob": "blob/",
    "a folder without a key": "dict_of_blobs",
    "a folder with an empty key": "dict_of_blobs/",
    "a field that is no blob": "str1",
    "a base field": "name",
    "a list": "tags",
    "no such field": "nothing",
    "a key that is too long": "dict_of_blobs/" + "x" * 1001,
    "a key with a character of four bytes": "dict_of_blobs/😀",
}


@pytest.mark.parametrize("path", WRONG_PATHS.values(), ids=WRONG_PATHS.keys())
@pytest.mark.parametrize("kind", ["upload", "location"])
def test_a_path_that_names_no_blob_is_refused(api: Glare, origin: Origin, path: str, kind: str) -> None:
    """A path that names no blob is 400, whether data comes or a location, and the artifact stays as it was."""
    artifact, asked = sample(api), len(origin.seen)
    origin.put("/file", b"data")
    if kind == "upload":
        response = api.alice.try_upload(artifact, path, b"data")
    else:
        response = api.alice.try_locate(artifact, path, origin.url("/file"))
    assert response.status_code == 400
    assert api.alice.show(artifact) == artifact
    assert len(origin.seen) == asked


def test_a_folder_holds_255_blobs_and_refuses_the_next(api: Glare, origin: Origin) -> None:
    """The 256th key is 400 and leaves nothing, for data and for locations; replacing one of the 255 still works."""
    artifact = sample(api)
    origin.put("/member", b"")
    api.alice.locate(artifact, "dict_of_blobs/0", origin.url("/member"))
    multiply(api, artifact, 254)
    api.alice.upload(artifact, "dict_of_blobs/last", b"")
    before = api.alice.show(artifact)["dict_of_blobs"]
    assert len(before) == 255
    assert api.alice.try_upload(artifact, "dict_of_blobs/more", b"").status_code == 400
    assert api.alice.try_locate(artifact, "dict_of_blobs/more", origin.url("/member")).status_code == 400
    assert api.alice.show(artifact)["dict_of_blobs"] == before
    assert api.alice.upload(artifact, "dict_of_blobs/7", b"new")["dict_of_blobs"]["7"]["size"] == 3
    (listed,) = api.alice.page("sample_artifact", f"name=eq:{artifact['name']}")["artifacts"]
    assert len(listed["dict_of_blobs"]) == 255


def multiply(glare: Glare, artifact: Json, count: int) -> None:
    """Make of the one external member of the folder `count` ones, keyed by their numbers. (By hand it takes
    seconds.)
    """
    with glare.services.db.write() as connection:
        one = connection.execute(select(blobs).where(blobs.c.artifact_id == artifact["id"])).mappings().one()
        copies = [
            {
                **one,
                "item_key": str(n),
                "slot_id": slot_id(artifact["id"], "dict_of_blobs", str(n)),
                "location_id": f"{n:032x}",
            }
            for n in range(1, count)
        ]
        connection.execute(insert(blobs), copies)


CONTENT_TYPES = {
    "text/plain": "text/plain",
    "text/plain; charset=utf-8": "text/plain",
    "Application/X-Odd": "Application/X-Odd",
    "image/png;a=b;c=d": "image/png",
    "nonsense": "nonsense",
    "x/" + "y" * 253: "x/" + "y" * 253,
}


@pytest.mark.parametrize(("sent", "stored"), CONTENT_TYPES.items(), ids=lambda text: text[:30])
def test_a_content_type_is_kept_without_its_parameters(api: Glare, sent: str, stored: str) -> None:
    """The content type of an upload is that of the blob: case kept, parameters dropped."""
    artifact = sample(api)
    after = api.alice.upload(artifact, "blob", b"data", headers={"Content-Type": sent})
    assert after["blob"]["content_type"] == stored
    assert api.alice.download(artifact, "blob").headers["content-type"] == stored


@pytest.mark.parametrize("sent", [None, "", "  ", "; charset=utf-8", "x" * 256], ids=lambda text: repr(text)[:20])
def test_a_content_type_is_required_and_bounded(api: Glare, sent: str | None) -> None:
    """Data without a content type, or with one of more than 255 characters, is 400 and nothing is stored."""
    artifact = sample(api)
    headers = {} if sent is None else {"Content-Type": sent}
    response = api.alice.request("PUT", f"{path_of(artifact)}/blob", content=b"data", headers=headers)
    assert response.status_code == 400
    assert "Content-Type" in response.json()["error"]["message"]
    assert api.alice.show(artifact) == artifact


@pytest.mark.parametrize("length", ["-1", "abc", "1.5", "+4", " ", "0x4", "9" * 30])
def test_a_content_length_that_is_no_number_is_refused(api: Glare, length: str) -> None:
    """Content-Length must be a number of bytes."""
    artifact = sample(api)
    response = api.alice.try_upload(artifact, "blob", b"data", headers={"Content-Length": length})
    assert response.status_code == 400
    assert api.alice.show(artifact) == artifact


@pytest.mark.parametrize("length", [3, 5])
def test_a_body_of_another_length_than_announced_is_not_stored(api: Glare, length: int) -> None:
    """A body shorter or longer than its Content-Length is no upload."""
    artifact = sample(api)
    response = api.alice.try_upload(artifact, "blob", b"data", headers={"Content-Length": str(length)})
    assert response.status_code == 400
    assert api.alice.show(artifact)["blob"] is None


def test_each_upload_is_an_event_and_a_change(glare: Glare) -> None:
    """An upload changes the artifact's ETag, and records one event `upload` whose payload tells nothing of the data."""
    artifact = sample(glare)
    before = glare.alice.get(artifact).headers["etag"]
    glare.alice.upload(artifact, "blob", b"data")
    assert glare.alice.get(artifact).headers["etag"] != before
    assert glare.events() == ["create", "upload"]


def test_an_upload_may_name_the_revision_that_it_expects(api: Glare) -> None:
    """If-Match with the artifact's ETag stores, with an older one it is 412 and nothing is stored."""
    artifact = sample(api)
    tag = api.alice.get(artifact).headers["etag"]
    api.alice.upload(artifact, "blob", b"one", headers={"If-Match": tag})
    assert api.alice.try_upload(artifact, "blob", b"two", headers={"If-Match": tag}).status_code == 412
    assert api.alice.download(artifact, "blob").content == b"one"


def test_other_projects_do_not_upload(api: Glare) -> None:
    """Into somebody else's private artifact it is 404, into a public one 403; nobody anonymous, and nothing is read."""
    artifact = sample(api)
    assert api.bob.try_upload(artifact, "blob", b"data").status_code == 404
    assert api.stranger.try_upload(artifact, "blob", b"data").status_code == 401
    assert api.anonymous.try_upload(artifact, "blob", b"data").status_code == 404
    api.alice.activate(artifact)
    api.admin.publish(artifact)
    assert api.bob.try_upload(artifact, "blob", b"data").status_code == 403
    assert api.anonymous.try_upload(artifact, "blob", b"data").status_code == 403
    assert api.alice.upload(artifact, "blob", b"data")["blob"]["size"] == 4, "a public one's owner uploads still"


def test_only_mutable_blobs_change_after_activation(api: Glare) -> None:
    """Of an active artifact mutable blobs may be uploaded and replaced, immutable ones not: neither new nor again."""
    artifact = sample(api)
    api.alice.upload(artifact, "dict_of_blobs/old", b"old")
    api.alice.activate(artifact)
    assert api.alice.upload(artifact, "blob", b"one")["blob"]["size"] == 3
    assert api.alice.upload(artifact, "blob", b"three")["blob"]["size"] == 5
    for key in ("old", "new"):
        assert api.alice.try_upload(artifact, f"dict_of_blobs/{key}", b"new").status_code == 403
        assert api.admin.try_upload(artifact, f"dict_of_blobs/{key}", b"new").status_code == 403
    assert api.alice.download(artifact, "dict_of_blobs/old").content == b"old"


def test_nothing_is_uploaded_into_a_deactivated_artifact(api: Glare) -> None:
    """A deactivated artifact takes no data, not even into mutable blobs, not even from an admin."""
    artifact = sample(api)
    api.alice.activate(artifact)
    api.admin.set(artifact, status="deactivated")
    for actor in (api.alice, api.admin):
        assert actor.try_upload(artifact, "blob", b"data").status_code == 403


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/artifacts/nothing/{id}/blob", {"Content-Type": ""}, 400),
        ("/artifacts/nothing/{id}/blob", {}, 404),
        ("/artifacts/images/{id}/image", {}, 404),
        ("/artifacts/sample_artifact/no-such-id/str1", {}, 404),
        ("/artifacts/sample_artifact/%C3%A9%20/blob", {}, 404),
        ("/artifacts/sample_artifact/{id}/str1", {}, 400),
        ("/artifacts/all/{id}/blob", {}, 400),
    ],
)
def test_checks_come_in_the_order_of_the_contract(api: Glare, path: str, headers: dict[str, str], status: int) -> None:
    """Headers are judged before the type is looked up, type and artifact before the field."""
    artifact = sample(api)
    sent = {"Content-Type": "text/plain", **headers}
    target = path.format(id=artifact["id"])
    assert api.alice.request("PUT", target, content=b"data", headers=sent).status_code == status


def test_a_type_that_refuses_data_leaves_nothing(glare: Glare) -> None:
    """What the type's hook raises is the answer: the base error is 500. No blob, no bytes, no quota."""
    artifact = sample(glare)
    response = glare.alice.try_upload(artifact, "blob", b"invalid_data")
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "GlareException"
    assert glare.alice.show(artifact)["blob"] is None
    assert glare.objects() == []
    assert glare.usage("wonderland") == (1, 0)


def test_a_new_upload_replaces_the_blob_its_type_and_its_object(glare: Glare) -> None:
    """Uploading again is 200: new bytes, new content type, and the old bytes are gone from the store."""
    artifact = sample(glare)
    glare.alice.upload(artifact, "blob", b"first", headers={"Content-Type": "text/plain"})
    (first,) = glare.objects()
    after = glare.alice.upload(artifact, "blob", b"second one", headers={"Content-Type": "image/png"})
    assert after["blob"]["content_type"] == "image/png"
    assert after["blob"]["size"] == 10
    (second,) = glare.objects()
    assert second != first
    assert glare.alice.download(artifact, "blob").content == b"second one"
    assert glare.usage("wonderland") == (1, 10)


FAILURES = {
    "the type refuses": ("blob", b"invalid_data", {}, 500),
    "too large": ("small_blob", b"x" * 11, {}, 413),
    "cut short": ("blob", b"data", {"Content-Length": "7"}, 400),
}


@pytest.mark.parametrize(("field", "data", "headers", "status"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failed_replacement_leaves_the_old_blob(
    glare: Glare, field: str, data: bytes, headers: dict[str, str], status: int
) -> None:
    """When the new upload fails, the old blob is what it was: shown, readable, and charged for."""
    artifact = sample(glare)
    before = glare.alice.upload(artifact, field, b"old", headers={"Content-Type": "text/plain"})
    assert glare.alice.try_upload(artifact, field, data, headers=headers).status_code == status
    assert glare.alice.show(artifact)[field] == before[field]
    assert glare.alice.download(artifact, field).content == b"old"
    assert glare.usage("wonderland") == (1, 3)


def test_an_upload_over_an_external_location_makes_it_managed(glare: Glare, origin: Origin) -> None:
    """Data replaces an external location: no URL of the origin any more, and it is never asked again (quirk 23)."""
    origin.put("/file", b"there")
    artifact = sample(glare)
    glare.alice.locate(artifact, "blob", origin.url("/file"))
    asked = len(origin.seen)
    after = glare.alice.upload(artifact, "blob", b"here!!")
    assert after["blob"]["external"] is False
    assert after["blob"]["url"] == f"{path_of(artifact)}/blob"
    assert glare.alice.download(artifact, "blob").content == b"here!!"
    assert glare.usage("wonderland") == (1, 6)
    assert len(origin.seen) == asked


def test_a_failed_upload_over_an_external_location_leaves_the_location(glare: Glare, origin: Origin) -> None:
    """When data was to replace a location and failed, the location is as it was."""
    origin.put("/file", b"there")
    artifact = sample(glare)
    before = glare.alice.locate(artifact, "blob", origin.url("/file"))
    assert glare.alice.try_upload(artifact, "blob", b"invalid_data").status_code == 500
    assert glare.alice.show(artifact)["blob"] == before["blob"]
    assert glare.alice.download(artifact, "blob").content == b"there"


def test_the_location_media_type_is_known_in_any_case_and_with_parameters(api: Glare, origin: Origin) -> None:
    """`Application/VND+…; charset=utf-8` is a location, not data."""
    origin.put("/file", b"there")
    artifact = sample(api)
    response = api.alice.request(
        "PUT",
        f"{path_of(artifact)}/blob",
        json={"url": origin.url("/file")},
        headers={"Content-Type": f"{LOCATION.title()}; charset=utf-8"},
    )
    assert response.status_code == 200
    assert response.json()["blob"]["external"] is True


def test_deleting_an_artifact_removes_its_bytes(glare: Glare) -> None:
    """With the artifact its objects go from the store, and their bytes from the quota."""
    artifact = sample(glare)
    glare.alice.upload(artifact, "blob", b"data")
    glare.alice.upload(artifact, "dict_of_blobs/a", b"more")
    assert glare.usage("wonderland") == (1, 8)
    assert glare.alice.delete(artifact).status_code == 204
    assert glare.objects() == []
    assert glare.usage("wonderland") == (0, 0)


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the reserve of free space would be touched, an upload is 507 and nothing stays."""
    with running(tmp_path_factory.mktemp("full"), "[store]\nfree_space_reserve = 1000 TiB\n") as glare:
        artifact = sample(glare)
        for data in (b"known", pieces(b"chunked")):
            response = glare.alice.try_upload(artifact, "blob", data)
            assert response.status_code == 507
        assert glare.alice.show(artifact)["blob"] is None
        assert glare.leftovers() == {}
