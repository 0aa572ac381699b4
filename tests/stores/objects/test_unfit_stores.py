"""A store that speaks of S3 what programs with files need, and no more: it would lose bytes, and is refused."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest

from glare.errors import Unavailable
from glare.stores.objects.options import S3Options
from glare.stores.objects.remote import Broken
from support.programs.rclone import running_rclone
from support.programs.seaweedfs import BUCKET, in_bucket
from support.stores import bucket_of, keys_in, store_in


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_rclone(tmp_path_factory.mktemp("rclone")) as endpoint:
        yield endpoint


@pytest.fixture
def unfit(rclone: str) -> S3Options:
    return in_bucket(BUCKET, rclone, prefix=f"test-{uuid.uuid4().hex[:12]}/")


def test_a_real_store_that_takes_no_notice_is_refused_and_told_why(unfit: S3Options) -> None:
    """Rclone replaces what must not be replaced, and sends the whole for a range: both are said, at each start."""
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            store_in(unfit)
        told = caught.value.message
        assert re.search(r"replaces an object .*If-None-Match: \*.* and does not send ranges of objects .*Range", told)
        assert f"bucket {unfit.bucket!r} at {unfit.endpoint}" in told
    assert keys_in(unfit) == []


def test_its_bytes_are_never_taken_for_those_of_a_range(unfit: S3Options) -> None:
    """Not even by who reads a bucket of it without having asked first."""
    bucket = bucket_of(unfit)
    bucket.make(f"{unfit.prefix}objects/abcdef01", b"0123456789", "application/octet-stream", "0" * 32)
    with pytest.raises(Broken):
        bucket.get(f"{unfit.prefix}objects/abcdef01", 3, 7)
