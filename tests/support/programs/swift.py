"""The Swift that tests start: `tools/swift_server.py`, in an environment of its own. And containers in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from environments import NoEnvironmentError
from glare.stores.objects.options import SwiftOptions, Times
from swift_server import READER, SECRET, USER, Swift

__all__ = ["CONTAINER", "READER", "SECRET", "USER", "Swift", "in_swift", "running_swift"]

CONTAINER: Final = "glare-tests"
"""The container of all tests, which have prefixes of their own in it."""

TIMES: Final = Times(connect=2.0, request=20.0, stall=5.0, retries=3, retry_time=20.0, longest_pause=0.2)
"""Short ones: everything is on this machine."""


@contextmanager
def running_swift(folder: Path, authtoken: str | None = None) -> Iterator[Swift]:
    """A Swift until the block ends, with an empty container, or one that asks Keystone, with these options. Where there
    can be none, the test is skipped, or fails if everything is required.
    """
    with ExitStack() as stack:
        try:
            server = stack.enter_context(Swift(folder, authtoken=authtoken))
        except NoEnvironmentError as reason:
            if os.environ.get("GLARE_TEST_REQUIRE") == "all":
                pytest.fail(str(reason), pytrace=False)
            pytest.skip(str(reason))
        if authtoken is None:
            server.make_container(CONTAINER, READER)
        yield server


def in_swift(auth_url: str, **changes: Any) -> SwiftOptions:
    """Options for the container of the server at which one logs in there, changed where a test says so."""
    options = SwiftOptions(
        container=CONTAINER,
        prefix="",
        endpoint=auth_url,
        auth_version=1,
        username=USER,
        project_name=None,
        user_domain_name="Default",
        project_domain_name="Default",
        region=None,
        interface="public",
        ca_file=None,
        times=TIMES,
        password=SECRET,
    )
    return replace(options, **changes)
