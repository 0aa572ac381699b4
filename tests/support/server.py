"""A real `glare-server serve` process, and raw connections to it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import httpx2
from starlette.testclient import TestClient

from glare.app import build_services, close
from glare.events.webhooks import make_key_file
from server_process import free_ports
from support.programs.command import environment, wait_for
from support.service import ACTORS, Glare, Json, configuration, path_of

PATIENCE = 30.0
"""Seconds to wait for what must happen."""


class Server(Glare):
    """The process. It has the actors of `Glare`, and looks behind the API through a database connection of its own.

    `program` is the module that is run, and `options` are those of `serve`; `descriptors` is how many files each
    process may open. It serves from `__enter__` to `__exit__`; `kill` ends all its processes at once, and `start`
    starts it again on what is there.
    """

    def __init__(
        self,
        directory: Path,
        text: str = "",
        program: str = "glare",
        options: Sequence[str] = (),
        descriptors: int | None = None,
    ) -> None:
        self.directory = directory
        self._program = program
        self._options = options
        self._descriptors = descriptors
        settings = configuration(directory, text)
        settings.server.state_dir.mkdir(parents=True, exist_ok=True)
        make_key_file(settings.subscriptions.secret_key_file)
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        client = httpx2.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)
        super().__init__(settings, build_services(settings), cast("TestClient", client))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.client.close()
        close(self.services)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait for the first answer."""
        wait_for(f"{self.url}/healthz", self._process)

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *_limited(self._descriptors),
                    *(sys.executable, "-m", self._program, "serve"),
                    *("--config-file", str(self.directory / "glare.conf"), "--bind-port", str(self.port)),
                    *self._options,
                ],
                cwd=self.directory,
                env=environment(),
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End all processes of it with SIGKILL, as a power failure would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)

    def kill_first(self) -> None:
        """End only its first process with SIGKILL."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def processes(self) -> int:
        """How many of its processes there are, Python's own helpers among them."""
        return sum(self._is_ours(status) for status in _statuses())

    def stop(self, number: signal.Signals) -> None:
        """Tell it to stop, as a service manager (SIGTERM) or a terminal (SIGINT) does; see `wait`."""
        if number is signal.SIGINT:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        return self._process.wait(PATIENCE)

    def ended(self) -> None:
        """Wait until it was killed, and all of its processes with it."""
        assert self.wait() == -signal.SIGKILL
        self.kill()

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.directory / "log").read_text()

    def memory(self) -> int:
        """Bytes of resident memory of its largest process."""
        sizes = [0]
        for text in _statuses():
            found = re.search(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)
            if found and self._is_ours(text):
                sizes.append(int(found[1]) * 1024)
        return max(sizes)

    def _is_ours(self, status: str) -> bool:
        return re.search(rf"^NSpgid:.*\b{self._process.pid}$", status, re.MULTILINE) is not None

    def connect(self) -> Raw:
        """A connection of one's own."""
        return Raw(self.port)


class Raw:
    """A connection on which a test says what it wants, byte by byte."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, method: str, path: str, headers: Mapping[str, object] | None = None, actor: str = "alice") -> None:
        """Send the head of a request."""
        sent = {"Host": "127.0.0.1", "X-Auth-Token": ACTORS[actor], **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        self.send("\r\n".join(lines).encode())

    def put(self, artifact: Json, blob: str, length: int | None, **headers: object) -> None:
        """Send the head of an upload."""
        framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": length}
        self.ask("PUT", f"{path_of(artifact)}/{blob}", {"Content-Type": "text/plain", **framing, **headers})

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_if_open(self, data: bytes) -> None:
        """Send, unless the server has closed the connection already."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send(data)

    def ask_if_open(self, method: str, path: str) -> None:
        """Ask, unless the server has closed the connection already."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.ask(method, path)

    def chunk(self, data: bytes) -> None:
        """Send a chunk; an empty one ends the body."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def receive(self, size: int) -> bytes:
        """What has come, up to `size` bytes; empty when the connection is closed."""
        if self._buffer:
            data, self._buffer = self._buffer[:size], self._buffer[size:]
            return data
        with contextlib.suppress(ConnectionResetError):
            return self._socket.recv(size)
        return b""

    def comes_within(self, seconds: float) -> bool:
        """Whether there is something to receive within so many seconds."""
        return bool(self._buffer or select.select([self._socket], [], [], seconds)[0])

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer; status 0 when the connection is closed."""
        while b"\r\n\r\n" not in self._buffer:
            data = self._receive_more()
            if not data:
                return 0, {}
        text, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = text.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(first.split(" ")[1]), headers

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer; its body is shorter than its length where the server broke it off."""
        status, headers = self.head()
        return status, headers, b"".join(self._pieces(int(headers.get("content-length", 0))))

    def closed(self) -> bool:
        """Whether the server closes the connection."""
        return not self.receive(1)

    def hang_up(self) -> None:
        """Close."""
        self._socket.close()

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size:
            data = self.receive(size)
            if not data:
                return
            size -= len(data)
            yield data

    def _receive_more(self) -> bytes:
        with contextlib.suppress(ConnectionResetError):
            data = self._socket.recv(65536)
            self._buffer += data
            return data
        return b""


def _statuses() -> Iterator[str]:
    """What the system says of each process."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            yield status.read_text()


def _limited(descriptors: int | None) -> tuple[str, ...]:
    return () if descriptors is None else ("sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh")
