"""Downloads: headers, ranges, conditions, and who may."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from glare.digest import BLOCK
from support.conversation import Conversation
from support.origins.origin import Origin
from support.service import Glare, Json, path_of, running

pytestmark = pytest.mark.sqlite  # What is sent is the same on each database.

DATA = bytes(range(256)) * 4
SHA256 = hashlib.sha256(DATA).hexdigest()
TAG = f'"{SHA256}"'
DIGEST = f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:"

HEADERS = {
    "content-type": "image/png",
    "content-length": str(len(DATA)),
    "content-md5": hashlib.md5(DATA).hexdigest(),
    "x-openstack-glare-content-sha1": hashlib.sha1(DATA).hexdigest(),
    "x-openstack-glare-content-sha256": SHA256,
    "etag": TAG,
    "accept-ranges": "bytes",
    "repr-digest": DIGEST,
    "content-digest": DIGEST,
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox",
    "openstack-api-version": "artifact 1.0",
}


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Glare]:
    with running(tmp_path_factory.mktemp("downloads"), ports=(origin.port,)) as service:
        yield service
        assert service.leftovers() == {}


@pytest.fixture(scope="module", params=["managed", "external"])
def image(request: pytest.FixtureRequest, api: Glare, origin: Origin) -> Json:
    """An image whose data Glare stores, and one whose data it knows the location of: readers see no difference."""
    artifact = api.alice.create("images", name=request.param)
    if request.param == "managed":
        return api.alice.upload(artifact, "image", DATA, headers={"Content-Type": "image/png"})
    origin.put("/image", DATA, content_type="image/png")
    return api.alice.locate(artifact, "image", origin.url("/image"))


def test_a_download_is_the_bytes_with_all_their_headers(api: Glare, image: Json) -> None:
    """200 with the bytes, their type and length, digests old and new, and what keeps browsers from running them."""
    response = api.alice.download(image, "image")
    assert response.status_code == 200
    assert response.content == DATA
    assert response.headers["content-disposition"] == f'attachment; filename="{image["name"]}-0.0.0-image"'
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert "openstack-api-version" in response.headers["vary"]
    assert response.headers["x-openstack-request-id"].startswith("req-")


def test_a_query_string_is_ignored(api: Glare, image: Json) -> None:
    """Parameters of a download mean nothing yet."""
    response = api.alice.request("GET", f"{path_of(image)}/image?alt=media&redirect=true")
    assert (response.status_code, response.content) == (200, DATA)


def test_head_tells_all_headers_and_no_byte(api: Glare, origin: Origin, image: Json) -> None:
    """HEAD is GET without the body, and asks no origin."""
    asked = len(origin.seen)
    response = api.alice.request("HEAD", f"{path_of(image)}/image")
    assert response.status_code == 200
    assert response.content == b""
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert len(origin.seen) == asked


LAST = len(DATA) - 1
RANGES = {
    "bytes=0-0": (0, 0),
    "bytes=0-9": (0, 9),
    "bytes=10-": (10, LAST),
    "bytes=1023-": (LAST, LAST),
    "bytes=1000-9999999": (1000, LAST),
    "bytes=-1": (LAST, LAST),
    "bytes=-100": (LAST - 99, LAST),
    "bytes=-999999": (0, LAST),
    "BYTES=5-6": (5, 6),
    "bytes= 5-6": (5, 6),
}


@pytest.mark.parametrize(("asked", "span"), RANGES.items())
def test_a_range_is_served(api: Glare, image: Json, asked: str, span: tuple[int, int]) -> None:
    """One range is 206 with exactly its bytes, and says which they are; the digest is that of the whole."""
    first, last = span
    response = api.alice.request("GET", f"{path_of(image)}/image", headers={"Range": asked})
    assert response.status_code == 206
    assert response.content == DATA[first : last + 1]
    assert response.headers["content-range"] == f"bytes {first}-{last}/{len(DATA)}"
    assert response.headers["content-length"] == str(last - first + 1)
    assert response.headers["repr-digest"] == DIGEST
    assert response.headers["etag"] == TAG
    assert "content-digest" not in response.headers


def test_a_range_is_nothing_to_head(api: Glare, image: Json) -> None:
    """HEAD answers what a GET without a range would, whatever range it asks for."""
    for asked in ("bytes=0-0", f"bytes={len(DATA)}-"):
        response = api.alice.request("HEAD", f"{path_of(image)}/image", headers={"Range": asked})
        assert response.status_code == 200
        assert response.headers["content-length"] == str(len(DATA))
        assert "content-range" not in response.headers


WHOLE = ["bytes=0-1,5-6", "bytes=5-4", "bytes", "bytes=", "bytes=a-b", "lines=1-2", "bytes=-", "bytes=1-2-3", ""]


@pytest.mark.parametrize("asked", WHOLE)
def test_a_range_that_is_not_understood_is_ignored(api: Glare, image: Json, asked: str) -> None:
    """Several ranges, other units and nonsense are answered with the whole."""
    response = api.alice.download(image, "image", Range=asked)
    assert (response.status_code, response.content) == (200, DATA)


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=1024-1030", "bytes=99999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(api: Glare, image: Json, asked: str) -> None:
    """A range without a byte is 416, and the answer tells the size."""
    response = api.alice.download(image, "image", Range=asked)
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(DATA)}"
    assert response.json()["code"] == 416


IF_RANGE = {
    TAG: 206,
    f" {TAG} ": 206,
    f"W/{TAG}": 200,
    '"other"': 200,
    "Wed, 21 Oct 2015 07:28:00 GMT": 200,
    "": 200,
}


@pytest.mark.parametrize(("condition", "status"), IF_RANGE.items())
def test_a_range_may_depend_on_the_content(api: Glare, image: Json, condition: str, status: int) -> None:
    """If-Range with the strong ETag serves the range, with anything else the whole."""
    response = api.alice.download(image, "image", Range="bytes=1-2", If_Range=condition)
    assert response.status_code == status
    assert response.content == (DATA[1:3] if status == 206 else DATA)


CONDITIONS = [
    ({"If-None-Match": TAG}, 304),
    ({"If-None-Match": f"W/{TAG}"}, 304),
    ({"If-None-Match": f'"other", {TAG}'}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"other"'}, 200),
    ({"If-Match": TAG}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": f'"other", {TAG}'}, 200),
    ({"If-Match": f"W/{TAG}"}, 412),
    ({"If-Match": '"other"'}, 412),
    ({"If-Match": SHA256}, 412),
    ({"If-Match": '"other"', "If-None-Match": TAG}, 412),
    ({"If-None-Match": TAG, "Range": "bytes=0-1"}, 304),
    ({"If-None-Match": TAG, "Range": "bytes=9999-"}, 304),
    ({"If-Match": '"other"', "Range": "bytes=0-1"}, 412),
]


@pytest.mark.parametrize(("headers", "status"), CONDITIONS, ids=lambda value: str(value).replace(SHA256, "tag"))
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_are_decided_from_the_record(
    api: Glare, origin: Origin, image: Json, method: str, headers: dict[str, str], status: int
) -> None:
    """304 and 412 are answered before a byte is read anywhere; 304 carries the ETag."""
    asked = len(origin.seen)
    response = api.alice.request(method, f"{path_of(image)}/image", headers=headers)
    assert response.status_code == status
    if status != 200:
        assert len(origin.seen) == asked
    if status == 304:
        assert response.content == b""
        assert response.headers["etag"] == TAG


@pytest.mark.parametrize("kind", ["managed", "external"])
def test_an_empty_blob_is_downloaded(api: Glare, origin: Origin, kind: str) -> None:
    """Nothing is a content like any other: 200 with length 0, a range of it is 416."""
    artifact = api.alice.create("images", name=f"empty {kind}")
    if kind == "managed":
        api.alice.upload(artifact, "image", b"")
    else:
        origin.put("/empty", b"")
        api.alice.locate(artifact, "image", origin.url("/empty"))
    response = api.alice.download(artifact, "image")
    assert (response.status_code, response.content, response.headers["content-length"]) == (200, b"", "0")
    assert api.alice.download(artifact, "image", Range="bytes=0-").status_code == 416
    assert api.alice.download(artifact, "image", Range="bytes=-1").status_code == 416
    assert api.alice.request("HEAD", f"{path_of(artifact)}/image").headers["content-length"] == "0"


BIG = b"".join(bytes([n]) * BLOCK for n in range(3)) + b"tail!"
EDGES = sorted({at for edge in (0, BLOCK, 2 * BLOCK, 3 * BLOCK) for at in (edge - 1, edge, edge + 1) if at >= 0})


@pytest.mark.parametrize("kind", ["managed", "external"])
def test_ranges_are_right_at_every_boundary_of_blocks(api: Glare, origin: Origin, kind: str) -> None:
    """Ranges that begin and end around the edges of checked blocks hold exactly the bytes of the content."""
    artifact = api.alice.create("images", name=f"big {kind}")
    if kind == "managed":
        api.alice.upload(artifact, "image", BIG)
    else:
        origin.put("/big", BIG)
        api.alice.locate(artifact, "image", origin.url("/big"))
    assert api.alice.download(artifact, "image").content == BIG
    for first in EDGES:
        for last in (*(edge for edge in EDGES if edge >= first), len(BIG) - 1):
            response = api.alice.download(artifact, "image", Range=f"bytes={first}-{last}")
            assert response.status_code == 206
            assert response.content == BIG[first : last + 1], (first, last)


def test_only_the_blocks_of_a_range_are_fetched(api: Glare, origin: Origin) -> None:
    """For a range the origin is asked for the whole blocks around it, and for no more."""
    origin.put("/ranged", BIG)
    artifact = api.alice.create("images", name="ranged")
    api.alice.locate(artifact, "image", origin.url("/ranged"))
    assert api.alice.download(artifact, "image", Range=f"bytes={BLOCK + 5}-{BLOCK + 6}").content == b"\x01\x01"
    assert origin.seen[-1].headers["range"] == f"bytes={BLOCK}-{2 * BLOCK - 1}"


def test_who_may_download(api: Glare) -> None:
    """A private blob is 404 for other projects; a public one is for everybody who may show it (quirk 27)."""
    artifact = api.alice.create("sample_artifact", name="who", string_required="x")
    api.alice.upload(artifact, "blob", b"data")
    assert api.bob.download(artifact, "blob").status_code == 404
    assert api.anonymous.download(artifact, "blob").status_code == 404
    assert api.stranger.download(artifact, "blob").status_code == 401
    assert api.admin.download(artifact, "blob").content == b"data"
    api.alice.activate(artifact)
    api.admin.publish(artifact)
    for actor in (api.alice, api.bob, api.anonymous, api.admin):
        response = actor.download(artifact, "blob")
        assert (response.status_code, response.content) == (200, b"data")
    assert api.stranger.download(artifact, "blob").status_code == 401


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
def test_only_admins_download_from_a_deactivated_artifact(api: Glare, public: bool) -> None:
    """The blobs of a deactivated artifact are 403 even for its owner, who may still show it."""
    artifact = api.alice.create("sample_artifact", name=f"deactivated {public}", string_required="x")
    api.alice.upload(artifact, "blob", b"data")
    api.alice.activate(artifact)
    if public:
        api.admin.publish(artifact)
    assert api.admin.set(artifact, status="deactivated").status_code == 200
    assert api.alice.get(artifact).status_code == 200
    assert api.alice.download(artifact, "blob").status_code == 403
    assert api.bob.download(artifact, "blob").status_code == (403 if public else 404)
    assert api.admin.download(artifact, "blob").content == b"data"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("blob", 404),
        ("dict_of_blobs/none", 404),
        ("str1", 400),
        ("name", 400),
        ("no_such_field", 400),
        ("dict_of_blobs", 400),
        ("small_blob/key", 400),
        ("", 400),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_has_no_data_is_not_downloaded(api: Glare, method: str, path: str, status: int) -> None:
    """A blob without data is 404; a path that names no blob is 400."""
    artifact = api.alice.create("sample_artifact", name=f"no data {method} {path}")
    assert api.alice.request(method, f"{path_of(artifact)}/{path}").status_code == status


def test_a_download_takes_no_body(api: Glare, image: Json) -> None:
    """A GET with a body is 400."""
    assert api.alice.request("GET", f"{path_of(image)}/image", content=b"x").status_code == 400
    assert api.alice.request("GET", f"{path_of(image)}/image", content=iter([b"x"])).status_code == 400


def test_a_deleted_artifact_that_waits_for_the_sweep_gives_no_data(tmp_path: Path) -> None:
    """While a deletion is delayed the artifact's blobs cannot be read, not even by an admin."""
    with running(tmp_path, "[DEFAULT]\ndelayed_delete = true\n") as glare:
        artifact = glare.alice.create("images", name="x")
        glare.alice.upload(artifact, "image", b"data")
        assert glare.alice.delete(artifact).status_code == 204
        assert len(glare.objects()) == 1
        assert glare.alice.download(artifact, "image").status_code in (403, 404)
        assert glare.admin.download(artifact, "image").status_code == 403
        assert glare.alice.try_upload(artifact, "image", b"new").status_code in (403, 404)


def test_a_lost_object_is_a_clear_error(glare: Glare) -> None:
    """Where the store has lost a file, the reader gets an error and no half answer."""
    artifact = glare.alice.create("images", name="x")
    glare.alice.upload(artifact, "image", b"data")
    (path,) = glare.objects()
    path.rename(path.with_name("elsewhere"))
    response = glare.alice.download(artifact, "image")
    path.with_name("elsewhere").rename(path)
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "NotFound"


@pytest.mark.parametrize("sent", ["é/ü", "a b", "text/html<script>", "x" * 255])
def test_unusual_content_types_come_back_as_they_were(api: Glare, sent: str) -> None:
    """Whatever printable content type a client stored, a download has it in one header, and the bytes."""
    artifact = api.alice.create("images", name=f"type {sent[:20]}")
    path = f"{path_of(artifact)}/image"
    with Conversation(api, "PUT", path, {"Content-Type": sent, "Content-Length": "4"}) as upload:
        upload.end(b"data")
        assert upload.answer().status == 200
    with Conversation(api, "GET", path) as download:
        download.end()
        answer = download.answer()
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"data", sent)
