from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
import trustme

from glare.egress.client import EgressClient
from support.origins.egress import quick, resolve
from support.origins.hostile import Hostile
from support.origins.origin import Origin


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with Hostile() as server:
        yield server


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture
def client(hostile: Hostile, origin: Origin) -> EgressClient:
    """A client that may reach both servers, by address and by the names in `NAMES`."""
    return EgressClient(quick(hostile.port, origin.port), resolve=resolve)


@pytest.fixture
def impatient(hostile: Hostile) -> EgressClient:
    """A client for origins that are slow on purpose."""
    return EgressClient(quick(hostile.port, header_seconds=0.6))


@pytest.fixture(scope="session")
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certified(authority: trustme.CA) -> Callable[..., ssl.SSLContext]:
    """A server's TLS context for the names that are given."""

    def context(*names: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(made)
        return made

    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's TLS context that trusts the test's authority."""
    made = ssl.create_default_context()
    authority.configure_trust(made)
    return made
