"""Programs that a test starts, and the ports that they listen on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server_process import free_ports
from support.programs.command import Cli, Start, environment


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on at the moment."""
    return free_ports(1)[0]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Python program in a process group of its own; whatever is left of it is killed after the test."""
    running: list[subprocess.Popen[str]] = []

    def starting(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield starting
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.communicate()
