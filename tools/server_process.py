"""A server that tests and benchmarks run beside Glare: its process, from its start to its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from environments import NoEnvironmentError

_PATIENCE = 60.0
_TOLD = 2000


class ServerProcess:
    """A program that serves on loopback; `name` is what people call it. `stop` ends it, and `start` begins it anew. It
    is asked to end, and has `grace` seconds for that.
    """

    def __init__(self, name: str, log: Path, grace: float = 10.0) -> None:
        self._name = name
        self._grace = grace
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, program: Sequence[str], folder: Path, variables: Mapping[str, str], answers: Callable[[], bool]
    ) -> None:
        """Start it with nothing of the environment but the path and `variables`, and wait until it `answers`. Raises
        `NoEnvironmentError` with the end of its log.
        """
        with self._log.open("ab") as log:
            process = self._process = subprocess.Popen(
                program,
                cwd=folder,
                env={"PATH": os.environ["PATH"], **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _PATIENCE
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                end = self._log.read_text("utf-8", "replace")[-_TOLD:]
                raise NoEnvironmentError(f"{self._name} does not start: {end}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, and wait until it has ended. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(self._grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(number: int) -> list[int]:
    """As many ports of loopback that nobody has now."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
