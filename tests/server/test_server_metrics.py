"""Metrics and logs of a real service with several processes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from support.conversation import eventually
from support.server import Server

pytestmark = pytest.mark.sqlite  # Numbers are shared by files.

REQUESTS = 'glare_http_requests_total{method="GET",route="/schemas",status="200"}'

WORK = ("verification", "jobs", "webhooks")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Two processes that log JSON."""
    with Server(tmp_path, "[logging]\nformat = json\n[DEFAULT]\nworkers = 2\n") as running:
        yield running


def ask(server: Server, path: str) -> httpx2.Response:
    """A request on a connection of its own, so that any of the processes may get it."""
    headers = {"X-Auth-Token": "alice:wonderland:member"}
    return httpx2.get(f"{server.url}{path}", headers=headers, trust_env=False, timeout=10)


def counted(server: Server) -> float:
    found = re.search(rf"^{re.escape(REQUESTS)} (\S+)$", ask(server, "/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0


def test_every_scrape_shows_all_processes(server: Server) -> None:
    """Whichever process answers the scrape, it has the requests of both; and a new start begins at nothing."""
    with ThreadPoolExecutor(4) as pool:
        ids = {
            answer.headers["x-openstack-request-id"]
            for answer in pool.map(lambda _: ask(server, "/schemas"), range(40))
        }
    # The answer is on its way before its line is written.
    eventually(lambda: counted(server) == 40)
    assert {counted(server) for _ in range(12)} == {40}
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    logged = [line["request_id"] for line in lines if line.get("route") == "/schemas"]
    assert sorted(logged) == sorted(ids)
    assert len(list((server.settings.server.state_dir / "metrics").glob("counter_*.db"))) == 2
    server.kill()
    server.start()
    assert counted(server) == 0


def test_levels_of_background_work_names_and_reads_are_told(server: Server) -> None:
    """Also of a service that has nothing to do: an operator sees that they are nothing."""
    wanted = [
        *(f'glare_crew_at_work{{pace="{pace}",work="{work}"}} 0.0' for pace in ("quick", "slow") for work in WORK),
        *(f'glare_name_lookups{{state="{state}"}} 0.0' for state in ("quick", "slow", "waiting")),
        *(f'glare_reads_accounts{{of="{of}"}} 0.0' for of in ("party", "host")),
        "glare_reads_untold_bytes 0.0",
    ]
    eventually(lambda: set(wanted) <= set(ask(server, "/metrics").text.splitlines()))
