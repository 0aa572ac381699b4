"""Three nodes behind nginx, on one database and one directory, under load: nobody notices that one goes."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import pytest

from server_process import free_ports
from support.conversation import eventually
from support.programs import nginx
from support.runs.load import Load
from support.server import Server
from support.service import ACTORS

pytestmark = pytest.mark.server  # Nodes share a database server.

PAGE: Final = (Path(__file__).parents[3] / "docs" / "how-to" / "run-behind-nginx.md").read_text()
[LOCATION] = re.findall(r"( {4}location / \{\n.*?\n {4}\}\n)", PAGE, re.DOTALL)
TEXT: Final = (
    "[DEFAULT]\nshutdown_timeout = 5 s\n[store]\nremoval_delay = 60 s\n"
    "[uploads]\nattempt_heartbeat = 0.5 s\nattempt_timeout = 4 s\n"
)
PASSED_OVER: Final = 1.2
"""Seconds after which nginx looks at a node again that was gone."""


@dataclass
class Cluster:
    """The nodes, and the URL in front of them."""

    nodes: list[Server]
    url: str

    def require_whole(self, load: Load) -> None:
        """Every node has what was promised, whoever has promised it."""
        for number, (made, data) in enumerate(load.promised.items()):
            node = self.nodes[number % len(self.nodes)]
            found = httpx2.get(
                f"{node.url}/artifacts/images/{made}/image", headers={"X-Auth-Token": ACTORS["alice"]}, trust_env=False
            )
            assert (found.status_code, found.content == data) == (200, True), made


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "nginx"
    folder.mkdir()
    first = Server(tmp_path, TEXT)
    others = [Server(tmp_path, TEXT) for _ in range(2)]
    [port] = free_ports(1)
    members = "".join(f"server 127.0.0.1:{node.port} max_fails=1 fail_timeout=1s; " for node in (first, *others))
    servers = (
        f"upstream glare {{ {members} keepalive 16; }}\n"
        f"server {{ listen 127.0.0.1:{port}; client_max_body_size 0;\n{LOCATION}}}\n"
    )
    with first, others[0], others[1], nginx.running(servers, [port], folder):
        yield Cluster([first, *others], f"http://127.0.0.1:{port}")


def works(load: Load) -> None:
    """Wait until four more artifacts are promised, or something has failed."""
    wanted = len(load.promised) + 4
    eventually(lambda: len(load.promised) >= wanted or load.failures, 60)
    assert load.failures == []


def restarted(node: Server) -> None:
    """As a service manager restarts it."""
    node.stop(signal.SIGTERM)
    assert node.wait() == 0
    node.start()


def killed(node: Server) -> None:
    """As a machine fails, and comes again."""
    node.kill()
    time.sleep(PASSED_OVER)
    node.start()


def test_nobody_notices_that_a_node_goes(cluster: Cluster) -> None:
    """One node is restarted and another one killed, while clients make, upload, activate and download: none of their
    requests fails that is asked once more, and what was promised is there, whole, at every node.
    """
    with Load(cluster.url) as load:
        works(load)
        for node, goes in zip(cluster.nodes, (restarted, killed), strict=False):
            goes(node)
            time.sleep(PASSED_OVER)
            works(load)
    assert load.failures == []
    cluster.require_whole(load)
