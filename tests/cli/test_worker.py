from __future__ import annotations

import json
import signal
import socket

import httpx2
import pytest

from support.programs.command import Cli, Start, wait_for


def test_a_worker_speaks_to_a_collector_in_its_format(start: Start, cli: Cli) -> None:
    """With format = json what the worker says of itself is an object on a line too."""
    cli.done("init")
    (cli.directory / "glare.conf").write_text("[logging]\nformat = json\n")
    process = start("-m", "glare", "worker", "--config-file", "glare.conf")
    assert process.stderr is not None
    entry = json.loads(process.stderr.readline())
    assert (entry["level"], entry["message"]) == ("info", "doing the background work; Ctrl-C stops it.")
    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_worker_with_zero(start: Start, cli: Cli, number: signal.Signals) -> None:
    """A worker in a process of its own runs until a signal, and ends with exit code 0."""
    cli.done("init")
    process = start("-m", "glare", "worker")
    assert process.stderr is not None
    assert "doing the background work" in process.stderr.readline()
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, "")


def test_a_worker_on_its_own_tells_its_numbers(start: Start, cli: Cli, free_port: int) -> None:
    """With `worker_bind` it answers Prometheus, with what it counts itself and the depths of queues, and says that it
    lives.
    """
    cli.done("init")
    (cli.directory / "glare.conf").write_text(f"[metrics]\nworker_bind = 127.0.0.1:{free_port}\n")
    process = start("-m", "glare", "worker", "--config-file", "glare.conf")
    assert process.stderr is not None
    assert "doing the background work" in process.stderr.readline()
    url = f"http://127.0.0.1:{free_port}"
    wait_for(f"{url}/healthz", process)
    text = httpx2.get(f"{url}/metrics", trust_env=False, timeout=10).text
    for part in ("glare_database_up 1.0", 'glare_jobs{kind="record",state="waiting"} 0.0', f'pid="{process.pid}"'):
        assert part in text
    assert httpx2.get(f"{url}/artifacts/images", trust_env=False, timeout=10).status_code == 404
    process.terminate()
    assert process.wait(20) == 0


def test_a_worker_that_cannot_listen_says_why(cli: Cli, free_port: int) -> None:
    """A port that is taken is refused with the option and the remedy."""
    cli.done("init")
    (cli.directory / "glare.conf").write_text(f"[metrics]\nworker_bind = 127.0.0.1:{free_port}\n")
    with socket.create_server(("127.0.0.1", free_port)):
        ended = cli.program("worker", "--config-file", "glare.conf")
    assert ended.returncode == 1
    assert f"[metrics] worker_bind is 127.0.0.1 port {free_port}" in ended.stderr
