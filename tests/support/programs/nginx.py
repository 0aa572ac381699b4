"""nginx as a reverse proxy on loopback, in the ways in which operators put it in front of a service."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from server_process import free_ports
from support.conversation import eventually
from support.programs.programs import find_program

_PATHS: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"

WAYS: Final[Mapping[str, str]] = {
    f"nginx, HTTP/{version} to the service, {'with' if buffering == 'on' else 'without'} buffering": (
        f"proxy_http_version {version}; proxy_buffering {buffering}; "
        + ('proxy_set_header Connection "";' if version == "1.1" else "")
    )
    for version in ("1.0", "1.1")
    for buffering in ("on", "off")
}
"""What stands in the configuration of each way."""

_CONFIGURATION: Final = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    {servers}
}}
"""


@contextmanager
def in_front_of(port: int, folder: Path) -> Iterator[Mapping[str, str]]:
    """Run nginx in front of a service on `port`; the URL of each way."""
    ports = dict(zip(WAYS, free_ports(len(WAYS)), strict=True))
    servers = "\n".join(
        f"server {{ listen 127.0.0.1:{ports[way]}; location / {{ proxy_pass http://127.0.0.1:{port}; {options} }} }}"
        for way, options in WAYS.items()
    )
    with running(servers, [*ports.values()], folder):
        yield {way: f"http://127.0.0.1:{listening}" for way, listening in ports.items()}


@contextmanager
def running(servers: str, ports: Sequence[int], folder: Path) -> Iterator[None]:
    """Run nginx with this inside of `http {}` until the block ends; it listens on `ports`."""
    program = find_program("nginx", _PATHS)
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, servers=servers))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(configuration)], stdout=output, stderr=output, cwd=folder
        )
    try:
        for listening in ports:
            eventually(partial(_listens, listening, process))
        yield
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "nginx has ended"
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0
