"""Uploads and deletions of blobs that are conditional on what is there."""

from __future__ import annotations

import hashlib

from support.origins.origin import Origin
from support.service import Glare

FIRST, SECOND = b"first", b"second"


def tag(data: bytes) -> str:
    """The entity tag of a blob."""
    return f'"{hashlib.sha256(data).hexdigest()}"'


def test_upload_only_where_nothing_is(glare: Glare) -> None:
    """If-None-Match: * uploads into an empty slot, and is 412 where a blob is already."""
    artifact = glare.alice.create("images", name="a")
    nothing = {"If-None-Match": "*"}
    assert glare.alice.try_upload(artifact, "image", FIRST, headers=nothing).status_code == 200
    assert glare.alice.try_upload(artifact, "image", SECOND, headers=nothing).status_code == 412
    assert glare.alice.download(artifact, "image").content == FIRST


def test_upload_only_over_the_blob_that_was_read(glare: Glare) -> None:
    """If-Match names the blob that may be replaced, by its sha256 or through its artifact's revision."""
    artifact = glare.alice.create("images", name="a")
    assert glare.alice.try_upload(artifact, "image", FIRST, headers={"If-Match": "*"}).status_code == 412
    glare.alice.upload(artifact, "image", FIRST)
    assert glare.alice.try_upload(artifact, "image", SECOND, headers={"If-Match": tag(SECOND)}).status_code == 412
    revision = glare.alice.get(artifact).headers["etag"]
    for condition in (tag(FIRST), "*"):
        glare.alice.upload(artifact, "image", FIRST, headers={"If-Match": condition})
    assert glare.alice.try_upload(artifact, "image", SECOND, headers={"If-Match": revision}).status_code == 412
    revision = glare.alice.get(artifact).headers["etag"]
    glare.alice.upload(artifact, "image", SECOND, headers={"If-Match": revision})
    assert glare.alice.download(artifact, "image").content == SECOND


def test_deletion_of_the_location_that_was_read(glare: Glare, origin: Origin) -> None:
    """If-Match on a deletion names the external blob that may go."""
    origin.put("/file", FIRST)
    artifact = glare.alice.create("images", name="a")
    glare.alice.locate(artifact, "image", origin.url("/file"))
    path = f"/artifacts/images/{artifact['id']}/image"
    assert glare.alice.request("DELETE", path, headers={"If-Match": tag(SECOND)}).status_code == 412
    assert glare.alice.request("DELETE", path, headers={"If-Match": tag(FIRST)}).status_code == 200
    assert glare.alice.show(artifact)["image"] is None
