"""Sources that ask the real Keystone, and callers whom it knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from glare.identity.keystone.library import make, open_options
from glare.identity.keystone.memory import TokenMemory
from glare.identity.keystone.source import KeystoneSource
from support.programs.keystone import Account, Keystone, MakeSource


@pytest.fixture
def make_source(keystone: Keystone, tmp_path: Path) -> MakeSource:
    """Makes a source with options of ``[keystone_authtoken]`` on top of the usual ones."""

    def make_one(**options: str) -> KeystoneSource:
        path = tmp_path / "keystone.conf"
        path.write_text(keystone.authtoken(**options))
        middleware = make(open_options([path], environment=False))
        return KeystoneSource(middleware, TokenMemory(1 << 20), remembered=100)

    return make_one


@pytest.fixture(scope="session")
def catalogued(keystone: Keystone) -> Keystone:
    """Keystone with a service of type `artifact` in its catalogue, without which no access rule can hold."""
    keystone.offer("http://127.0.0.1:9494")
    return keystone


@pytest.fixture(scope="session")
def alpha(catalogued: Keystone) -> str:
    """The id of a project."""
    return catalogued.project("alpha")


@pytest.fixture(scope="session")
def ann(catalogued: Keystone, alpha: str) -> Account:
    """A member of it."""
    return catalogued.member(alpha, "member", name="ann")
