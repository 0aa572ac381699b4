"""What is special to S3, by SeaweedFS: checksums, rights, and secrets that are not told."""

from __future__ import annotations

import gc
import logging
import secrets
import traceback
from dataclasses import replace
from typing import Any

import pytest

from glare.errors import StoreFailed, Unavailable
from glare.stores.base import Store
from glare.stores.objects.layout import MIB, SMALL
from glare.stores.objects.options import PlaceOptions, S3Options
from seaweedfs_server import DOMAIN
from support.origins.http_relay import HttpRelay, Request, Spoiled
from support.programs.seaweedfs import READER_KEY, SECRET_KEY
from support.stores import NAME, behind, driver_of, got, put, store_in, uploads_in

pytestmark = pytest.mark.parametrize("kind", ["s3"], indirect=True)


def test_every_request_that_writes_says_what_must_arrive(bucket: PlaceOptions, relay: HttpRelay) -> None:
    """Objects and parts go with their SHA-256, and a multipart upload declares it as it begins."""
    store = store_in(behind(bucket, relay))
    relay.requests.clear()
    put(store, NAME, secrets.token_bytes(SMALL + 1))
    put(store, "abcdef01", b"small")
    writes = [request for request in relay.requests if request.method == "PUT"]
    begun = [request for request in relay.requests if request.path.partition("?")[2].startswith("uploads")]
    assert len(writes) == 5  # The note, two parts, the record, the other object.
    assert all(request.header("x-amz-checksum-sha256") for request in writes)
    assert [request.header("x-amz-checksum-algorithm") for request in begun] == ["SHA256"]


def test_who_may_not_write_is_told_and_told_nothing_else(bucket: S3Options) -> None:
    """A user of the store without the right to write reads, and is refused the rest by name."""
    put(store_in(bucket), NAME, b"bytes")
    reader = Store(driver_of(replace(bucket, access_key_id=READER_KEY)))
    assert got(reader, NAME) == b"bytes"
    with pytest.raises(StoreFailed, match="denies"):
        put(reader, "abcdef01", b"x")
    with pytest.raises(StoreFailed, match="denies"):
        put(reader, "abcdef01", bytes(SMALL + 1))
    with pytest.raises(StoreFailed, match="denies"):
        reader.delete(NAME)


def through_a_proxy(request: Request) -> Spoiled:
    """Makes a request of one to a proxy."""

    def before(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return head.replace(b" http://%s" % (request.header("host") or "").encode(), b" ", 1), body

    return Spoiled(before=before)


def test_a_bucket_may_be_named_by_its_host(
    bucket: S3Options, relay: HttpRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As services want it that put no bucket into the path. The name is known to a proxy here, and to nobody else."""
    monkeypatch.setenv("http_proxy", relay.endpoint)
    monkeypatch.setenv("no_proxy", "")
    relay.spoil = through_a_proxy
    named = replace(bucket, endpoint=f"http://{DOMAIN}", path_style=False)
    store = store_in(named)
    data = secrets.token_bytes(SMALL + 1)
    put(store, NAME, data)
    put(store, "abcdef01", b"small")
    assert got(store, NAME) == data
    assert [entry.name for entry in store.entries()] == [NAME, "abcdef01"]
    assert store.delete(NAME)
    driver_of(named).create("abcdef02", None).write(bytes(SMALL + 6 * MIB))
    gc.collect()
    assert store.sweep_temporaries(0) == 1
    assert uploads_in(named) == []
    assert {request.header("host") for request in relay.requests} == {f"{bucket.bucket}.{DOMAIN}"}
    assert f"/{bucket.bucket}/" not in " ".join(request.path for request in relay.requests)
    monkeypatch.undo()
    assert got(store_in(bucket), "abcdef01") == b"small"


@pytest.mark.parametrize(
    "changes",
    [
        {"secret_access_key": "wrong-secret"},
        {"access_key_id": "UNKNOWNKEY"},
        {"bucket": "glare-tests-other"},
        {"endpoint": "http://127.0.0.1:1"},
        {"endpoint": "https://127.0.0.1:1"},
        {"endpoint": "http://no-such-host.invalid"},
    ],
    ids=str,
)
def test_no_secret_is_told(bucket: S3Options, changes: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with the place or the credentials, neither errors nor log nor text of options hold them."""
    caplog.set_level(logging.DEBUG)
    times = replace(bucket.times, retries=0, connect=1.0)
    options = replace(bucket, **{"times": times, **changes})
    with pytest.raises((Unavailable, StoreFailed)) as caught:
        store_in(options)
    told = f"{caught.value!r} {''.join(traceback.format_exception(caught.value))} {caplog.text} {options!r}"
    driver: Any = driver_of(options)
    client = driver._bucket._quick
    told += f"{driver!r} {client!r} {client.config}"
    for secret in (SECRET_KEY, "wrong-secret"):
        assert secret not in told
    assert options.access_key_id is not None
    assert options.access_key_id not in f"{caught.value} {caplog.text} {options!r}"
