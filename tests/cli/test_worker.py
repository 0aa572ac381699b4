from __future__ import annotations

import signal

import pytest

from support.command import Cli, Start


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
