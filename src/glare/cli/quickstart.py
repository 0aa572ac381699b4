"""`glare-server serve --quickstart`: once the service answers, a short welcome with a line that works."""

from __future__ import annotations

import http.client
import shlex
import shutil
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from glare.cli.server import Address, address_of
from glare.settings import Settings

PATIENCE = 60.0
"""Seconds that the service may take to answer before the welcome gives up; the log then says why it does not."""


def welcome_when_ready(settings: Settings, token: str | None, config_files: Sequence[Path]) -> threading.Thread:
    """Wait for the service in a thread, and print the welcome once it answers.

    `token` is None where the identity pipeline does not use the token file; the welcome then shows no credentials.
    """
    address = address_of(settings)

    def wait() -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if answers(address):
                sys.stdout.write(welcome(settings, address, token, config_files))
                sys.stdout.flush()
                return
            time.sleep(0.1)

    # A daemon: a service that is stopped before it answers must not wait for its welcome.
    thread = threading.Thread(target=wait, name="welcome", daemon=True)
    thread.start()
    return thread


def answers(address: Address) -> bool:
    """Whether the service is up. Over TLS a connection has to do: this side need not trust the certificate."""
    try:
        if address.tls:
            socket.create_connection((address.host, address.port), timeout=2).close()
            return True
        connection = http.client.HTTPConnection(address.host, address.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.client.OK
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def welcome(settings: Settings, address: Address, token: str | None, config_files: Sequence[Path]) -> str:
    """What a newcomer needs: where it is, a line to try, a first artifact with data, and how to stop."""
    url = settings.server.public_endpoint or address.url
    header = f"-H 'X-Auth-Token: {token}' " if token else ""
    identity = f"Identity: [identity] pipeline = {', '.join(settings.pipeline)}"
    if token:
        identity = f"""\
The token is an ordinary member's, of the project `demo`, and stays until it is revoked. An administrator's is made with

  {admin_command(settings, config_files)}
"""
    return f"""
Glare answers at {url}

  Look:      curl -w '\\n' {header}{url}/artifacts/images
  Create:    curl -w '\\n' {header}-H 'Content-Type: application/json' -d '{{"name": "first"}}' {url}/artifacts/images
  Upload:    curl -w '\\n' {header}-H 'Content-Type: application/octet-stream' -T FILE {url}/artifacts/images/ID/image
             with the "id" of what was created
  Download:  curl -OJ {header}{url}/artifacts/images/ID/image
  Browse:    {url}/docs
             the whole API, to read and to try in a browser, and the guides

{identity}
Everything is kept in {settings.server.state_dir}. Ctrl-C stops the service.

"""


def admin_command(settings: Settings, config_files: Sequence[Path]) -> str:
    """The command that makes an administrator's token for this service, in whichever folder it is typed."""
    where = f"OS_DEFAULT__STATE_DIR={shlex.quote(str(settings.server.state_dir))} "
    files = "".join(f" --config-file {shlex.quote(str(path.absolute()))}" for path in config_files)
    return f"{where}{_program()} token create --project admin --user admin --role admin{files}"


def _program() -> str:
    """How this program was called: the environment that `make run` uses is not on anybody's PATH."""
    started = Path(sys.argv[0])
    if started.suffix == ".py":  # `python -m glare`
        return f"{shlex.quote(sys.executable)} -m glare"
    found = shutil.which(started.name)
    on_path = found is not None and Path(found).resolve() == started.resolve()
    return started.name if on_path else shlex.quote(str(started.absolute()))
