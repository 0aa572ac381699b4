"""The real web server on loopback that an external location names: nginx, or Python's own where there is none."""

from __future__ import annotations

import os
import re
import shutil
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from narrator import Narrator
from programs import listens, started, succeed

NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    log_format requests '"$request" $status';
    access_log {folder}/access.log requests;
    default_type application/octet-stream;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """A running web server: its port, the folder that it serves, and where it logs requests."""

    port: int
    files: Path
    log: Path

    def url(self, name: str) -> str:
        """The address of a served file."""
        return f"http://127.0.0.1:{self.port}/{quote(name)}"

    def content_type(self, url: str) -> str:
        """The type that the server gives to a file."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        head = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the server's own http address
        with opener.open(head, timeout=30) as answer:
            return str(answer.headers["Content-Type"])

    def methods(self) -> dict[str, int]:
        """How often each HTTP method was logged."""
        counts: dict[str, int] = {}
        for method in re.findall(r'"([A-Z]+) /', self.log.read_text("utf-8", "replace")):
            counts[method] = counts.get(method, 0) + 1
        return counts


@contextmanager
def web_server(narrator: Narrator, folder: Path, port: int, env: Mapping[str, str]) -> Iterator[Origin]:
    """Serve `folder`/files on a port of the loopback interface.

    Raises:
        Surprise: the server does not start.
    """
    files = folder / "files"
    nginx = shutil.which("nginx") or shutil.which("nginx", path=f"{os.defpath}:/usr/sbin:/usr/local/sbin")
    if nginx:
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port), "utf-8")
        args = [nginx, "-p", str(folder), "-c", str(config)]
        log, output = folder / "access.log", folder / "output.log"
        narrator.note(succeed([nginx, "-v"], folder, env).err.strip())
    else:
        args = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(files)]
        log = output = folder / "access.log"
        narrator.note("nginx is not installed here; Python's http.server serves instead")
    narrator.command(" ".join([Path(args[0]).name, *args[1:]]).replace(str(folder), "origin"))
    with started("the web server", args, folder, env, output, lambda: listens(port)):
        narrator.answer(f"serving http://127.0.0.1:{port}/")
        yield Origin(port, files, log)
