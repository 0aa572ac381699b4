"""Servers as processes of their own: started on some cores, looked at from outside, stopped."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def on_cores(cores: set[int] | None) -> Iterator[None]:
    """What is started meanwhile runs on these cores only; None, or too few cores, leaves it where it is."""
    if cores is None or not hasattr(os, "sched_setaffinity") or not cores <= os.sched_getaffinity(0):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Server:
    """A server process and its children, on `port` of loopback. `started_in` is the seconds until it first answered."""

    tls: ssl.SSLContext | None = None
    """What its clients need where it speaks TLS."""

    def __init__(
        self,
        arguments: Sequence[str],
        port: int,
        log: Path,
        *,
        cores: set[int] | None = None,
        environment: Mapping[str, str] | None = None,
        health: str = "/healthz",
    ) -> None:
        self.port = port
        self._log = log
        began = time.perf_counter()
        with log.open("wb") as output, on_cores(cores):
            self._process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            self._wait(health)
        except BaseException:
            self.stop()
            raise
        self.started_in = time.perf_counter() - began

    def connection(self, seconds: float) -> http.client.HTTPConnection:
        """A connection for requests, each of which may take so long."""
        if self.tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=seconds, context=self.tls)

    def cpu(self) -> float:
        """CPU seconds that the process and its children have used."""
        return sum(_cpu(pid) for pid in self._tree())

    def rss(self) -> float:
        """Resident memory of the process that does the work, in MB."""
        return _status(self._worker(), "VmRSS")

    def peak(self) -> float:
        """The most that `rss` has been since `forget_peak`, in MB."""
        return _status(self._worker(), "VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self._worker()}/clear_refs").write_text("5")

    def stop(self) -> None:
        """Ask it to end, and insist after a while."""
        tree = self._tree()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in tree:
                os.kill(pid, 9)
            self._process.wait()

    def _wait(self, health: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            connection = self.connection(5)
            try:
                connection.request("GET", health)
                if connection.getresponse().status < 500:
                    return
            except OSError:
                time.sleep(0.01)
            finally:
                connection.close()
        raise RuntimeError(f"{self._process.args!r} does not answer:\n{self._log.read_text()[-4000:]}")

    def _tree(self) -> list[int]:
        found = [self._process.pid]
        for pid in found:
            for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, tasks.read_text().split())
        return found

    def _worker(self) -> int:
        """The largest of the processes: what supervises and tracks is smaller."""
        return max(self._tree(), key=lambda pid: _status(pid, "VmRSS"))


def script(name: str, *arguments: str) -> list[str]:
    """The command line of a Python program beside this one."""
    return [sys.executable, str(Path(__file__).with_name(name)), *arguments]


def _cpu(pid: int) -> float:
    # The name, in parentheses, may hold spaces. After it: state is field 3, utime 14, stime 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
