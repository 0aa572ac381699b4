from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import time
import urllib.request
from pathlib import Path

import pytest
import trustme

from glare.cli.server import address_of
from glare.settings import Sources, load
from support.programs.command import Cli, Start, wait_for


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_service_with_zero(start: Start, free_port: int, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end the service soon, with exit code 0 and nothing left behind."""
    process = start("-m", "support.small_asgi", "make", f"bind_port={free_port}")
    wait_for(f"http://127.0.0.1:{free_port}/", process)
    # Ctrl-C reaches all processes of the terminal, a service manager's SIGTERM the first alone.
    os.killpg(process.pid, number) if number is signal.SIGINT else process.terminate()
    assert process.wait(10) == 0
    assert group_ends(process.pid)


def group_ends(group: int) -> bool:
    """Whether all processes of a group end by themselves; Python's own helper process takes a moment."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_settings_reach_the_processes_and_one_of_them_does_the_background_work(start: Start, free_port: int) -> None:
    """Of several processes exactly one has the background work, and all have the settings."""
    process = start("-m", "support.small_asgi", "make", f"bind_port={free_port}", "workers=2")
    seen: dict[int, bool] = {}
    deadline = time.monotonic() + 30
    while len(seen) < 2 and time.monotonic() < deadline:
        answer = json.loads(wait_for(f"http://127.0.0.1:{free_port}/", process))
        seen[answer["pid"]] = answer["worker"]
        assert answer["page"] == 25
    assert sorted(seen.values()) == [False, True]


def test_a_process_that_dies_is_replaced_and_the_background_work_goes_on(start: Start, free_port: int) -> None:
    """A killed server process comes back, and takes the background work up again."""
    process = start("-m", "support.small_asgi", "make", f"bind_port={free_port}")
    url = f"http://127.0.0.1:{free_port}/"
    first = json.loads(wait_for(url, process))
    os.kill(first["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 30
    second = first
    while second["pid"] == first["pid"] and time.monotonic() < deadline:
        second = json.loads(wait_for(url, process))
    assert second["pid"] != first["pid"]
    assert second["worker"] is True


def test_a_service_speaks_to_a_collector_in_its_format(start: Start, cli: Cli, free_port: int) -> None:
    """With format = json every line of the service's log is an object, its address included."""
    cli.done("init")
    (cli.directory / "glare.conf").write_text("[logging]\nformat = json\n")
    options = ("--config-file", "glare.conf", "--bind-port", str(free_port))
    process = start("-m", "glare", "serve", *options)
    wait_for(f"http://127.0.0.1:{free_port}/healthz", process)
    process.terminate()
    _, error = process.communicate(timeout=20)
    messages = [json.loads(line)["message"] for line in error.splitlines()]
    assert messages[0] == f"serving on http://127.0.0.1:{free_port}; Ctrl-C stops it."


def test_a_taken_port_is_refused_in_a_sentence(start: Start, free_port: int) -> None:
    """A port that another program listens on is refused by name, with what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        process = start("-m", "support.small_asgi", "make", f"bind_port={free_port}")
        _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"bind_port is {free_port}, but another program listens on it" in error
    assert "Traceback" not in error


def test_an_application_that_cannot_start_ends_the_service(start: Start, free_port: int) -> None:
    """A service whose processes fail does not start them for ever: it ends with exit code 1."""
    process = start("-m", "support.small_asgi", "broken", f"bind_port={free_port}")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "broken on purpose" in error


def test_a_client_that_dawdles_over_its_head_is_sent_away(start: Start, free_port: int) -> None:
    """A connection whose request head does not come within client_socket_timeout is closed."""
    process = start("-m", "support.small_asgi", "make", f"bind_port={free_port}", "client_socket_timeout=1 s")
    wait_for(f"http://127.0.0.1:{free_port}/", process)
    with socket.create_connection(("127.0.0.1", free_port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        started = time.monotonic()
        rest = client.recv(1000)
        while rest and client.recv(1000):
            pass
        assert 0.5 < time.monotonic() - started < 10


def test_the_service_speaks_tls_and_wants_a_client_certificate(start: Start, free_port: int, tmp_path: Path) -> None:
    """With certificate and key it speaks TLS; with an authority it serves only who has a certificate of that one."""
    authority = trustme.CA()
    files = {name: tmp_path / name for name in ("server.crt", "server.key", "ca.crt")}
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(files["server.crt"]))
    issued.private_key_pem.write_to_path(str(files["server.key"]))
    authority.cert_pem.write_to_path(str(files["ca.crt"]))
    process = start(
        *("-m", "support.small_asgi", "make", f"bind_port={free_port}", f"cert_file={files['server.crt']}"),
        *(f"key_file={files['server.key']}", f"ca_file={files['ca.crt']}"),
    )
    known, stranger = (ssl.create_default_context(cafile=str(files["ca.crt"])) for _ in range(2))
    authority.issue_cert("client@example.org").configure_cert(known)
    url = f"https://127.0.0.1:{free_port}/"
    assert json.loads(wait_for(url, process, context=known))["worker"] is True
    with pytest.raises(OSError, match=r"(?i)certificate|reset|eof|closed"):
        urllib.request.urlopen(url, timeout=5, context=stranger)


def test_an_address_of_the_sixth_version_is_listened_on(start: Start, free_port: int) -> None:
    """An IPv6 address may be listened on; in a URL it stands in brackets."""
    process = start("-m", "support.small_asgi", "make", f"bind_port={free_port}", "bind_host=::1")
    assert wait_for(f"http://[::1]:{free_port}/", process)
    settings = load(Sources(overrides={("DEFAULT", "bind_host"): "::"}, search=False, environment=False)).settings
    assert address_of(settings).url == "http://[::1]:9494"


def test_an_address_that_is_not_this_machines_is_refused(start: Start, free_port: int) -> None:
    """An address that no interface has is refused by name."""
    process = start("-m", "support.small_asgi", "make", f"bind_port={free_port}", "bind_host=192.0.2.1")
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "bind_host is '192.0.2.1', but this machine has no such address" in error
