"""Buckets, and stores in them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from glare.stores.objects.options import PlaceOptions
from support.origins.http_relay import HttpRelay
from support.programs.azurite import Azurite, in_container
from support.programs.google import Google, in_google
from support.programs.seaweedfs import BUCKET, SeaweedFS, in_bucket
from support.programs.swift import Swift, in_swift
from support.stores import port_of


@pytest.fixture(params=["s3", "azure", "gcs", "swift"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each store that a test is about: all, where it does not say which."""
    name: str = request.param
    return name


@pytest.fixture
def bucket(kind: str, request: pytest.FixtureRequest) -> PlaceOptions:
    """Options for a part of a bucket that is the test's own, and empty."""
    prefix = f"test-{uuid.uuid4().hex[:12]}/"
    if kind == "azure":
        azurite: Azurite = request.getfixturevalue("azurite")
        return in_container(azurite.endpoint, prefix=prefix)
    if kind == "gcs":
        google: Google = request.getfixturevalue("google")
        return in_google(google, prefix=prefix)
    if kind == "swift":
        swift: Swift = request.getfixturevalue("swift")
        return in_swift(swift.auth_url, prefix=prefix)
    seaweedfs: SeaweedFS = request.getfixturevalue("seaweedfs")
    return in_bucket(BUCKET, seaweedfs.endpoint, prefix=prefix)


@pytest.fixture
def relay(bucket: PlaceOptions) -> Iterator[HttpRelay]:
    """A relay before the bucket's server."""
    with HttpRelay(port_of(bucket)) as relay:
        yield relay
