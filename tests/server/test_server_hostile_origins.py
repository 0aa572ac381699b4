"""Origins that misbehave, and a real server with a worker: whatever they send, it costs no memory, and the server goes
on.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from glare.digest import BLOCK
from support.origins.hostile import BEHAVIOURS, CONTENT, Hostile
from support.server import Server

pytestmark = pytest.mark.sqlite

QUICK = (
    "header_deadline = 0.6\nmax_redirects = 3\nmax_header_bytes = 8 KiB\nminimum_throughput = 1 MiB\ntotal_time = 1\n"
    "project_requests = -1\nproject_concurrency = 64\nhost_concurrency = 64\n"
)
MARGIN = 32 * BLOCK
"""What eight measurements at once may cost, and what the allocator keeps of it."""


@pytest.fixture(scope="module")
def hostile() -> Iterator[Hostile]:
    with Hostile() as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, hostile: Hostile) -> Iterator[Server]:
    text = f"allowed_ports = {hostile.port}\n{QUICK}"
    with Server(tmp_path_factory.mktemp("hostile"), text) as process:
        yield process
        assert process.leftovers() == {}
        assert "unexpected error" not in process.log


def test_no_behaviour_costs_memory(server: Server, hostile: Hostile) -> None:
    """All behaviours, eight at a time: endless bodies, headers and interim answers among them; then an honest one is
    recorded as ever.
    """
    warm = server.alice.create("sample_artifact", name="warm")
    server.alice.locate(warm, "blob", hostile.url("honest"))
    artifacts = {name: server.alice.create("sample_artifact", name=name) for name in sorted(BEHAVIOURS)}
    before = server.memory()
    seen = [before]

    def record(name: str) -> int:
        arguments = {"to": hostile.url("loop")} if "redirect" in name else {}
        answer = server.alice.try_locate(artifacts[name], "blob", hostile.url(name, **arguments))
        seen.append(server.memory())
        return int(answer.status_code)

    with ThreadPoolExecutor(8) as threads:
        codes = dict(zip(artifacts, threads.map(record, artifacts), strict=True))
    assert max(seen) - before < MARGIN
    assert set(codes.values()) <= {200, 400, 413}
    assert codes["honest"] == 200
    assert codes["endless"] in (400, 413)
    last = server.alice.create("sample_artifact", name="last")
    assert server.alice.locate(last, "blob", hostile.url("honest"))["blob"]["size"] == len(CONTENT)
