"""A real server and crowds of clients: who gets in, and what is left of a crowd when it is gone."""

from __future__ import annotations

import random
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import pytest

from support.conversation import eventually
from support.server import Server
from support.service import ACTORS, Json, path_of

pytestmark = pytest.mark.sqlite  # What a connection may do is the same on each database.

DATA = random.Random(3).randbytes(8 << 20)
MARGIN = 48 << 20
"""Bytes of memory that a crowd may leave behind at most: what the allocator keeps, and what the first request of a kind
loads."""

CROWD = 40
STALL = 2


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Enough of them for the clients."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def crowd(stack: ExitStack, server: Server, count: int, path: str, headers: str = "") -> list[socket.socket]:
    """So many connections that have asked for `path`, and read nothing."""
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {ACTORS['alice']}\r\n{headers}\r\n".encode()
    clients = []
    for _ in range(count):
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.settimeout(10)
        client.connect(("127.0.0.1", server.port))
        with suppress(ConnectionResetError, BrokenPipeError):
            client.sendall(asked)
        clients.append(client)
    return clients


def stored(server: Server, name: str = "large") -> Json:
    """An image of 8 MiB."""
    return server.alice.upload(server.alice.create("images", name=name), "image", DATA)


def number(server: Server, metric: str) -> float:
    """A metric, as `/metrics` has it."""
    with server.connect() as client:
        client.ask("GET", "/metrics", {"Connection": "close"})
        text = client.answer()[2].decode()
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{metric} ")), 0.0)


@pytest.mark.parametrize("unchecked", ["", "[store]\nunchecked_files = file\n"], ids=["checked", "by the kernel"])
def test_seven_hundred_unread_downloads_leave_probes_answering(tmp_path: Path, unchecked: str) -> None:
    """With 1 024 file descriptors, from the address of a trusted proxy: probes and metrics answer, and the service is
    itself again after.
    """
    text = f"{unchecked}[DEFAULT]\ntrusted_proxies = 127.0.0.0/8\nsend_stall_timeout = 5\n"
    with Server(tmp_path, text, descriptors=1024) as server:
        image = stored(server)
        with ExitStack() as stack:
            crowd(stack, server, 700, f"{path_of(image)}/image")
            for path in ("/healthz", "/readyz", "/metrics"):
                # On a connection of its own: one that is kept idle makes room for the crowd.
                assert httpx2.get(f"{server.url}{path}", trust_env=False, timeout=30).status_code == 200
            assert number(server, "glare_http_connections") < 1024 / 2
        eventually(lambda: server.alice.download(image, "image").content == DATA, patience=20)
        assert "unexpected error" not in server.log


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = (
        f"[store]\nunchecked_files = file\n[uploads]\nmax_concurrent = {CROWD}\n[DEFAULT]\nsend_stall_timeout = "
        f"{STALL}\nkeepalive_timeout = 5\nmax_api_limit = 1000\n"
    )
    with Server(tmp_path_factory.mktemp("crowds"), text) as process:
        yield process
        assert process.leftovers() == {}
        assert "unexpected error" not in process.log


@pytest.mark.parametrize("kind", ["file", "range", "list"])
def test_what_is_not_read_costs_nothing_for_long(server: Server, kind: str) -> None:
    """A crowd that reads nothing of a file, a range or a long list is cut off, and its memory is free again."""
    if kind == "list":
        for each in range(80):
            server.alice.create("sample_artifact", name=f"long {each}", string_required="x", dict_of_str=long_text())
        path, headers = "/artifacts/sample_artifact?limit=100", ""
        expected = len(server.alice.request("GET", path).content)
        assert expected > 4 << 20
    else:
        path = f"{path_of(stored(server, kind))}/image"
        headers, expected = ("Range: bytes=1-\r\n", len(DATA) - 1) if kind == "range" else ("", len(DATA))
    with ExitStack() as stack:  # So that everything is loaded that is needed.
        crowd(stack, server, 3, path, headers)
        eventually(lambda: number(server, CUT_OFF) >= 3)
    before, already = server.memory(), number(server, CUT_OFF)
    with ExitStack() as stack:
        clients = crowd(stack, server, CROWD, path, headers)
        eventually(lambda: number(server, CUT_OFF) - already > CROWD // 2, patience=30)
        eventually(lambda: number(server, "glare_http_connections") <= 2, patience=30)
        eventually(lambda: server.memory() < before + MARGIN, patience=30)
        assert all(rest(client) < expected for client in clients)


CUT_OFF = 'glare_http_connections_cut_off_total{reason="stall"}'


def long_text() -> dict[str, str]:
    """A dictionary of about 65 KB."""
    return {f"key {each}": "x" * 250 for each in range(250)}


def rest(client: socket.socket) -> int:
    """How many bytes still come."""
    size = 0
    with suppress(ConnectionResetError):
        while piece := client.recv(1 << 20):
            size += len(piece)
    return size


def test_crowds_of_idle_connections_are_no_load(server: Server) -> None:
    """Hundreds of unfinished heads and of kept connections from one address: everybody is served, and nobody is
    refused.
    """
    image = server.alice.create("images", name="shown")
    with ExitStack() as stack:
        crowd(stack, server, 400, "/healthz")
        for client in crowd(stack, server, 400, "/healthz", "X-Unfinished: a"):
            with suppress(ConnectionResetError, BrokenPipeError):
                client.sendall(b"b")
        for _ in range(8):
            with server.connect() as asking:
                asking.ask("GET", path_of(image))
                assert asking.answer()[0] == 200
        assert server.client.get("/healthz", headers={"Connection": "close"}).status_code == 200
        assert number(server, "glare_http_connections") <= 256
        assert number(server, 'glare_http_connections_refused_total{reason="address"}') == 0
