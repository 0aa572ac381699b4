"""A `glare-server serve` of its own, in a folder of its own."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from processes import Server, free_port

PROJECTS = ("first", "second", "third")

CONFIGURATION = """\
[DEFAULT]
state_dir = {state}
bind_port = {port}
workers = 1
max_artifact_number = 10000000
max_uploaded_data = 100 TiB

[artifact_type:images]
max_artifact_number = 10000000
max_uploaded_data = 100 TiB

[logging]
level = warning

[locations]
allowed_networks = 127.0.0.0/8
allowed_ports = {origin}
project_requests = -1
project_bytes = -1
"""


class Glare(Server):
    """The service with quotas on, one process, and a token for each of `PROJECTS`.

    `prepare` is called with the path of the migrated database before the service starts. `origin` is the port on
    loopback that locations may reach, `options` what stands in the configuration besides. `wrapper` is a command that
    starts the one which follows it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cores: set[int] | None = None,
        origin: int = 80,
        options: str = "",
        prepare: Callable[[Path], None] = lambda _: None,
        wrapper: Sequence[str] = (),
    ) -> None:
        folder.mkdir()
        options += self._more_options(folder)
        state = folder / "state"
        port = free_port()
        configuration = folder / "glare.conf"
        configuration.write_text(CONFIGURATION.format(state=state, port=port, origin=origin) + options)
        self._configuration = configuration
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        self._run("init")
        prepare(state / "glare.sqlite")
        self.tokens = {
            project: self._run("token", "create", "--project", project, "--user", "bench") for project in PROJECTS
        }
        super().__init__(
            [*wrapper, *self._command("serve")],
            port,
            folder / "glare.log",
            cores=cores,
            environment=self._environment,
        )

    def _more_options(self, folder: Path) -> str:
        """What a kind of it needs in its configuration."""
        return ""

    @property
    def token(self) -> str:
        return self.tokens[PROJECTS[0]]

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "glare", *arguments, "--config-file", str(self._configuration)]

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            self._command(*arguments), env=self._environment, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()


class GlareWithTls(Glare):
    """The same with a certificate of its own, which `openssl` makes."""

    def _more_options(self, folder: Path) -> str:
        certificate, key = folder / "tls.crt", folder / "tls.key"
        _make_certificate(certificate, key)
        self.tls = ssl.create_default_context(cafile=str(certificate))
        return f"\n[DEFAULT]\ncert_file = {certificate}\nkey_file = {key}\n"


def _make_certificate(certificate: Path, key: Path) -> None:
    """RSA, whose handshakes cost a server most."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
