"""What is special to Google Cloud Storage, by SeaweedFS in Google's words: credentials, and that no secret is told."""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glare.errors import StoreFailed, Unavailable
from glare.stores.objects.layout import SMALL
from glare.stores.objects.options import GCSOptions
from support.origins.http_relay import HttpRelay
from support.programs.google import account_of, new_key
from support.stores import NAME, behind, driver_of, elsewhere, put, store_in

pytestmark = pytest.mark.parametrize("kind", ["gcs"], indirect=True)


def test_keys_are_made_once_by_their_generation(bucket: GCSOptions, relay: HttpRelay) -> None:
    """Google knows no If-None-Match on a PUT: the generation that must be there is 0. What nobody else can make is
    made without.
    """
    store = store_in(behind(bucket, relay))
    relay.requests.clear()
    put(store, NAME, secrets.token_bytes(SMALL + 1))
    made = {request.header("x-goog-if-generation-match") for request in relay.requests if "objects" in request.path}
    assert made == {"0"}
    parts = [request for request in relay.requests if "partNumber=" in request.path]
    assert len(parts) == 2
    assert all((request.header("authorization") or "").startswith("Bearer ") for request in relay.requests)


def test_a_file_that_is_not_there_is_named(bucket: GCSOptions, tmp_path: Path) -> None:
    """Never a reason to look on, and to be somebody else."""
    with pytest.raises(Unavailable, match=r"credentials_file '.*none.json' of store 'gcs' cannot be read"):
        driver_of(replace(bucket, credentials_file=tmp_path / "none.json"))


def test_a_file_that_is_none_is_not_quoted(bucket: GCSOptions, tmp_path: Path) -> None:
    """A line of it may be a secret."""
    file = tmp_path / "account.json"
    for text in (
        '{"private_key": "secret-line"',
        json.dumps({"type": "service_account", "private_key": "secret-line"}),
    ):
        file.write_text(text)
        with pytest.raises(Unavailable) as caught:
            store_in(replace(bucket, credentials_file=file))
        assert "secret-line" not in "".join(traceback.format_exception(caught.value))


def test_no_secret_is_told(bucket: GCSOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with the place or the credentials, neither errors nor log nor text of options hold them."""
    caplog.set_level(logging.DEBUG)
    stranger = tmp_path / "stranger.json"
    stranger.write_text(account_of(new_key()))
    times = replace(bucket.times, retries=0, connect=1.0)
    assert bucket.credentials_file is not None
    keys = [json.loads(path.read_text())["private_key"] for path in (stranger, bucket.credentials_file)]
    for options, told in (
        (replace(bucket, times=times, credentials_file=stranger), "refuses the service's credentials"),
        (elsewhere(bucket), "is not at its place"),
        (replace(bucket, times=times, endpoint="http://127.0.0.1:1"), "is out of reach"),
    ):
        with pytest.raises((Unavailable, StoreFailed), match=told) as caught:
            store_in(options)
        driver: Any = driver_of(options)
        client = driver._bucket._quick
        text = (
            f"{''.join(traceback.format_exception(caught.value))} {caplog.text} {options!r} {client!r} {client.config}"
        )
        for key in keys:
            assert not any(line in text for line in key.splitlines()[1:-1])
        assert "Bearer" not in text
