"""Uploads at their limits: the exact byte, the folder's rest, and the digests that a client claims."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from glare.db.tables import content_blocks, contents
from support.origins.origin import Origin
from support.service import ACTORS, Glare, Json, path_of

pytestmark = pytest.mark.sqlite  # What is sent is the same on each database.


def sample(glare: Glare, name: str = "sample") -> Json:
    """A drafted artifact of Alice's with blobs and a folder."""
    return glare.alice.create("sample_artifact", name=name, string_required="x")


def chunked(data: bytes) -> Iterator[bytes]:
    """The data without an announced length."""
    yield from (data[at : at + 7] for at in range(0, len(data), 7))


SHAPES = {"known length": lambda data: data, "chunked": chunked}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize(("path", "limit"), [("small_blob", 10), ("dict_of_blobs/key", 2000)], ids=["blob", "folder"])
def test_a_limit_holds_at_the_exact_byte(
    glare: Glare, path: str, limit: int, shape: Callable[[bytes], bytes | Iterator[bytes]]
) -> None:
    """As many bytes as allowed are stored; one more is 413 and leaves the artifact as it was."""
    artifact = sample(glare)
    response = glare.alice.try_upload(artifact, path, shape(b"x" * (limit + 1)))
    assert response.status_code == 413
    assert f"at most {limit} bytes" in response.json()["error"]["message"]
    assert glare.alice.show(artifact)["small_blob"] is None
    assert glare.alice.show(artifact)["dict_of_blobs"] == {}
    glare.alice.upload(artifact, path, shape(b"x" * limit))
    assert glare.alice.download(artifact, path).content == b"x" * limit


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_folder_limits_the_sum_of_its_blobs(glare: Glare, shape: Callable[[bytes], bytes | Iterator[bytes]]) -> None:
    """What other keys hold is taken from the folder's maximum; what the key itself held before is not (quirk 39)."""
    artifact = sample(glare)
    glare.alice.upload(artifact, "dict_of_blobs/a", shape(b"a" * 1500))
    assert glare.alice.try_upload(artifact, "dict_of_blobs/b", shape(b"b" * 501)).status_code == 413
    glare.alice.upload(artifact, "dict_of_blobs/b", shape(b"b" * 500))
    glare.alice.upload(artifact, "dict_of_blobs/c", shape(b""))
    assert glare.alice.try_upload(artifact, "dict_of_blobs/c", shape(b"c")).status_code == 413
    assert glare.alice.try_upload(artifact, "dict_of_blobs/a", shape(b"A" * 1501)).status_code == 413
    glare.alice.upload(artifact, "dict_of_blobs/a", shape(b"A" * 1499))
    glare.alice.upload(artifact, "dict_of_blobs/c", shape(b"c"))
    assert glare.usage("wonderland") == (1, 2000)


def test_external_members_count_in_the_folder(glare: Glare, origin: Origin) -> None:
    """The size of external blobs is taken from the folder's maximum too."""
    origin.put("/file", b"x" * 1990)
    artifact = sample(glare)
    glare.alice.locate(artifact, "dict_of_blobs/there", origin.url("/file"))
    assert glare.alice.try_upload(artifact, "dict_of_blobs/here", b"x" * 11).status_code == 413
    glare.alice.upload(artifact, "dict_of_blobs/here", b"x" * 10)


DATA = b"some data of an image"


def b64(algorithm: str, data: bytes = DATA) -> str:
    return base64.b64encode(hashlib.new(algorithm, data).digest()).decode()


RIGHT = {
    "sha-256": {"Repr-Digest": f"sha-256=:{b64('sha256')}:"},
    "sha-256 of the content": {"Content-Digest": f"sha-256=:{b64('sha256')}:"},
    "md5 and sha": {"Repr-Digest": f"md5=:{b64('md5')}:, sha=:{b64('sha1')}:"},
    "both headers": {"Repr-Digest": f"sha-256=:{b64('sha256')}:", "Content-Digest": f"md5=:{b64('md5')}:"},
    "an unknown algorithm": {"Repr-Digest": "sha-512=:AAAA:, unixsum=:AA==:"},
    "md5 in hex": {"Content-MD5": hashlib.md5(DATA).hexdigest()},
    "md5 in upper-case hex": {"Content-MD5": hashlib.md5(DATA).hexdigest().upper()},
    "md5 in base64": {"Content-MD5": b64("md5")},
    "an older digest": {"Digest": f"SHA-256={b64('sha256')},sha={b64('sha1')}, MD5={b64('md5')}, unixsum=12"},
    "an older digest in hex": {"Digest": f"sha-256={hashlib.sha256(DATA).hexdigest()}"},
    "checksums": {
        "X-Checksum-Sha256": hashlib.sha256(DATA).hexdigest(),
        "X-Checksum-Sha1": hashlib.sha1(DATA).hexdigest().upper(),
        "X-Checksum-Md5": hashlib.md5(DATA).hexdigest(),
    },
    "a signed digest": {"X-Amz-Content-Sha256": hashlib.sha256(DATA).hexdigest()},
    "no signed digest": {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"},
    "checksums of object stores": {
        "X-Amz-Checksum-Sha256": b64("sha256"),
        "X-Amz-Checksum-Sha1": b64("sha1"),
        "X-Goog-Hash": f"crc32c=AAAAAA==,md5={b64('md5')}",
    },
    "the service's own": {
        "X-OpenStack-Glare-Content-SHA256": hashlib.sha256(DATA).hexdigest(),
        "X-OpenStack-Glare-Content-SHA1": hashlib.sha1(DATA).hexdigest(),
    },
}

WRONG = {
    "another sha-256": {"Repr-Digest": f"sha-256=:{b64('sha256', b'other')}:"},
    "another content digest": {"Content-Digest": f"sha-256=:{b64('sha256', b'other')}:"},
    "another sha": {"Repr-Digest": f"sha=:{b64('sha1', b'other')}:"},
    "another md5 in hex": {"Content-MD5": "0" * 32},
    "another md5 in base64": {"Content-MD5": b64("md5", b"other")},
    "one of two": {"Repr-Digest": f"sha-256=:{b64('sha256')}:, md5=:{b64('md5', b'other')}:"},
    "two that differ": {
        "Repr-Digest": f"sha-256=:{b64('sha256')}:",
        "Content-Digest": f"sha-256=:{b64('sha256', b'other')}:",
    },
    "no structure": {"Repr-Digest": "sha-256"},
    "hex in a digest field": {"Repr-Digest": f"sha-256=:{hashlib.sha256(DATA).hexdigest()}:"},
    "a digest cut short": {"Repr-Digest": f"sha-256=:{b64('md5')}:"},
    "no base64": {"Content-MD5": "!!!"},
    "md5 cut short": {"Content-MD5": "abcd"},
    "another older digest": {"Digest": f"SHA-256={b64('sha256', b'other')}"},
    "another older md5 after a right sha": {"Digest": f"SHA={b64('sha1')},MD5={b64('md5', b'other')}"},
    "an older digest without a digest": {"Digest": "SHA-256"},
    "an older digest cut short": {"Digest": "SHA-256=abcd"},
    "another checksum": {"X-Checksum-Sha256": "0" * 64},
    "another sha1 checksum": {"X-Checksum-Sha1": "0" * 40},
    "another md5 checksum": {"X-Checksum-Md5": "0" * 32},
    "a checksum of another length": {"X-Checksum-Sha256": "0" * 63},
    "another signed digest": {"X-Amz-Content-Sha256": "0" * 64},
    "another checksum of an object store": {"X-Amz-Checksum-Sha256": b64("sha256", b"other")},
    "another sha1 of an object store": {"X-Amz-Checksum-Sha1": b64("sha1", b"other")},
    "another hash of an object store": {"X-Goog-Hash": f"crc32c=AAAAAA==, md5={b64('md5', b'other')}"},
    "another of the service's own": {"X-OpenStack-Glare-Content-SHA256": "0" * 64},
    "a right and a wrong header": {
        "X-Checksum-Sha256": hashlib.sha256(DATA).hexdigest(),
        "Digest": f"SHA-256={b64('md5')}",
    },
}


@pytest.mark.parametrize("headers", RIGHT.values(), ids=RIGHT.keys())
def test_digests_that_are_right_change_nothing(api: Glare, unique: Callable[[], str], headers: dict[str, str]) -> None:
    """An upload whose digest headers are true, or of algorithms that Glare does not compute, is stored."""
    artifact = api.alice.create("images", name=unique())
    api.alice.upload(artifact, "image", DATA, headers=headers)
    assert api.alice.download(artifact, "image").content == DATA


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG.keys())
def test_a_digest_that_is_wrong_or_malformed_refuses_the_upload(
    api: Glare, unique: Callable[[], str], headers: dict[str, str]
) -> None:
    """One digest that is not that of the data, or that is none, is 400, and nothing is stored."""
    artifact = api.alice.create("images", name=unique())
    before = api.usage("wonderland"), api.objects()
    assert api.alice.try_upload(artifact, "image", DATA, headers=headers).status_code == 400
    assert api.alice.show(artifact)["image"] is None
    assert (api.usage("wonderland"), api.objects()) == before


def test_a_claim_in_a_second_line_of_a_header_counts(api: Glare, unique: Callable[[], str]) -> None:
    """A header may come in several lines, and each of them is a claim."""
    artifact = api.alice.create("images", name=unique())
    lines = [
        ("X-Auth-Token", ACTORS["alice"]),
        ("Content-Type", "application/octet-stream"),
        ("Digest", f"MD5={b64('md5')}"),
        ("Digest", f"SHA-256={b64('sha256', b'other')}"),
    ]
    answer = api.client.request("PUT", f"{path_of(artifact)}/image", content=DATA, headers=lines)
    assert answer.status_code == 400
    assert "The sha256 of" in answer.json()["error"]["message"]


def test_the_block_digests_of_a_content_are_kept_once(glare: Glare, origin: Origin) -> None:
    """However often a content is stored or recorded, and by whom: its block digests are there once."""
    data = bytes(3 * 1024 * 1024 + 5)
    origin.put("/file", data)
    for number in range(2):
        glare.alice.upload(glare.alice.create("images", name=f"u{number}"), "image", data)
        glare.bob.locate(glare.bob.create("images", name=f"l{number}"), "image", origin.url("/file"))
    with glare.services.db.read() as connection:
        counted = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (contents, content_blocks)
        ]
        assert counted == [1, 1]
        assert len(connection.execute(select(content_blocks.c.digests)).scalar_one()) == 4 * 32


def test_uploads_into_different_keys_do_not_disturb_each_other(glare: Glare) -> None:
    """Eight uploads at the same time into one folder all succeed, and every one is there."""
    artifact = sample(glare)
    barrier = threading.Barrier(8)

    def upload(number: int) -> int:
        barrier.wait()
        data = bytes([number]) * (100 + number)
        return glare.alice.try_upload(artifact, f"dict_of_blobs/{number}", data).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(upload, range(8))) == [200] * 8
    folder = glare.alice.show(artifact)["dict_of_blobs"]
    assert {key: blob["size"] for key, blob in folder.items()} == {str(number): 100 + number for number in range(8)}


def test_a_folder_is_never_overfilled_by_uploads_at_the_same_time(glare: Glare) -> None:
    """Of eight uploads of 600 bytes at once into a folder of 2000 bytes three are stored, the others are 413."""
    artifact = sample(glare)
    barrier = threading.Barrier(8)

    def upload(number: int) -> int:
        barrier.wait()
        return glare.alice.try_upload(artifact, f"dict_of_blobs/{number}", bytes(600)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(upload, range(8))) == [200] * 3 + [413] * 5
    assert glare.usage("wonderland") == (1, 1800)


def test_chunked_uploads_at_the_same_time_do_not_overfill_a_folder(glare: Glare) -> None:
    """Where lengths are not announced, a folder does not get more than its maximum either."""
    artifact = sample(glare)
    barrier = threading.Barrier(8)

    def upload(number: int) -> int:
        barrier.wait()
        return glare.alice.try_upload(artifact, f"dict_of_blobs/{number}", chunked(bytes(600))).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(upload, range(8)))
    assert set(statuses) <= {200, 413}
    folder = glare.alice.show(artifact)["dict_of_blobs"]
    assert sum(blob["size"] for blob in folder.values()) <= 2000
    assert statuses.count(200) == len(folder)
