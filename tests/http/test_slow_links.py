"""Links to web servers that never answer hold up those who wrote them, and nobody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.conversation import eventually
from support.origins.hostile import Hostile
from support.service import Glare, running

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

DEADLINE = 2.0


@pytest.fixture(scope="module")
def hostile() -> Iterator[Hostile]:
    with Hostile() as server:
        yield server


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, hostile: Hostile) -> Iterator[Glare]:
    """A service with one thread for short requests."""
    settings = f"header_deadline = {DEADLINE}\n[api]\nrequest_threads = 1\n"
    with running(tmp_path_factory.mktemp("narrow"), settings, ports=(80, 443, hostile.port)) as glare:
        yield glare


def created(glare: Glare, url: str) -> int:
    return glare.alice.try_create("sample_artifact", name="created", string_required="x", link1=url).status_code


def patched(glare: Glare, url: str) -> int:
    artifact = glare.alice.create("sample_artifact", name="patched", string_required="x")
    return glare.alice.set(artifact, link1=url).status_code


def copied(glare: Glare, url: str) -> int:
    artifact = glare.alice.create("sample_artifact", name="copied", string_required="x", str1=url)
    return glare.alice.patch(artifact, {"op": "copy", "from": "/str1", "path": "/link1"}).status_code


@pytest.mark.parametrize("write", [created, patched, copied])
def test_a_silent_link_holds_up_nobody_else(
    narrow: Glare, hostile: Hostile, write: Callable[[Glare, str], int]
) -> None:
    """While a link waits for a silent server, lists are answered at once, though there is one thread for them."""
    before = hostile.visits("silent")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write, narrow, hostile.url("silent"))
        eventually(lambda: hostile.visits("silent") > before)
        began = time.monotonic()
        narrow.bob.page("sample_artifact")
        assert time.monotonic() - began < DEADLINE / 2
        assert not writing.done()
        assert writing.result() == 400
