"""python-glareclient 0.5.3 against a running service.

The client is of 2018. Its environment is that of the demonstration (`tools/client_environment.py`), in which
`tools/mend_client.py` mends what fails on Python 3, and nothing else: downloads, lists that reach their limit, uploads
of bytes from standard input, and answers 500.

A test says with `@pytest.mark.drives(…)` which commands or methods it is about. It fails if it has not driven them, and
another one fails where the installed client offers something that no test drives.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.origins.origin import Origin
from support.programs.client import PROGRAMS, TRANSPORTS, Driver, Library, Shell, find_commands
from support.server import Server

NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test may have to make the client's environment, which takes as long as its packages take to come."""
    for item in items:
        if "commands" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(600))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of commands is run with each program, unless it says with which, and one of methods with each
    transport.
    """
    if "shell" in metafunc.fixturenames:
        only = [mark.kwargs["only"] for mark in metafunc.definition.iter_markers("drives") if "only" in mark.kwargs]
        metafunc.parametrize("shell", only or PROGRAMS, indirect=True)
    if "library" in metafunc.fixturenames:
        metafunc.parametrize("library", TRANSPORTS, indirect=True)


@pytest.fixture(scope="session")
def commands() -> Path:
    """The folder of the client's commands. Where it cannot be made, the tests are skipped, or fail if everything is
    required.
    """
    found = find_commands()
    if isinstance(found, Path):
        return found
    if os.environ.get("GLARE_TEST_REQUIRE") == "all":
        pytest.fail(found, pytrace=False)
    pytest.skip(found)


@pytest.fixture(scope="session")
def driver(commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with Driver(commands, tmp_path_factory.mktemp("driver")) as process:
        yield process


@pytest.fixture(scope="session")
def external() -> Iterator[Origin]:
    """A web server on loopback, which the service may reach."""
    with Origin() as server:
        yield server


@pytest.fixture(scope="session")
def service(commands: Path, tmp_path_factory: pytest.TempPathFactory, external: Origin) -> Iterator[Server]:
    """A running service. What the tests leave behind where nothing should be fails the last one."""
    with Server(tmp_path_factory.mktemp("service"), f"allowed_ports = 80, 443, {external.port}\n") as process:
        yield process
        assert process.leftovers() == {}
        assert "unexpected error" not in process.log


@pytest.fixture
def shell(request: pytest.FixtureRequest, driver: Driver, service: Server, tmp_path: Path) -> Iterator[Shell]:
    """A program, which must have run the commands that the test is about."""
    shell = Shell(request.param, driver, service.url, tmp_path)
    yield shell
    assert _named(request) <= shell.driven


@pytest.fixture
def library(request: pytest.FixtureRequest, driver: Driver, service: Server) -> Iterator[Library]:
    """The library over a transport, whose methods that the test is about must have been called."""
    library = Library(request.param, driver, service.url)
    yield library
    assert _named(request) <= library.driven


@pytest.fixture
def name() -> str:
    """The name of an artifact that nobody else has."""
    return f"thing-{os.getpid()}-{next(NUMBERS)}"


def _named(request: pytest.FixtureRequest) -> set[str]:
    return {name for mark in request.node.iter_markers("drives") for name in mark.args}
