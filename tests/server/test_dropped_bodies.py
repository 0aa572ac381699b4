"""What clients send behind an answer that they have got already: a little of it is taken, so that they see the
answer.
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from glare.server import connection
from support.conversation import eventually
from support.small_host import SmallHost, get, small_host

pytestmark = pytest.mark.sqlite  # The server knows of no database.

LENGTH = 1 << 30
MUCH = 24 << 20
"""Bytes that no two kernels keep for a server that does not read."""


async def refusing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


def sent(client: socket.socket, most: int) -> int:
    """How many bytes of a body the server lets this client send."""
    client.settimeout(0.5)
    total = 0
    with suppress(OSError):
        while total < most:
            total += client.send(bytes(1 << 20))
    return total


def answered(stack: ExitStack, host: SmallHost) -> socket.socket:
    """A client that has been refused, and has sent the beginning of its body."""
    client = stack.enter_context(host.connect())
    client.sendall(get("/", f"Content-Length: {LENGTH}\r\n", "PUT") + b"begin")
    assert client.recv(100).startswith(b"HTTP/1.1 403")
    client.sendall(b"more")
    return client


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 30.0)
    return monkeypatch


def test_of_few_clients_what_follows_is_taken(patient: pytest.MonkeyPatch) -> None:
    """Where as many send on as may, the next one's bytes stay with the kernel; it gets its turn when another ends."""
    patient.setattr(connection, "_DROPPING", 2)
    with small_host(refusing) as host, ExitStack() as stack:
        some = [answered(stack, host) for _ in range(2)]
        assert min(sent(client, MUCH) for client in some) >= MUCH
        assert sent(answered(stack, host), MUCH) < MUCH
        for client in some:
            client.close()
        eventually(lambda: host.counts.open == 1)
        assert sent(answered(stack, host), MUCH) >= MUCH


def test_no_more_is_taken_than_there_may_be(patient: pytest.MonkeyPatch) -> None:
    """A client that sends as fast as it can is not read for ever."""
    patient.setattr(connection, "_DROPPED", 1 << 20)
    with small_host(refusing) as host, ExitStack() as stack:
        assert sent(answered(stack, host), MUCH) < MUCH


def test_a_body_that_ends_soon_leaves_the_connection_to_the_next_request() -> None:
    """Also when nothing more may be dropped for others."""
    with small_host(refusing) as host, ExitStack() as stack:
        client = stack.enter_context(host.connect())
        for _ in range(3):
            client.sendall(get("/", "Content-Length: 100000\r\n", "PUT"))
            assert client.recv(100).startswith(b"HTTP/1.1 403")
            client.sendall(bytes(100_000))
            time.sleep(0.05)
        assert host.counts.open == 1
