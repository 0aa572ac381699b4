"""What a server process does from its first line on."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Final

from glare.server.host import Host, Program
from glare.server.limits import Limits, connections_for, raise_descriptors

_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the certificate with its chain, its key, and the authorities of client certificates where those are
    wanted.
    """

    certificate: Path
    key: Path | None
    authorities: Path | None

    def context(self) -> ssl.SSLContext:
        """TLS from 1.2, HTTP/1.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols(["http/1.1"])
        if self.authorities is not None:
            context.load_verify_locations(self.authorities)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True, slots=True)
class Spec:
    """What a process serves, as something that can be pickled: `build` makes it, in the process. `limits` are lowered
    to what the system lets it have.
    """

    build: Callable[[], Program]
    limits: Limits
    tls: TlsFiles | None


def serve_process(spec: Spec, listeners: Sequence[socket.socket], ready: Pipe, alive: Pipe, parent: int) -> None:
    """Serve until a signal. `ready` is signalled when that begins; the process ends at once when `alive` does, for then
    the first process is dead.
    """
    # Ctrl-C reaches every process of a terminal; before there is something to finish, it just ends this one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with(alive, parent)
    limits = replace(spec.limits, connections=connections_for(spec.limits.connections, raise_descriptors()))
    host = Host(spec.build(), limits, None if spec.tls is None else spec.tls.context())

    def tell() -> None:
        with suppress(OSError):
            ready.send_bytes(b"serving")
            ready.close()

    asyncio.run(host.serve(listeners, tell))


def _die_with(alive: Pipe, parent: int) -> None:
    """End when the first process does. What goes on alone would hold the port, and the lock on the background work."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_watch, args=(alive,), name="parent", daemon=True).start()


def _watch(alive: Pipe) -> None:
    with suppress(EOFError, OSError):
        alive.recv_bytes()
    os._exit(1)
