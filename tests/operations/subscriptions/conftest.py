"""A receiver, and a service that may send to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.origins.receiver import Receiver
from support.service import Glare
from support.subscribers import telling


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that confirms, and takes everything."""
    with Receiver() as server:
        yield server


@pytest.fixture
def service(tmp_path: Path, receiver: Receiver) -> Iterator[Glare]:
    """A service that may send to `receiver`."""
    with telling(tmp_path, receiver) as glare:
        yield glare
        assert glare.leftovers() == {}
