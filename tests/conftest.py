"""Fixtures that everybody shares."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from support import databases
from support.origin import Origin
from support.service import Glare, running


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Once a test's own directory is done with, its database may serve another test."""
    yield
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    if directory is not None:
        databases.release(directory)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the database that was asked for nothing can run: say so for each test, or fail where it is required."""
    marker = "server" if databases.KIND == "sqlite" else "sqlite"
    other = {item for item in items if item.get_closest_marker(marker) is not None}
    config.hook.pytest_deselected(items=list(other))
    items[:] = [item for item in items if item not in other]
    reason = databases.why_not(databases.KIND)
    if reason is None:
        return
    if os.environ.get("GLARE_TEST_REQUIRE") == "all":
        pytest.exit(reason, returncode=1)
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))
