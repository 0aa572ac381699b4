"""Stores in S3, Azure, Google Cloud Storage and Swift: the suite of every store, and what is special to
buckets.
"""

from __future__ import annotations

import gc
import os
import secrets
import ssl
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import trustme

from environments import TOOLS
from glare.errors import StoreMistaken, Unavailable
from glare.stores.base import Store
from glare.stores.conformance import StoreConformance
from glare.stores.objects.bucket import Bucket
from glare.stores.objects.driver import ObjectStoreDriver
from glare.stores.objects.layout import LEAST_PART, MIB, MOST_PARTS, RECORD_SIZE, SMALL, Plan, Record
from glare.stores.objects.options import PlaceOptions
from glare.stores.objects.swift.container import Container, LargeObject
from support.origins.http_relay import HttpRelay
from support.programs.command import TESTS, environment
from support.stores import (
    NAME,
    behind,
    bucket_of,
    driver_of,
    elsewhere,
    got,
    keys_in,
    port_of,
    put,
    store_in,
    uploads_in,
    whole_keys_in,
)


def left_by_a_dead_writer(options: PlaceOptions, name: str, size: int) -> None:
    """What is there of an object when its writer's process dies after `size` bytes."""
    writer = driver_of(options).create(name, None)
    for _ in range(size // MIB):
        writer.write(secrets.token_bytes(MIB))
    if isinstance(writer._writing, LargeObject):
        writer._writing._pool.shutdown()  # What it has begun to send arrives.
    # The library aborts nothing where its file is let go of, as it would be by a process that dies.
    del writer
    gc.collect()


def parts_at_most(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let keys have so many parts, in whatever store."""
    for keys in (Bucket, Container):
        monkeypatch.setattr(keys, "most_parts", number)


UPLOADING = """
import sys
from dataclasses import replace
from functools import partial
from support.programs.azurite import in_container
from support.programs.seaweedfs import in_bucket
from support.programs.swift import in_swift
from support.stores import store_in

def memory(of):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(of))

kind, endpoint, prefix = sys.argv[1:]
makers = {"azure": in_container, "s3": partial(in_bucket, "glare-tests"), "swift": in_swift}
made = makers[kind](endpoint)
store = store_in(replace(made, prefix=prefix))
piece = bytes(range(256)) * 4096
for name, pieces in (("abcdef01", 1), ("abcdef02", 120)):
    open("/proc/self/clear_refs", "w").write("5")
    before = memory("VmRSS")
    with store.create(name) as writer:
        for _ in range(pieces):
            writer.write(piece)
        writer.commit()
print(memory("VmHWM") - before)
"""
"""Prints how many bytes of memory the upload of 120 MiB has taken at most."""


class TestBuckets(StoreConformance):
    serves_files: ClassVar[bool] = False
    knows_free_space: ClassVar[bool] = False

    @pytest.fixture(autouse=True)
    def _bucket(self, bucket: PlaceOptions, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.options = bucket
        monkeypatch.setattr(TestBuckets, "one_winner", kind != "swift")

    def make_store(self, tmp_path: Path) -> Store:
        return store_in(self.options)


def test_a_small_object_costs_one_request_to_write_and_one_to_read(bucket: PlaceOptions, relay: HttpRelay) -> None:
    """4 KiB are one PUT and one GET; nothing is asked beside them."""
    store = store_in(behind(bucket, relay))
    store.check()
    relay.seen()
    data = secrets.token_bytes(4096)
    put(store, NAME, data)
    assert [line.split()[0] for line in relay.seen()] == ["PUT"]
    assert got(store, NAME) == data
    assert [line.split()[0] for line in relay.seen()] == ["GET"]


def test_a_known_large_object_is_read_by_one_request(bucket: PlaceOptions, relay: HttpRelay) -> None:
    """Where its bytes are is asked once; from then on a range costs one GET."""
    store = store_in(behind(bucket, relay))
    data = secrets.token_bytes(SMALL + 1)
    put(store, NAME, data)
    assert got(store, NAME, 5, 7) == data[5:12]
    relay.seen()
    assert got(store, NAME, SMALL - 3, 9) == data[-4:]
    assert [line.split()[0] for line in relay.seen()] == ["GET"]


def test_parts_hold_what_a_store_can_have() -> None:
    """Parts are no smaller than S3 takes, three of them fit into 32 MB, and no key has more than it takes. 5 TiB are 66
    keys.
    """
    for size in (0, 1, SMALL + 1, 1 << 30, 48 << 30, 49 << 30, 80 << 30, 5 << 40, None):
        plan = Plan.of(size)
        assert LEAST_PART <= plan.part <= 32_000_000 // 3
        assert plan.segment == plan.part * MOST_PARTS
    whole = Record(5 << 40, Plan.of(5 << 40).segment, "0" * 32)
    assert whole.segments == 66
    assert sum(map(whole.size_of, range(66))) == 5 << 40
    assert len(whole.encode()) == RECORD_SIZE


def test_an_object_of_many_keys_is_one_object(bucket: PlaceOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than one key may be goes on in the next one, and is read across them."""
    parts_at_most(2, monkeypatch)
    store = store_in(bucket)
    for size in (2 * SMALL, 4 * SMALL, 4 * SMALL + 1):
        data = secrets.token_bytes(size)
        put(store, NAME, data, announced=False)
        assert len([key for key in whole_keys_in(bucket) if key.startswith("data/")]) == -(-size // (2 * SMALL))
        assert got(store_in(bucket), NAME) == data
        assert got(store, NAME, 2 * SMALL - 5, 10) == data[2 * SMALL - 5 : 2 * SMALL + 5]
        assert got(store, NAME, size - 1) == data[-1:]
        assert store.delete(NAME)
        assert keys_in(bucket) == []


def test_an_object_may_look_like_a_record(bucket: PlaceOptions) -> None:
    """Bytes that somebody uploads are bytes, whatever they say and however many they are."""
    store = store_in(bucket)
    put(store, "abcdef01", secrets.token_bytes(SMALL + 1))
    forged = Record(100, 100, "0" * 32).encode()
    put(store, NAME, forged)
    assert got(store, NAME) == forged
    assert [(entry.name, entry.size) for entry in store.entries()] == [(NAME, RECORD_SIZE), ("abcdef01", SMALL + 1)]


def test_what_a_dead_writer_left_is_swept(bucket: PlaceOptions, kind: str) -> None:
    """Parts that were never made a key, keys that no record names, and the note of their writer go once they are old
    enough; an object of the same name stays.
    """
    store = store_in(bucket)
    kept = secrets.token_bytes(SMALL + 1)
    put(store, "abcdef01", kept)
    before = keys_in(bucket)
    left_by_a_dead_writer(bucket, NAME, SMALL + 8 * MIB)
    left_by_a_dead_writer(bucket, "abcdef01", SMALL + 8 * MIB)
    assert len(uploads_in(bucket)) == 2
    assert store.sweep_temporaries(3600) == 0
    assert len(uploads_in(bucket)) == 2
    assert store.sweep_temporaries(0) == 2
    # Google cannot be asked for uploads by obstore; there a rule of the bucket ends them.
    assert len(uploads_in(bucket)) == (2 if kind == "gcs" else 0)
    assert keys_in(bucket) == before
    assert got(store, "abcdef01") == kept


def test_segments_of_a_dead_writer_are_swept(bucket: PlaceOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are whole."""
    parts_at_most(1, monkeypatch)
    store = store_in(bucket)
    left_by_a_dead_writer(bucket, NAME, SMALL + 4 * MIB)
    assert [key.partition("/")[0] for key in whole_keys_in(bucket)] == ["data", "unfinished"]
    assert store.sweep_temporaries(0) == 1
    assert keys_in(bucket) == []
    assert uploads_in(bucket) == []


def test_a_note_that_outlived_its_writer_takes_nothing_along(bucket: PlaceOptions) -> None:
    """A process that dies between the record and the note's removal leaves an object, and the sweep knows it."""
    store = store_in(bucket)
    data = secrets.token_bytes(SMALL + 1)
    put(store, NAME, data)
    (key,) = [key for key in whole_keys_in(bucket) if key.startswith("data/")]
    writer = key.split("/")[2]
    bucket_of(bucket).note(f"{bucket.prefix}unfinished/{NAME}.{writer}")
    assert store.sweep_temporaries(0) == 0
    assert got(store, NAME) == data
    assert not [key for key in keys_in(bucket) if key.startswith("unfinished/")]


def test_deleting_removes_what_dead_writers_left(bucket: PlaceOptions) -> None:
    """As the name is never used again."""
    store = store_in(bucket)
    put(store, NAME, secrets.token_bytes(SMALL + 1))
    assert store.delete(NAME)
    assert keys_in(bucket) == []


def test_a_writer_that_takes_long_says_that_it_lives(bucket: PlaceOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note is as young as its writer's last words, so that the sweep passes it by."""
    store = store_in(bucket)
    with store.create(NAME) as writer:
        for _ in range(9):
            writer.write(bytes(MIB))
        time.sleep(2.1)
        monkeypatch.setattr("glare.stores.objects.writer._NOTED_SECONDS", 1.0)
        writer.write(bytes(MIB))
        assert store.sweep_temporaries(1.5) == 0
        writer.commit()
    assert store.size(NAME) == 10 * MIB


def test_a_bucket_that_is_not_there_loses_no_object(bucket: PlaceOptions) -> None:
    """Where the bucket is missing, nothing counts as missing or as deleted, and nothing is made."""
    store = store_in(bucket)
    put(store, NAME, b"bytes")
    driver = store._driver
    assert isinstance(driver, ObjectStoreDriver)
    driver._bucket = bucket_of(elsewhere(bucket))
    for call in (
        lambda: store.delete(NAME),
        lambda: store.size(NAME),
        lambda: got(store, NAME),
        lambda: put(store, "abcdef01", b"x"),
        store.check,
        lambda: list(store.entries()),
    ):
        with pytest.raises(Unavailable):
            call()


def test_a_bucket_without_its_marker_is_not_the_store(bucket: PlaceOptions) -> None:
    """Whoever knows objects of a store does not take an empty bucket for it, unless one of them is there."""
    driver = driver_of(bucket)
    for known, identity in (([NAME], None), ([], "known"), ([NAME], "known")):
        with pytest.raises(Unavailable, match="glare-store"):
            driver.initialise(known, identity)
    driver.initialise([], None)
    bucket_of(bucket).remove([f"{bucket.prefix}glare-store"])
    with pytest.raises(Unavailable, match="no marker"):
        Store(driver).check()
    bucket_of(bucket).make(f"{bucket.prefix}objects/{NAME}", b"x", "application/octet-stream", "0" * 32)
    driver.initialise([NAME], "known")
    assert driver.identity() == "known"


def test_an_emptied_bucket_loses_no_object(bucket: PlaceOptions) -> None:
    """Also within the minute in which a process believes that the bucket is the store's: what is missing there is
    looked at twice.
    """
    store = store_in(bucket)
    put(store, NAME, b"bytes")
    bucket_of(bucket).remove([f"{bucket.prefix}glare-store", f"{bucket.prefix}objects/{NAME}"])
    for call in (lambda: store.delete(NAME), lambda: store.size(NAME), lambda: got(store, NAME)):
        with pytest.raises(Unavailable, match="no marker"):
            call()


def test_another_stores_bucket_is_refused(bucket: PlaceOptions) -> None:
    """The identity that the database knows is the one of the bucket."""
    store = store_in(bucket)
    found = store.identity()
    assert store_in(bucket, recorded=found).size is not None
    other = Store(driver_of(bucket, "another"))
    with pytest.raises(StoreMistaken):
        other.check()
    with pytest.raises(StoreMistaken):
        put(other, NAME, b"x")


# Swift would name its account by a URL without TLS behind the relay; see its own tests.
@pytest.mark.parametrize("kind", ["s3", "azure", "gcs"], indirect=True)
def test_the_authorities_of_a_store_are_those_that_are_named(bucket: PlaceOptions, tmp_path: Path) -> None:
    """A store with a certificate of an authority of one's own is trusted where that is named, and nowhere else."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    named = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(named))
    with HttpRelay(port_of(bucket), tls=context) as front:
        options = behind(bucket, front)
        with pytest.raises(Unavailable, match="certificate is not trusted"):
            store_in(replace(options, times=replace(bucket.times, retries=0)))
        store = store_in(replace(options, ca_file=named))
        put(store, NAME, b"bytes")
        assert got(store, NAME) == b"bytes"
    with pytest.raises(Unavailable, match="ca_file"):
        store_in(replace(options, ca_file=tmp_path / "none.pem"))


@pytest.mark.parametrize("kind", ["s3", "azure", "swift"], indirect=True)
def test_an_upload_takes_less_than_32_mb(bucket: PlaceOptions, kind: str) -> None:
    """Whatever its size, in a process that has written a small object before: parts are all that is in memory."""
    assert bucket.endpoint is not None
    ended = subprocess.run(
        [sys.executable, "-c", UPLOADING, kind, bucket.endpoint, bucket.prefix],
        env=environment() | {"PYTHONPATH": os.pathsep.join(map(str, (TESTS, TOOLS)))},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert 8 * MIB < int(ended.stdout) < 32_000_000
