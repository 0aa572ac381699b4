"""Fixtures that everybody shares."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support import databases
from support.origins.origin import Origin
from support.programs.azurite import Azurite, running_azurite
from support.programs.google import Google, in_googles_words
from support.programs.keystone import Keystone, running_keystone
from support.programs.seaweedfs import SeaweedFS, running_seaweedfs
from support.programs.swift import Swift, running_swift
from support.service import Glare, running

SLOW = {"keystone", "seaweedfs", "azurite", "bucket", "rclone", "swift"}
"""Fixtures of services that may have to be installed first."""

# How fast the machine is, and who else works on it, is no property of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A well-behaved web server on loopback."""
    with Origin() as server:
        yield server


@pytest.fixture
def glare(tmp_path: Path, origin: Origin) -> Iterator[Glare]:
    """The service, which may reach `origin`. What a test leaves behind where nothing should be fails it."""
    with running(tmp_path, ports=(80, 443, origin.port)) as service:
        yield service
        assert service.leftovers() == {}


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """A real Keystone on loopback, one for all tests of this process: what they put into it is their own, and who stops
    it starts it again.
    """
    with running_keystone(tmp_path_factory.mktemp("keystone")) as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A real SeaweedFS on loopback, one for all tests of this process: each makes buckets of its own."""
    with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A real Azurite on loopback, one for all tests of this process: each has a prefix of its own."""
    with running_azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """A real Swift on loopback, one for all tests of this process: each has a prefix of its own in its container."""
    with running_swift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture(scope="session")
def google(seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """The SeaweedFS in the words of Google Cloud Storage."""
    with in_googles_words(seaweedfs, tmp_path_factory.mktemp("google")) as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Once a test's own directory is done with, its database may serve another test."""
    yield
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    if directory is not None:
        databases.release(directory)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about another database; without the one that was asked for, say so for each test. Names of
    tests must be the same in each process that runs some of them.
    """
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid} has an address in its name, which differs from process to process")
        if not SLOW.isdisjoint(getattr(item, "fixturenames", ())):
            # The first may have to make its environment, which takes as long as its packages take to come.
            item.add_marker(pytest.mark.timeout(600))
    marker = "server" if databases.KIND == "sqlite" else "sqlite"
    other = {item for item in items if item.get_closest_marker(marker) is not None}
    config.hook.pytest_deselected(items=list(other))
    items[:] = [item for item in items if item not in other]
    reason = databases.why_not(databases.KIND)
    if reason is not None:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_configure() -> None:
    """Where every database is required, one that is missing is an error."""
    if os.environ.get("GLARE_TEST_REQUIRE") == "all" and (reason := databases.why_not(databases.KIND)):
        raise pytest.UsageError(reason)


def pytest_sessionfinish() -> None:
    """Leave nothing on the database servers."""
    databases.drop_all()
