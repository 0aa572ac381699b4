"""What Glare is measured beside: the least that a server on the same foundation does, and servers of files.

    python bench/peers.py memory PORT FILE    Starlette on Granian; answers every path with the file's bytes from memory
    python bench/peers.py files PORT FOLDER   a server of files by sendfile, a thread for each connection

nginx, where it is installed, serves files instead of the second.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from processes import Server, free_port, script

COPIED = "/copied"
"""The path below which nginx fetches a file from itself and copies it to the client, without a look at it."""

NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path {folder}/nginx-1;
  proxy_temp_path {folder}/nginx-2;
  fastcgi_temp_path {folder}/nginx-3;
  uwsgi_temp_path {folder}/nginx-4;
  scgi_temp_path {folder}/nginx-5;
  server {{
    listen 127.0.0.1:{port};
    root {root};
    location {copied}/ {{ proxy_pass http://127.0.0.1:{port}/; proxy_buffering off; proxy_http_version 1.1; }}
  }}
}}
"""


def memory_server(folder: Path, body: bytes, cores: set[int] | None) -> Server:
    """Starlette on Granian, answering `body`."""
    path = folder / "answer.json"
    path.write_bytes(body)
    port = free_port()
    return Server(script("peers.py", "memory", str(port), str(path)), port, folder / "memory.log", cores=cores)


def file_server(folder: Path, root: Path, cores: set[int] | None = None) -> tuple[str, Server]:
    """A server of the files in `root`, and what it is: nginx, or ours by sendfile."""
    port = free_port()
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        arguments = script("peers.py", "files", str(port), str(root))
        return "sendfile", Server(arguments, port, folder / "files.log", cores=cores)
    folder.chmod(0o755)  # nginx leaves root's rights, and must still reach the files.
    configuration = folder / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration.write_text(user + NGINX.format(folder=folder, port=port, root=root, copied=COPIED))
    arguments = [nginx, "-p", str(folder), "-e", str(folder / "nginx-error.log"), "-c", str(configuration)]
    return "nginx", Server(arguments, port, folder / "nginx.log", cores=cores)


def _memory_application(path: Path) -> Any:
    from starlette.responses import Response
    from starlette.routing import Route, Router
    from starlette.types import Receive, Scope, Send

    body = path.read_bytes()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(body, media_type="application/json")(scope, receive, send)

    class Endpoint:
        """Glare's routes lead to ASGI applications too."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await answer(scope, receive, send)

    return Router([Route("/{path:path}", Endpoint())])


def _serve_memory(port: int, path: Path) -> None:
    import multiprocessing

    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels
    from granian.server.mp import MPServer

    multiprocessing.set_start_method("spawn", force=True)
    server = MPServer(
        "memory",
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        http=HTTPModes.http1,
        log_level=LogLevels.warning,
    )
    server.serve(target_loader=partial(_memory_application, path), wrap_loader=False)


def _serve_files(port: int, root: Path) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer_files, args=(connection, root), daemon=True).start()


def _answer_files(connection: socket.socket, root: Path) -> None:
    with connection:
        while request := connection.recv(65536):
            target = request.split(b" ", 2)[1].decode()
            path = root / target.lstrip("/")
            if not path.is_file():
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            size = path.stat().st_size
            first, last, status = 0, size - 1, b"200 OK"
            if found := re.search(rb"\r\n[Rr]ange: bytes=(\d+)-(\d+)\r\n", request):
                first, last, status = int(found[1]), int(found[2]), b"206 Partial Content"
            span = b"Content-Range: bytes %d-%d/%d\r\n" % (first, last, size) if status.startswith(b"206") else b""
            head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status, last - first + 1, span)
            connection.sendall(head)
            with path.open("rb") as file:
                connection.sendfile(file, first, last - first + 1)


if __name__ == "__main__":
    what, port_text, path_text = sys.argv[1:]
    {"memory": _serve_memory, "files": _serve_files}[what](int(port_text), Path(path_text))
