"""Buckets, and stores in them."""

from __future__ import annotations

import uuid

import pytest

from glare.stores.objects.options import S3Options
from support.programs.seaweedfs import BUCKET, SeaweedFS, in_bucket


@pytest.fixture
def bucket(seaweedfs: SeaweedFS) -> S3Options:
    """Options for a part of the server's bucket that is the test's own, and empty."""
    return in_bucket(BUCKET, seaweedfs.endpoint, prefix=f"test-{uuid.uuid4().hex[:12]}/")
