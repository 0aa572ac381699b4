"""One service for all tests of a module; tests keep apart by names and projects of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from support.service import Glare, running


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """The service, shared by the tests of a module. What they leave behind where nothing should be fails them."""
    with running(tmp_path_factory.mktemp("api")) as service:
        yield service
        assert service.leftovers() == {}


@pytest.fixture(scope="session")
def unique() -> Callable[[], str]:
    """Makes texts that no other test has: names, projects, keywords."""
    numbers = itertools.count(1)
    return lambda: f"unique-{next(numbers)}"
