"""The nginx configuration of the page for operators, run as it stands there, in front of two nodes."""

from __future__ import annotations

import random
import re
import signal
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme

from glare.settings import Sources, load
from glare.settings.units import parse_duration
from server_process import free_ports
from support.programs import nginx
from support.server import Server
from support.service import ACTORS, path_of

pytestmark = pytest.mark.sqlite

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "run-behind-nginx.md").read_text()
[BLOCK] = re.findall(r"```nginx\n(.*?)```", PAGE, re.DOTALL)
NAME = "glare.example.org"
DATA = random.Random(4).randbytes(3 << 20)


@dataclass
class Site:
    """Two nodes, and a client of the proxy in front of them."""

    nodes: tuple[Server, Server]
    client: httpx2.Client
    folder: Path

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """A request of Alice's, on a connection that may be kept."""
        headers = {"X-Auth-Token": ACTORS["alice"], **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)


def adapted(text: str, nodes: tuple[Server, Server], port: int, folder: Path) -> str:
    """The configuration with the test's names, ports and files in the place of the operator's."""
    for written, meant in (
        ("node1.internal:9494", f"127.0.0.1:{nodes[0].port}"),
        ("node2.internal:9494", f"127.0.0.1:{nodes[1].port}"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/nginx/glare.pem", str(folder / "glare.pem")),
        ("/etc/nginx/glare.key", str(folder / "glare.key")),
    ):
        assert text.count(written) == 1, written
        text = text.replace(written, meant)
    return text


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "nginx"
    folder.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert(NAME, "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(folder / "glare.pem")
    certificate.private_key_pem.write_to_path(folder / "glare.key")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    text = "[DEFAULT]\nshutdown_timeout = 2 s\n"
    with Server(tmp_path, text) as first, Server(tmp_path, text, options=("--no-worker",)) as second:
        [port] = free_ports(1)
        nodes = (first, second)
        with (
            nginx.running(adapted(BLOCK, nodes, port, folder), [port], folder),
            httpx2.Client(base_url=f"https://127.0.0.1:{port}", verify=trust, timeout=20, trust_env=False) as client,
        ):
            yield Site(nodes, client, folder)


def test_bodies_of_any_size_go_through_as_they_come(site: Site) -> None:
    """An upload over nginx's own limit, with a length or chunked, and a download, whole and in part; nginx writes none
    of it down.
    """
    artifact = site.nodes[0].alice.create("images", name="a")
    place = f"{path_of(artifact)}/image"
    headers = {"Content-Type": "application/octet-stream"}
    for body in (DATA, (DATA[at : at + 100_000] for at in range(0, len(DATA), 100_000))):
        assert site.ask("PUT", place, content=body, headers=headers).status_code == 200
    assert site.ask("GET", place).content == DATA
    part = site.ask("GET", place, headers={"Range": "bytes=1000000-2000000"})
    assert (part.status_code, part.content) == (206, DATA[1_000_000:2_000_001])
    assert not [path for path in (site.folder / "temporary").rglob("*") if path.is_file()]


def test_long_heads_go_through(site: Site) -> None:
    """A token and a query of several kilobytes are none too many, and the answer is Glare's."""
    answer = site.ask("GET", f"/artifacts/images?name={'x' * 9000}", headers={"X-Long": "y" * 12_000})
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    assert answer.status_code in (200, 400)


def test_what_is_only_for_operators_stays_inside(site: Site) -> None:
    """/metrics is not there, and who is calling cannot be said by a client."""
    assert site.ask("GET", "/metrics").status_code == 404
    for name in ("X-Identity-Status", "X-User-Id", "X-Project-Id", "X-Roles"):
        assert f'proxy_set_header {name} "";' in BLOCK


def test_a_node_that_was_killed_is_passed_over(site: Site) -> None:
    """Every request that may be asked twice is answered by the other node, from the first one after the kill on."""
    place = path_of(site.nodes[0].alice.create("images", name="a"))
    assert {site.ask("GET", place).status_code for _ in range(6)} == {200}
    site.nodes[1].kill()
    assert {site.ask("GET", place).status_code for _ in range(20)} == {200}


def test_a_node_that_stops_is_passed_over(site: Site) -> None:
    """The same holds while a node ends its work, and when it is gone."""
    place = path_of(site.nodes[0].alice.create("images", name="a"))
    assert {site.ask("GET", place).status_code for _ in range(6)} == {200}
    site.nodes[0].stop(signal.SIGTERM)
    assert {site.ask("GET", place).status_code for _ in range(20)} == {200}
    assert site.nodes[0].wait() == 0
    assert {site.ask("GET", place).status_code for _ in range(6)} == {200}


def test_times_fit_those_of_the_service() -> None:
    """Nginx waits for longer than Glare where Glare has a better answer, and closes idle connections to it sooner."""
    settings = load(Sources(search=False, environment=False)).settings

    def seconds(name: str) -> float:
        [found] = re.findall(rf"^\s*{name}\s+(\w+);", BLOCK, re.MULTILINE)
        return parse_duration(found)

    assert seconds("keepalive_timeout") < settings.server.keepalive_timeout
    for name in ("client_body_timeout", "proxy_send_timeout"):
        assert seconds(name) > settings.uploads.stall_timeout
    assert seconds("send_timeout") > settings.server.send_stall_timeout
    assert seconds("proxy_read_timeout") > settings.locations.header_deadline
    number, size = re.findall(r"large_client_header_buffers (\d+) (\d+)k;", BLOCK)[0]
    assert int(number) * int(size) * 1024 <= settings.server.max_head_size
