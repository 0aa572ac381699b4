"""What is special to Azure Blob Storage, by Azurite: blocks that nobody has made a blob of, credentials, and that no
secret is told.
"""

from __future__ import annotations

import logging
import secrets
import traceback
from dataclasses import replace
from typing import Any

import pytest

from glare.errors import StoreFailed, Unavailable
from glare.stores.base import Store
from glare.stores.objects.layout import MIB, SMALL
from glare.stores.objects.options import AzureOptions
from support.origins.http_relay import HttpRelay, Spoiled
from support.programs.azurite import ACCOUNT_KEY, sas_token
from support.stores import NAME, behind, driver_of, got, keys_in, put, store_in, uploads_in

pytestmark = pytest.mark.parametrize("kind", ["azure"], indirect=True)


def test_a_signature_is_enough(bucket: AzureOptions) -> None:
    """A shared access signature that may read, write, delete and list does all that a key does."""
    store = store_in(replace(bucket, account_key=None, sas_token=f"?{sas_token('rwdlc')}"))
    for name, size in ((NAME, SMALL + 1), ("abcdef01", 5)):
        data = secrets.token_bytes(size)
        put(store, name, data)
        assert got(store, name) == data
    assert store.delete(NAME)
    assert [entry.name for entry in store.entries()] == ["abcdef01"]


def test_who_may_not_write_is_told_and_told_nothing_else(bucket: AzureOptions) -> None:
    """A signature without the right to write reads, and is refused the rest by name."""
    put(store_in(bucket), NAME, b"bytes")
    token = sas_token("rl")
    reader = Store(driver_of(replace(bucket, account_key=None, sas_token=token)))
    assert got(reader, NAME) == b"bytes"
    for call in (
        lambda: put(reader, "abcdef01", b"x"),
        lambda: put(reader, "abcdef01", bytes(SMALL + 1)),
        lambda: reader.delete(NAME),
    ):
        with pytest.raises(StoreFailed, match="denies") as caught:
            call()
        assert token.rpartition("=")[2] not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"account_key": "d3Jvbmctc2VjcmV0"},
        {"container": "glare-tests-other"},
        {"endpoint": "http://127.0.0.1:1/devstoreaccount1"},
        {"endpoint": "http://no-such-host.invalid"},
        {"account_key": None, "sas_token": "sv=2021-12-02&sig=d3Jvbmctc2VjcmV0"},
    ],
    ids=str,
)
def test_no_secret_is_told(bucket: AzureOptions, changes: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with the place or the credentials, neither errors nor log nor text of options hold them."""
    caplog.set_level(logging.DEBUG)
    options = replace(bucket, **{"times": replace(bucket.times, retries=0, connect=1.0), **changes})
    with pytest.raises((Unavailable, StoreFailed)) as caught:
        store_in(options)
    told = f"{caught.value!r} {''.join(traceback.format_exception(caught.value))} {caplog.text} {options!r}"
    driver: Any = driver_of(options)
    client = driver._bucket._quick
    told += f"{driver!r} {client!r} {client.config}"
    for secret in (ACCOUNT_KEY, "d3Jvbmctc2VjcmV0"):
        assert secret not in told


def test_a_key_that_is_none_is_refused_by_its_name(bucket: AzureOptions) -> None:
    """Not by an error of the store, and not quoted."""
    with pytest.raises(Unavailable, match="account_key") as caught:
        driver_of(replace(bucket, account_key="no key !"))
    assert "no key !" not in str(caught.value)


def test_a_cancelled_upload_leaves_no_blocks(bucket: AzureOptions) -> None:
    """The service would keep them for a week."""
    store = store_in(bucket)
    with store.create(NAME) as writer:
        for _ in range(14):
            writer.write(bytes(MIB))
        writer.cancel()
    assert uploads_in(bucket) == []
    assert keys_in(bucket) == []


def test_a_container_that_is_being_deleted_takes_nothing_for_a_taken_name(
    bucket: AzureOptions, relay: HttpRelay
) -> None:
    """Its answer has the status of a name that is taken, and says something else."""
    store = store_in(behind(bucket, relay))
    body = b"<Error><Code>ContainerBeingDeleted</Code></Error>"
    answer = b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n" % len(body)
    relay.spoil = lambda request: Spoiled(after=lambda *_: (answer, body)) if request.method == "PUT" else None
    with pytest.raises(Unavailable, match="ContainerBeingDeleted"):
        put(store, NAME, b"bytes")
