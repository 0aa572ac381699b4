"""Quotas of uploaded bytes: who pays, for what, and when it is given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from support.conversation import Conversation, eventually
from support.origins.origin import Origin
from support.service import Glare, Json, path_of

PROJECT = "wonderland"


def limit(glare: Glare, project: str = PROJECT, /, **quotas: int) -> None:
    """Set the quotas of a project; ``__`` in a name stands for the colon before a type."""
    records = [{"quota_name": name.replace("__", ":"), "quota_value": value} for name, value in quotas.items()]
    response = glare.admin.request("PUT", "/quotas", json=[{"project_id": project, "project_quotas": records}])
    assert response.status_code == 200, response.text


def sample(glare: Glare, name: str = "sample") -> Json:
    """A drafted artifact of Alice's with blobs and a folder."""
    return glare.alice.create("sample_artifact", name=name, string_required="x")


def chunked(data: bytes) -> Iterator[bytes]:
    """The data without an announced length."""
    yield from (data[at : at + 7] for at in range(0, len(data), 7))


SHAPES = {"known length": lambda data: data, "chunked": chunked}


@pytest.mark.parametrize("name", ["max_uploaded_data", "max_uploaded_data__sample_artifact"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_project_stores_as_many_bytes_as_its_quota(glare: Glare, shape: str, name: str) -> None:
    """The quota, of all types or of one, holds at the exact byte, announced or not; beyond it is 413."""
    limit(glare, **{name: 100})
    artifact = sample(glare)
    body = SHAPES[shape]
    response = glare.alice.try_upload(artifact, "blob", body(bytes(101)))
    assert response.status_code == 413
    assert "quota of project 'wonderland'" in response.json()["error"]["message"]
    assert glare.alice.show(artifact)["blob"] is None
    assert glare.usage(PROJECT) == (1, 0)
    glare.alice.upload(artifact, "blob", body(bytes(60)))
    glare.alice.upload(artifact, "dict_of_blobs/a", body(bytes(40)))
    assert glare.alice.try_upload(artifact, "dict_of_blobs/b", body(b"x")).status_code == 413
    glare.alice.upload(artifact, "dict_of_blobs/b", body(b""))
    assert glare.usage(PROJECT) == (1, 100)


def test_a_quota_of_one_type_leaves_the_others_alone(glare: Glare) -> None:
    """Bytes of images do not count in the quota of another type, but in that of all."""
    limit(glare, max_uploaded_data=150, max_uploaded_data__sample_artifact=100)
    image, artifact = glare.alice.create("images", name="x"), sample(glare)
    glare.alice.upload(image, "image", bytes(80))
    assert glare.alice.try_upload(artifact, "blob", bytes(71)).status_code == 413
    glare.alice.upload(artifact, "blob", bytes(70))
    assert glare.usage(PROJECT) == (2, 150)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_replaced_does_not_count(glare: Glare, shape: str) -> None:
    """A replacement may use the bytes of what it replaces, and smaller ones give bytes back (quirk 39)."""
    limit(glare, max_uploaded_data=100)
    artifact = sample(glare)
    body = SHAPES[shape]
    glare.alice.upload(artifact, "blob", body(bytes(90)))
    glare.alice.upload(artifact, "blob", body(b"x" * 100))
    assert glare.alice.try_upload(artifact, "blob", body(bytes(101))).status_code == 413
    assert glare.usage(PROJECT) == (1, 100)
    glare.alice.upload(artifact, "blob", body(b"y"))
    assert glare.usage(PROJECT) == (1, 1)


def test_the_owner_pays_whoever_uploads(glare: Glare) -> None:
    """An admin's upload into Alice's artifact spends Alice's quota, and the admin's none (quirk 39)."""
    limit(glare, max_uploaded_data=100)
    limit(glare, "cloud", max_uploaded_data=0)
    artifact = sample(glare)
    glare.admin.upload(artifact, "blob", bytes(100))
    assert glare.admin.try_upload(artifact, "dict_of_blobs/a", b"x").status_code == 413
    assert (glare.usage(PROJECT), glare.usage("cloud")) == ((1, 100), (0, 0))


def test_projects_have_quotas_of_their_own(glare: Glare) -> None:
    """What Alice's project uses is not counted against Bob's; minus one is unlimited."""
    limit(glare, max_uploaded_data=10)
    limit(glare, "builders", max_uploaded_data=-1)
    assert glare.alice.try_upload(sample(glare), "blob", bytes(11)).status_code == 413
    glare.bob.upload(glare.bob.create("sample_artifact", name="b"), "blob", bytes(1000))


def test_external_bytes_are_free_until_they_are_managed(glare: Glare, origin: Origin) -> None:
    """External blobs use no quota; data that replaces one does, and deleting the record gives nothing back."""
    limit(glare, max_uploaded_data=10)
    origin.put("/file", bytes(1000))
    artifact = sample(glare)
    glare.alice.locate(artifact, "blob", origin.url("/file"))
    glare.alice.locate(artifact, "dict_of_blobs/a", origin.url("/file"))
    assert glare.usage(PROJECT) == (1, 0)
    assert glare.alice.try_upload(artifact, "blob", bytes(11)).status_code == 413
    glare.alice.upload(artifact, "blob", bytes(10))
    assert glare.alice.request("DELETE", f"{path_of(artifact)}/dict_of_blobs/a").status_code == 200
    assert glare.usage(PROJECT) == (1, 10)


def test_an_upload_reserves_its_bytes_while_it_runs(glare: Glare) -> None:
    """Announced bytes are taken at the start and given back when the client goes away."""
    limit(glare, max_uploaded_data=100)
    artifact = sample(glare)
    headers = {"Content-Type": "text/plain", "Content-Length": "80"}
    with Conversation(glare, "PUT", f"{path_of(artifact)}/blob", headers):
        eventually(lambda: glare.usage(PROJECT) == (1, 80))
        assert glare.alice.try_upload(artifact, "dict_of_blobs/a", bytes(21)).status_code == 413
        glare.alice.upload(artifact, "dict_of_blobs/b", bytes(20))
    assert glare.usage(PROJECT) == (1, 20)
    glare.alice.upload(artifact, "blob", bytes(80))


@pytest.mark.parametrize("shape", SHAPES)
def test_uploads_at_the_same_time_do_not_overrun_a_quota(glare: Glare, shape: str) -> None:
    """Of eight uploads at once as many are stored as fit; what is charged is what is stored."""
    limit(glare, max_uploaded_data=100)
    artifacts = [sample(glare, f"a{number}") for number in range(8)]
    barrier = threading.Barrier(8)

    def upload(artifact: Json) -> int:
        with suppress(threading.BrokenBarrierError):
            barrier.wait(10)
        return glare.alice.try_upload(artifact, "blob", SHAPES[shape](bytes(30))).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(upload, artifacts)) == [200] * 3 + [413] * 5
    assert glare.usage(PROJECT) == (8, 90)


def test_a_quota_set_below_what_is_used_lets_nothing_grow(glare: Glare) -> None:
    """Where more is used than a new quota allows, uploads are 413; smaller replacements and deletions still work."""
    artifact = sample(glare)
    glare.alice.upload(artifact, "blob", bytes(100))
    limit(glare, max_uploaded_data=50)
    assert glare.alice.try_upload(artifact, "small_blob", b"x").status_code == 413
    glare.alice.upload(artifact, "blob", bytes(60))
    assert glare.usage(PROJECT) == (1, 60)
    assert glare.alice.delete(artifact).status_code == 204
    assert glare.usage(PROJECT) == (0, 0)
