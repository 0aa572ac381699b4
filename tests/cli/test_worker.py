from __future__ import annotations

import json
import signal

import pytest

from support.command import Cli, Start


def test_a_worker_speaks_to_a_collector_in_its_format(start: Start, cli: Cli) -> None:
    """With format = json what the worker says of itself is an object on a line too."""
    cli.done("db", "upgrade")
    (cli.directory / "glare.conf").write_text("[logging]\nformat = json\n")
    process = start("-m", "glare.cli.main", "worker", "--config-file", "glare.conf")
    assert process.stderr is not None
    entry = json.loads(process.stderr.readline())
    assert (entry["level"], entry["message"]) == ("info", "doing the background work; Ctrl-C stops it.")
    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_worker_with_zero(start: Start, cli: Cli, number: signal.Signals) -> None:
    """A worker in a process of its own runs until a signal, and ends with exit code 0."""
    cli.done("db", "upgrade")
    process = start("-m", "glare.cli.main", "worker")
    assert process.stderr is not None
    assert "doing the background work" in process.stderr.readline()
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, "")
