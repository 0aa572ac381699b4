"""The HTTP server: Granian in the first process, the application in processes that it starts."""

from __future__ import annotations

import errno
import multiprocessing
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from math import ceil
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from glare.cli.logs import logging_config
from glare.cli.metrics import clean, share_metrics
from glare.http.drain import GRACE_SECONDS
from glare.settings import Settings, SettingsError

Application = Callable[..., Any]
Factory = Callable[[Settings, bool], Application]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the service is reached from this machine."""

    host: str
    port: int
    tls: bool

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def address_of(settings: Settings) -> Address:
    """The address; one that means every interface is replaced by the loopback one."""
    host = ip_address(settings.server.bind_host)
    if host.is_unspecified:
        host = ip_address("127.0.0.1" if host.version == 4 else "::1")
    return Address(str(host), settings.server.bind_port, settings.server.cert_file is not None)


def require_free_port(settings: Settings) -> None:
    """Refuse an address that cannot be listened on.

    Granian's processes share their port (SO_REUSEPORT), so a second service would not fail, and get half of the requests.
    """
    host, port = settings.server.bind_host, settings.server.bind_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise SettingsError(_bind_refusal(host, port, error)) from None


def _bind_refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"[DEFAULT] bind_port is {port}, but another program listens on it at {host}; stop that one, or choose a port with --bind-port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"[DEFAULT] bind_host is {host!r}, but this machine has no such address; name one of its own."
    if error.errno == errno.EACCES:
        return f"[DEFAULT] bind_port is {port}, but this user may not listen on it; choose one from 1024."
    return f"[DEFAULT] bind_host is {host!r} and bind_port {port}, but listening there fails ({error.strerror}); choose others."


def run_server(settings: Settings, factory: Factory, *, with_worker: bool) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    `factory(settings, with_worker)` makes the ASGI application, in each process anew; it must be importable by name, because it
    and the settings are pickled. Background work, where wanted, runs in one process of them.
    """
    server = settings.server
    # Forking a process that has threads is undefined; a fresh one starts the same way on every platform and Python.
    multiprocessing.set_start_method("spawn", force=True)
    # The C library gives each of many threads an arena of its own, which it hardly ever gives back; two cores need no more than two.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    server.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.metrics.enabled:
        clean(share_metrics(settings))
    lock = server.state_dir / "worker.lock"
    loader = partial(_load, settings, factory, lock.absolute() if with_worker else None)
    granian = MPServer(
        "glare",
        address=server.bind_host,
        port=server.bind_port,
        interface=Interfaces.ASGI,
        workers=server.workers or os.cpu_count() or 1,
        websockets=False,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(server.client_socket_timeout * 1000), keep_alive=server.http_keepalive
        ),
        backlog=server.backlog,
        log_level=LogLevels.debug if settings.log_level == "debug" else LogLevels.warning,
        log_dictconfig=logging_config(settings),
        log_access=False,
        ssl_cert=server.cert_file,
        ssl_key=server.key_file,
        ssl_protocol_min=SSLProtocols.tls12,
        ssl_ca=server.ca_file,
        ssl_client_verify=server.ca_file is not None,
        respawn_failed_workers=True,
        workers_kill_timeout=ceil(server.shutdown_timeout + GRACE_SECONDS),
    )
    try:
        granian.serve(target_loader=loader, wrap_loader=False)
    except SystemExit as stopped:
        # Ctrl-C reaches every process of the terminal, so a child may end before it is told to: that is no failure.
        if not granian.interrupt_signal:
            return int(stopped.code or 0)
    return 0


def _load(settings: Settings, factory: Factory, lock: Path | None) -> Application:
    return factory(settings, lock is not None and _is_first(lock))


def _is_first(lock: Path) -> bool:
    """Whether this process gets the lock, which the system takes back when the process ends, however it ends."""
    import fcntl

    # Kept open on purpose: the lock lives as long as the descriptor, and that as long as the process.
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    return True
