"""What the kernel knows of a connection."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios
from typing import Any, Final

_CLOSE: Final = 7  # States of <netinet/tcp.h>: reset,
_CLOSE_WAIT: Final = 8  # and closed by the peer.


def end_of(name: Any) -> tuple[str, int] | None:
    """Host and port of a socket's end; an IPv4 address that came in by an IPv6 socket is written as what it is."""
    return (name[0].removeprefix("::ffff:"), name[1]) if isinstance(name, tuple) else None


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the kernel keeps for the peer; 0 of a socket that is closed."""
    if sock.fileno() < 0:
        return 0
    answer: bytes = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def closed_by_peer(sock: socket.socket) -> bool:
    """Whether the peer sends no more; seen without reading what it has sent. Where the system does not tell, it is seen
    by the next reading.
    """
    if sys.platform != "linux":
        return False
    state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state in (_CLOSE, _CLOSE_WAIT)


def drop_at_close(sock: socket.socket) -> None:
    """Let the kernel drop what the peer has not taken when the socket is closed, and tell the peer by a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
