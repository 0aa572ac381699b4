"""A broker, a relay in front of it, and a queue to listen to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.origins.relay import Relay
from support.programs.broker import Mailbox, address, why_not


@pytest.fixture(scope="session")
def broker() -> tuple[str, int]:
    """Host and port of RabbitMQ. Without one the tests are skipped, or fail if everything is required."""
    reason = why_not()
    if reason is not None:
        if os.environ.get("GLARE_TEST_REQUIRE") == "all":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return address()


@pytest.fixture
def relay(broker: tuple[str, int]) -> Iterator[Relay]:
    """What Glare takes for the broker; it is cut until a test restores it."""
    with Relay(broker) as relay:
        yield relay


@pytest.fixture
def mailbox(broker: tuple[str, int]) -> Iterator[Mailbox]:
    """Somebody who listens."""
    with Mailbox() as mailbox:
        yield mailbox
