"""Blobs in a bucket: what callers see of a store that works, lies, hangs or is away."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from glare.operations.upkeep import sweep
from glare.stores.objects.layout import MIB, SMALL
from glare.stores.objects.options import S3Options
from support.conversation import eventually
from support.origins.http_relay import HttpRelay, Request, Spoiled, flipped
from support.programs.azurite import ACCOUNT, ACCOUNT_KEY, Azurite, in_container
from support.programs.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS, in_bucket
from support.service import Glare, Json, running
from support.stores import keys_in, uploads_in

LARGE = SMALL + 3 * MIB + 17


@pytest.fixture
def relay(seaweedfs: SeaweedFS) -> Iterator[HttpRelay]:
    with HttpRelay(seaweedfs.port) as relay:
        yield relay


@pytest.fixture
def options(seaweedfs: SeaweedFS) -> S3Options:
    """The part of the bucket that is the test's own, without the relay."""
    return in_bucket(BUCKET, seaweedfs.endpoint, prefix=f"test-{uuid.uuid4().hex[:12]}/")


def configured(relay: HttpRelay, options: S3Options) -> str:
    return (
        "[artifact_type:images]\ndefault_store = s3\n"
        f"[s3]\nbucket = {options.bucket}\nprefix = {options.prefix}\nendpoint = {relay.endpoint}\n"
        f"access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n"
        "retries = 1\nretry_time = 5 s\nrequest_timeout = 20 s\nread_timeout = 20 s\nmax_transfers = 2\n"
        "[uploads]\nmax_concurrent = 3\nmax_concurrent_per_project = 3\n"
        "[api]\nrequest_threads = 2\nrequest_threads_per_project = 2\n"
    )


@pytest.fixture
def far(tmp_path: Path, relay: HttpRelay, options: S3Options) -> Iterator[Glare]:
    """A service that stores images in the bucket, behind the relay, and the rest in files. It has few threads."""
    with running(tmp_path, configured(relay, options)) as glare:
        yield glare


def image_of(glare: Glare, data: bytes) -> Json:
    return glare.alice.upload(glare.alice.create("images", name=f"image-{uuid.uuid4()}"), "image", data)


def reads(request: Request) -> bool:
    return request.method == "GET" and ("/objects/" in request.path or "/data/" in request.path)


def test_blobs_of_all_sizes_live_in_the_bucket(far: Glare, options: S3Options) -> None:
    """They are downloaded whole and in parts as they were uploaded, are replaced, and are gone with their artifacts."""
    kept = []
    for size in (0, 1, 100_000, LARGE):
        data = secrets.token_bytes(size)
        image = image_of(far, data)
        kept.append((image, data))
        assert far.alice.download(image, "image").content == data
        if size > 10:
            part = far.alice.download(image, "image", Range=f"bytes={size - 7}-")
            assert (part.status_code, part.content) == (206, data[-7:])
            assert far.alice.download(image, "image", Range=f"bytes=3-{size - 9}").content == data[3 : size - 8]
    assert far.objects() == []
    assert len([key for key in keys_in(options) if key.startswith("objects/")]) == 4
    image, _ = kept[2]
    far.alice.upload(image, "image", b"another")
    assert far.alice.download(image, "image").content == b"another"
    for image, _ in kept:
        assert far.alice.delete(image).status_code == 204
    sweep.sweep(far.services)
    assert keys_in(options) == []
    assert uploads_in(options) == []
    assert far.leftovers() == {}


@pytest.mark.sqlite
def test_blobs_live_in_a_container(tmp_path: Path, azurite: Azurite) -> None:
    """In Azure as in a bucket: they are downloaded as they were uploaded, and gone with their artifacts."""
    options = in_container(azurite.endpoint, prefix=f"test-{uuid.uuid4().hex[:12]}/")
    place = (
        f"[glance_store]\ndefault_store = azure\n[azure]\naccount = {ACCOUNT}\ncontainer = {options.container}\n"
        f"prefix = {options.prefix}\nendpoint = {options.endpoint}\naccount_key = {ACCOUNT_KEY}\n"
    )
    with running(tmp_path, place) as glare:
        for data in (b"", secrets.token_bytes(100_000), secrets.token_bytes(LARGE)):
            image = image_of(glare, data)
            assert glare.alice.download(image, "image").content == data
            assert len([key for key in keys_in(options) if key.startswith("objects/")]) == 1
            assert glare.alice.delete(image).status_code == 204
        sweep.sweep(glare.services)
        assert keys_in(options) == []
        assert uploads_in(options) == []
        assert glare.leftovers() == {}


@pytest.mark.parametrize(
    ("size", "at"),
    [(1000, 10), (100_000, 10), (3 * MIB, 10), (3 * MIB, 2 * MIB + 5), (LARGE, 10), (LARGE, 2 * MIB + 5)],
)
def test_wrong_bytes_are_never_a_whole_answer(far: Glare, relay: HttpRelay, size: int, at: int) -> None:
    """A store that sends other bytes than it was given: the answer is right, or an error, or breaks off before the
    first wrong block.
    """
    data = secrets.token_bytes(size)
    image = image_of(far, data)
    relay.spoil = lambda request: Spoiled(after=flipped(at)) if reads(request) else None
    answer = far.alice.download(image, "image")
    if answer.status_code == 200:
        assert int(answer.headers["content-length"]) == size
        assert data.startswith(answer.content)
    else:
        assert at < MIB
        assert answer.status_code == 500
    relay.spoil = lambda _: None


def test_who_trusts_the_store_sends_what_it_sends(tmp_path: Path, relay: HttpRelay, options: S3Options) -> None:
    """Then bytes leave unlooked at, as many as there should be."""
    with running(tmp_path, configured(relay, options) + "[s3]\ntrusted = true\n") as glare:
        data = secrets.token_bytes(2 * MIB)
        image = image_of(glare, data)
        relay.spoil = lambda request: Spoiled(after=flipped(10)) if reads(request) else None
        answer = glare.alice.download(image, "image")
        assert answer.status_code == 200
        assert answer.content == flipped(10)(b"", data)[1]
        relay.spoil = lambda request: Spoiled(cut=MIB + 5) if reads(request) else None
        assert len(glare.alice.download(image, "image").content) == len(data)


def test_a_bit_that_flips_once_costs_nothing(far: Glare, relay: HttpRelay) -> None:
    """What goes wrong on its way is read once more."""
    data = secrets.token_bytes(3 * MIB)
    image = image_of(far, data)
    spoiled: list[Request] = []

    def once(request: Request) -> Spoiled | None:
        if not reads(request) or spoiled:
            return None
        spoiled.append(request)
        return Spoiled(after=flipped(MIB + 9))

    relay.spoil = once
    answer = far.alice.download(image, "image")
    assert spoiled
    assert (answer.status_code, answer.content) == (200, data)


def test_an_upload_that_the_store_refuses_leaves_nothing(far: Glare, relay: HttpRelay, options: S3Options) -> None:
    """The caller is told to come again, the slot and the quota are free, and the bucket is as it was."""
    image = far.alice.create("images", name="refused")
    relay.spoil = lambda request: Spoiled(status=503) if request.method == "PUT" else None
    for size in (100, LARGE):
        answer = far.alice.try_upload(image, "image", secrets.token_bytes(size))
        assert answer.status_code == 503, answer.text
    relay.spoil = lambda _: None
    assert far.usage("wonderland")[1] == 0
    sweep.sweep(far.services)
    assert far.leftovers() == {}
    assert keys_in(options) == []
    data = secrets.token_bytes(100)
    far.alice.upload(image, "image", data)
    assert far.alice.download(image, "image").content == data


def test_a_store_that_hangs_takes_no_place_of_another_stores_readers(far: Glare, relay: HttpRelay) -> None:
    """While more callers wait for a silent bucket than there are threads, files are uploaded and downloaded at once,
    small ones too.
    """
    image = image_of(far, b"small bytes in the bucket")
    large = image_of(far, secrets.token_bytes(LARGE))
    plain = far.bob.create("sample_artifact", name="near", string_required="x")
    relay.spoil = lambda request: Spoiled(delay=4.0) if reads(request) or request.method == "HEAD" else None
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(far.alice.download, each, "image") for each in (image, large) * 4]
        eventually(lambda: sum(reads(request) or request.method == "HEAD" for request in relay.requests) >= 2)
        began = time.monotonic()
        for data in (b"near", secrets.token_bytes(2 * MIB)):
            far.bob.upload(plain, "blob", data)
            assert far.bob.download(plain, "blob").content == data
        assert time.monotonic() - began < 3
        assert not all(each.done() for each in waiting)
        relay.spoil = lambda _: None
        assert {each.result().status_code for each in waiting} == {200}


def test_a_store_that_is_away_is_not_ready(far: Glare, relay: HttpRelay) -> None:
    """Probes say which store it is, and files go on."""
    assert far.client.get("/readyz").status_code == 200
    relay.spoil = lambda _: Spoiled(status=503)
    answer = far.client.get("/readyz")
    assert answer.status_code == 503
    assert "store s3" in answer.text
    assert ACCESS_KEY not in answer.text
    plain = far.bob.create("sample_artifact", name="near", string_required="x")
    far.bob.upload(plain, "blob", b"near")
    assert far.bob.download(plain, "blob").content == b"near"
