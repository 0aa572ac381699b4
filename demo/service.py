"""The service under demonstration: a fresh one, in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from narrator import Narrator
from programs import started, succeed

CONFIG = """\
[DEFAULT]
bind_host = 127.0.0.1
bind_port = {port}
state_dir = {state}

[identity]
pipeline = token_file

# Loopback is not public, and neither is this port the web's: both are refused unless the operator opens them.
[locations]
allowed_networks = 127.0.0.0/8
allowed_ports = {origin_ports}

# Deleted bytes stay ten minutes for those who read them. Here nobody does, and one wants to see them go.
[store]
removal_delay = 1 s

[scrubber]
wakeup_time = 1 s

# So often that one can watch it. This process checks nothing; a worker will.
[verification]
workers = 0
poll_interval = 0.5 s
host_interval = 0
check_interval = 2 s
quarantine_interval = 2 s
recovery_gap = 2 s

# A receiver on this machine, without TLS.
[subscriptions]
allowed_schemes = http
allowed_ports = {receiver_port}
"""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its process, its address, and where it keeps and logs things."""

    process: subprocess.Popen[bytes]
    url: str
    state: Path
    log: Path

    def stored_bytes(self) -> int:
        """How many bytes the local store holds."""
        store = self.state / "blobs"
        files = [path for folder in ("objects", "temporaries") for path in (store / folder).rglob("*")]
        return sum(path.stat().st_size for path in files if path.is_file())


@dataclass(frozen=True, slots=True)
class Installation:
    """A configured service that does not run yet."""

    folder: Path
    port: int
    env: Mapping[str, str]

    @property
    def config(self) -> Path:
        return self.folder / "glare.conf"

    @property
    def log(self) -> Path:
        return self.folder / "glare.log"

    def write_config(self, origin_ports: Sequence[int], receiver_port: int) -> str:
        """Write the configuration, and return it."""
        ports = ", ".join(map(str, origin_ports))
        state = self.folder / "state"
        text = CONFIG.format(port=self.port, state=state, origin_ports=ports, receiver_port=receiver_port)
        self.config.write_text(text, "utf-8")
        return text

    def glare(self, narrator: Narrator, *words: str) -> str:
        """Run a command that ends by itself; returns its standard output."""
        narrator.command(" ".join(["glare-server", *words, "--config-file", self.config.name]))
        return succeed([*self._program(), *words, "--config-file", str(self.config)], self.folder, self.env).out

    @contextmanager
    def running(self, narrator: Narrator) -> Iterator[Service]:
        """`glare-server serve`, from the moment when it says that it is ready.

        Raises:
            Surprise: it does not start.
        """
        narrator.command(f"glare-server serve --config-file {self.config.name}")
        args = [*self._program(), "serve", "--config-file", str(self.config)]
        url = f"http://127.0.0.1:{self.port}"
        with started("the service", args, self.folder, self.env, self.log, lambda: _is_ready(url)) as process:
            narrator.answer(f"ready at {url}")
            yield Service(process, url, self.folder / "state", self.log)

    @staticmethod
    def _program() -> list[str]:
        return [sys.executable, "-m", "glare"]


def _is_ready(url: str) -> bool:
    # A proxy of the environment has no say about loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
