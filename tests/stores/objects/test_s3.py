"""What is special to S3, by SeaweedFS: checksums, rights, and secrets that are not told."""

from __future__ import annotations

import logging
import secrets
import traceback
from dataclasses import replace
from typing import Any

import pytest

from glare.errors import StoreFailed, Unavailable
from glare.stores.base import Store
from glare.stores.objects.layout import SMALL
from glare.stores.objects.options import PlaceOptions, S3Options
from support.origins.http_relay import HttpRelay
from support.programs.seaweedfs import READER_KEY, SECRET_KEY
from support.stores import NAME, behind, driver_of, got, put, store_in

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
    driver = driver_of(options)
    client: Any = driver._bucket._quick
    told += f"{driver!r} {client!r} {client.config}"
    for secret in (SECRET_KEY, "wrong-secret"):
        assert secret not in told
    assert options.access_key_id is not None
    assert options.access_key_id not in f"{caught.value} {caplog.text} {options!r}"
