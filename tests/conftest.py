"""Fixtures that everybody shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
