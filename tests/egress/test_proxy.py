"""Through a proxy of the operator, and through no other."""

from __future__ import annotations

import socket
import threading

import pytest

from glare.egress.client import EgressClient
from glare.egress.decision import UNREACHABLE
from glare.errors import LocationRefused
from support.origins.egress import NAME, closed_port, quick, read, resolve
from support.origins.hostile import Hostile
from support.origins.origin import Origin


@pytest.fixture
def _proxy_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@pytest.mark.usefixtures("_proxy_environment")
def test_environment_proxy_is_ignored(client: EgressClient, origin: Origin) -> None:
    """Proxies of the environment are not used."""
    origin.put("/a", b"1")
    assert read(client, origin.url("/a")) == b"1"


class ConnectProxy:
    """A proxy that records what it is asked to CONNECT to, and connects there where it is told to."""

    def __init__(self, willing: bool) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.asked: list[str] = []
        self._willing = willing
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        with client:
            self.asked.append(client.recv(65536).decode().split("\r\n")[0])
            if not self._willing:
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            host, _, port = self.asked[0].split(" ")[1].rpartition(":")
            with socket.create_connection((host, int(port)), 5) as origin:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                origin.sendall(client.recv(65536))
                while data := origin.recv(65536):
                    client.sendall(data)

    def stop(self) -> None:
        self._thread.join(5)
        self._listener.close()


def test_egress_proxy(origin: Origin) -> None:
    """With an egress proxy the name is still resolved and decided here, and the proxy is asked for the address."""
    origin.put("/a", b"1")
    proxy = ConnectProxy(willing=True)
    client = EgressClient(quick(origin.port, proxy=("127.0.0.1", proxy.port)), resolve=resolve)
    with pytest.raises(LocationRefused):
        client.open(client.parse(origin.url("/a", "private.test.example")))
    assert proxy.asked == []
    assert read(client, origin.url("/a", NAME)) == b"1"
    proxy.stop()
    assert proxy.asked == [f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1"]
    assert origin.seen[0].headers["host"] == f"{NAME}:{origin.port}"


def test_egress_proxy_that_refuses(origin: Origin) -> None:
    """A proxy that refuses the connection makes the origin unreachable."""
    proxy = ConnectProxy(willing=False)
    client = EgressClient(quick(origin.port, proxy=("127.0.0.1", proxy.port)), resolve=resolve)
    with pytest.raises(LocationRefused) as caught:
        client.open(client.parse(origin.url("/a", NAME)))
    proxy.stop()
    assert caught.value.message == UNREACHABLE
    assert "403" in caught.value.reason


def test_egress_proxy_that_does_not_speak(origin: Origin, hostile: Hostile) -> None:
    """A proxy that answers nonsense or not at all makes the origin unreachable too, so that nothing can be told
    apart.
    """
    for port in (closed_port(), origin.port):
        client = EgressClient(quick(hostile.port, proxy=("127.0.0.1", port)), resolve=resolve)
        with pytest.raises(LocationRefused) as caught:
            client.open(client.parse(hostile.url("honest", NAME)))
        assert caught.value.message == UNREACHABLE
    assert hostile.visits("honest") == 0


def test_every_kind_of_address_is_asked_of_the_proxy() -> None:
    """An IPv6 address is put in brackets when the proxy is asked for it."""
    proxy = ConnectProxy(willing=False)
    client = EgressClient(quick(80, proxy=("127.0.0.1", proxy.port)))
    with pytest.raises(LocationRefused):
        client.open(client.parse("http://[2606:4700::1111]/"))
    proxy.stop()
    assert proxy.asked == ["CONNECT [2606:4700::1111]:80 HTTP/1.1"]
