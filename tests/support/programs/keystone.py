"""The Keystone that tests start: `tools/keystone_server.py`, in an environment of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from environments import NoEnvironmentError
from glare.identity.keystone.source import KeystoneSource
from keystone_environment import KEYSTONE
from keystone_server import Account, Keystone, RefusedError

__all__ = ["Account", "Keystone", "MakeSource", "RefusedError", "running_keystone"]

MakeSource = Callable[..., KeystoneSource]
"""Makes an identity source with options of ``[keystone_authtoken]``."""


@contextmanager
def running_keystone(
    folder: Path, *, expiration: int = 3600, beside: Keystone | None = None, port: int = 0, make: bool = True
) -> Iterator[Keystone]:
    """A Keystone until the block ends, see `Keystone`. Where there can be none, and without `make` where its
    environment is yet to be made, the test is skipped, or fails if everything is required.
    """
    required = os.environ.get("GLARE_TEST_REQUIRE") == "all"
    if not make and not required and not KEYSTONE.ready:
        pytest.skip(f"{KEYSTONE.name} is not made yet; tests/identity/keystone make it")
    with ExitStack() as stack:
        try:
            server = stack.enter_context(Keystone(folder, expiration=expiration, beside=beside, port=port))
        except NoEnvironmentError as reason:
            if required:
                pytest.fail(str(reason), pytrace=False)
            pytest.skip(str(reason))
        yield server
