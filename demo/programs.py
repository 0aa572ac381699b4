"""Programs that the demonstration runs to their end, and those that it starts and stops."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from narrator import Surprise

PATIENCE = 180.0
"""Seconds that any one command may take."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


def plain_environment(home: Path) -> dict[str, str]:
    """This process's environment without what would change the programs of the demonstration.

    Options of Glare and of the OpenStack client (`OS_…`), proxies, and Python's own variables are left out;
    configuration files of the person who runs this (`~/.curlrc`, `clouds.yaml`) are not found in `home`.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OS_", "PYTHON", "XDG_", "CURL_")) and not name.lower().endswith("_proxy")
    }
    return kept | {"HOME": str(home), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


def run(args: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Ended:
    """Run a command to its end.

    Raises:
        Surprise: it takes longer than PATIENCE.
    """
    try:
        done = subprocess.run(
            args,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Surprise(f"{Path(args[0]).name} ends", f"within {PATIENCE:.0f} s", "it still ran") from None
    return Ended(done.returncode, done.stdout, done.stderr)


def succeed(args: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Ended:
    """Run a command that has to succeed.

    Raises:
        Surprise: it ended with another status than 0.
    """
    ended = run(args, cwd, env)
    if ended.code != 0:
        said = (ended.err.strip() or ended.out.strip())[-2000:]
        raise Surprise(f"{Path(args[0]).name} succeeds", "status 0", f"status {ended.code}: {said}")
    return ended


def quoted(args: Sequence[str], names: Mapping[str, str]) -> str:
    """A command as a person would type it: `names` has the variable that is shown in place of a text."""
    words = []
    for arg in args:
        for text, name in names.items():
            arg = arg.replace(text, name)
        if "$" in arg:
            words.append(f'"{arg}"' if set(arg) & set(" ;&|<>()*?") else arg)
        else:
            words.append(shlex.quote(arg))
    return " ".join(words)


@contextmanager
def started(
    name: str, args: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path, ready: Callable[[], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs until the context ends, once `ready` has said that it answers. It writes into `log`.

    Raises:
        Surprise: it ended by itself, or is not ready within 30 s.
    """
    with log.open("ab") as output:
        # A session of its own: Ctrl-C reaches this process alone, which then stops what it has started in order.
        process = subprocess.Popen(
            args,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 30
        while not ready():
            if process.poll() is not None:
                raise Surprise(f"{name} starts", "that it runs", f"it ended with status {process.returncode}")
            if time.monotonic() > deadline:
                raise Surprise(f"{name} starts", "an answer within 30 s", "none")
            time.sleep(0.05)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], seconds: float = 15) -> int:
    """Ask a program to end, and end it with all its processes if it does not. Returns its status."""
    if process.poll() is None:
        process.terminate()
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            # It leads the session that it was started in, so this is the program and its own processes, nobody else.
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a port of the loopback interface."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True
