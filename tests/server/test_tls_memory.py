"""What an unfinished handshake costs."""

from __future__ import annotations

import tracemalloc
from contextlib import ExitStack
from typing import Any

from support.conversation import eventually
from support.small_host import contexts, small_host

COUNT = 40
MOST = 64 << 10


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """No request comes as far."""


def test_a_connection_that_begins_to_shake_hands_takes_little_memory() -> None:
    """Thousands may be open at the same time, before anybody is known."""
    server, _ = contexts()
    with small_host(nothing, tls=server) as host, ExitStack() as stack:
        stack.enter_context(host.connect())
        eventually(lambda: host.counts.open == 1)
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for _ in range(COUNT):
            stack.enter_context(host.connect()).sendall(b"\x16\x03\x01\x02\x00\x01")
        eventually(lambda: host.counts.open == COUNT + 1)
        eventually(lambda: tracemalloc.get_traced_memory()[0] > 0)
        assert tracemalloc.get_traced_memory()[1] < COUNT * MOST
