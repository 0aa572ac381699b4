"""The SeaweedFS that tests start: `tools/seaweedfs_server.py`, in an environment of its own. And buckets in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from environments import NoEnvironmentError
from glare.stores.objects.options import S3Options, Times
from seaweedfs_server import ACCESS_KEY, READER_KEY, SECRET_KEY, SeaweedFS

__all__ = [
    "ACCESS_KEY",
    "BUCKET",
    "READER_KEY",
    "SECRET_KEY",
    "SeaweedFS",
    "in_bucket",
    "running_seaweedfs",
]

BUCKET: Final = "glare-tests"
"""The bucket of all tests, which have prefixes of their own in it: each bucket costs the server some volumes."""

TIMES: Final = Times(connect=2.0, request=20.0, stall=5.0, retries=3, retry_time=20.0, longest_pause=0.2)
"""Short ones: everything is on this machine."""


@contextmanager
def running_seaweedfs(folder: Path) -> Iterator[SeaweedFS]:
    """A SeaweedFS with an empty bucket until the block ends. Where there can be none, the test is skipped, or fails if
    everything is required.
    """
    with ExitStack() as stack:
        try:
            server = stack.enter_context(SeaweedFS(folder))
        except NoEnvironmentError as reason:
            if os.environ.get("GLARE_TEST_REQUIRE") == "all":
                pytest.fail(str(reason), pytrace=False)
            pytest.skip(str(reason))
        server.make_bucket(BUCKET)
        yield server


def in_bucket(bucket: str, endpoint: str, **changes: Any) -> S3Options:
    """Options for a bucket of the server, changed where a test says so."""
    options = S3Options(
        bucket=bucket,
        prefix="",
        endpoint=endpoint,
        region="us-east-1",
        path_style=True,
        ca_file=None,
        times=TIMES,
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
    )
    return replace(options, **changes)
