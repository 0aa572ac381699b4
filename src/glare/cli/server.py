"""The HTTP server of `glare-server serve`: the settings become its limits, the application what its processes serve."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from glare.cli.metrics import clean, share_metrics
from glare.http.drain import GRACE_SECONDS
from glare.server.host import Program
from glare.server.limits import Limits
from glare.server.process import Spec, TlsFiles
from glare.server.supervisor import Supervisor
from glare.settings import Settings, SettingsError

_PATIENCE: Final = 2.0
_PAUSE: Final = 0.05

Factory = Callable[[Settings, bool], Program]


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


def bind(settings: Settings) -> socket.socket:
    """A socket on the configured address, which does not listen yet. Raises `SettingsError` where there can be none.

    An address that is taken is tried again for a moment: the processes of a service that was killed need one to be
    gone.
    """
    host, port = settings.server.bind_host, settings.server.bind_port
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < until:
                time.sleep(_PAUSE)
                continue
            listener.close()
            raise SettingsError(_bind_refusal(host, port, error)) from None
        return listener


def _bind_refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"[DEFAULT] bind_port is {port}, but another program listens on it at {host}; "
            "stop that one, or choose another port with --bind-port."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"[DEFAULT] bind_host is {host!r}, but this machine has no such address; name one of its own."
    if error.errno == errno.EACCES:
        return (
            f"[DEFAULT] bind_port is {port}, but this user may not listen on it; "
            "choose one from 1024 with --bind-port, or give the process the right (CAP_NET_BIND_SERVICE)."
        )
    return (
        f"[DEFAULT] bind_host is {host!r} and bind_port {port}, but listening there fails ({error.strerror}); "
        "choose others."
    )


def run_server(settings: Settings, listener: socket.socket, factory: Factory, *, with_worker: bool) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    `factory(settings, with_worker)` makes what is served, in each process anew; it must be importable by name, because
    it and the settings are pickled. Background work, where wanted, runs in one process of them.
    """
    server = settings.server
    # The C library gives each of many threads an arena of its own, which it hardly ever gives back; two cores need no
    # more than two.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    server.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.metrics.enabled:
        clean(share_metrics(settings))
    lock = server.state_dir / "worker.lock"
    tls = None if server.cert_file is None else TlsFiles(server.cert_file, server.key_file, server.ca_file)
    spec = Spec(partial(_load, settings, factory, lock.absolute() if with_worker else None), limits_of(settings), tls)
    try:
        listener.listen(server.backlog)
    except OSError as error:
        raise SettingsError(_bind_refusal(server.bind_host, server.bind_port, error)) from None
    kill_seconds = server.shutdown_lead_time + server.shutdown_timeout + GRACE_SECONDS + 1
    count = server.workers or os.cpu_count() or 1
    return Supervisor(spec, (listener,), count=count, kill_seconds=kill_seconds).run()


def limits_of(settings: Settings) -> Limits:
    """The limits of one server process."""
    server = settings.server
    return Limits(
        connections=server.max_connections,
        per_address=server.max_connections_per_address,
        exempt=server.trusted_proxies,
        head_seconds=server.client_socket_timeout,
        head_bytes=server.max_head_size,
        idle_seconds=server.keepalive_timeout,
        stall_seconds=server.send_stall_timeout,
        least_rate=server.send_minimum_throughput,
        keep_alive=server.http_keepalive,
    )


def _load(settings: Settings, factory: Factory, lock: Path | None) -> Program:
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
