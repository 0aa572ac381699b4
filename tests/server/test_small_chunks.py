"""Bodies in very small chunks: they are refused, or taken little at a time, and cost no more memory than others."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from glare.parts import Parts
from glare.server.chunks import JUDGED, LEAST_CHUNK
from glare.server.connection import Connection
from support.conversation import eventually
from support.small_host import Rounds, everything, get, small_host

pytestmark = pytest.mark.sqlite  # The server knows of no database.

HEAD = get("/", "Transfer-Encoding: chunked\r\nConnection: close\r\n", "POST")


def chunks(size: int, count: int) -> bytes:
    return b"%x\r\n%b\r\n" % (size, b"x" * size) * count


class Counting:
    """Reads whole bodies, and answers with how long each was."""

    def __init__(self) -> None:
        self.received = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self.received += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.received).encode()})


def exchanged(host: Any, data: bytes) -> tuple[int, bytes]:
    """Status and the rest of the answer to what is sent, however the connection ends."""
    with host.connect() as client:

        def send() -> None:
            with suppress(OSError):
                client.sendall(data)

        sender = threading.Thread(target=send)
        sender.start()
        answer = everything(client)
        sender.join()
    return int(answer.split(b" ", 2)[1]) if answer else 0, answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("size", [1, LEAST_CHUNK - 1])
def test_a_body_in_crumbs_is_refused(size: int) -> None:
    """A thousand chunks of a byte each are refused with what to do, and no more than the first are passed on."""
    application = Counting()
    with small_host(application) as host:
        status, body = exchanged(host, HEAD + chunks(size, 4 * JUDGED) + b"0\r\n\r\n")
        assert status == 400
        error = json.loads(body)["error"]
        assert "too small" in error["message"]
        assert f"{LEAST_CHUNK} bytes or more" in error["message"]
        eventually(lambda: host.counts.cut_off["chunks"] == 1)
    assert application.received <= JUDGED * size


def test_a_body_that_turns_to_crumbs_is_refused() -> None:
    """What was sent in large chunks before is no excuse for the small ones behind it."""
    with small_host(Counting()) as host:
        assert exchanged(host, HEAD + chunks(60_000, 20) + chunks(1, 3 * JUDGED) + b"0\r\n\r\n")[0] == 400


@pytest.mark.parametrize(("size", "count"), [(LEAST_CHUNK, 4 * JUDGED), (1, JUDGED - 2)])
def test_small_chunks_are_taken(size: int, count: int) -> None:
    """Lines of text, and a short body that comes byte by byte."""
    with small_host(Counting()) as host:
        status, body = exchanged(host, HEAD + chunks(size, count) + b"0\r\n\r\n")
        assert (status, body.split(b"\r\n")[1]) == (200, str(size * count).encode())


def test_of_small_chunks_little_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs as much as a large one, so others have their turn after a few kilobytes; large ones are read in large
    pieces.
    """
    sizes: list[int] = []
    plain = Connection.buffer_updated

    def noted(self: Connection, nbytes: int) -> None:
        sizes.append(nbytes)
        plain(self, nbytes)

    monkeypatch.setattr(Connection, "buffer_updated", noted)
    with small_host(Counting()) as host:
        assert exchanged(host, HEAD + chunks(20, 40_000) + b"0\r\n\r\n")[0] == 200
        assert max(sizes[8:]) <= 2048
        sizes.clear()
        assert exchanged(host, HEAD + chunks(65_536, 400) + b"0\r\n\r\n")[0] == 200
        assert len(sizes) < 4000


def test_parts_take_little_more_memory_than_they_are_long() -> None:
    """A body that comes two bytes at a time is kept as bytes, and not as so many objects; it stays in order."""
    parts = Parts()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(100_000):
            parts.add(number.to_bytes(2, "big") if number < 65_536 else b"zz")
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held < 2 * len(parts) == 400_000
    parts.add(b"L" * 10_000)
    parts.add(b"end")
    whole = parts.take()
    assert (
        whole
        == b"".join(number.to_bytes(2, "big") for number in range(65_536))
        + b"zz" * (100_000 - 65_536)
        + b"L" * 10_000
        + b"end"
    )
    assert (len(parts), parts.take()) == (0, b"")


def test_bodies_in_crumbs_are_read_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thirty that send small chunks as fast as they are taken, a round of the loop reads one or two, after the first
    of each: what it costs to read them all is not between two looks at somebody else.
    """
    known: set[Connection] = set()
    readings: list[int] = []
    update = Connection.buffer_updated
    clock = Rounds()

    def counting(self: Connection, size: int) -> None:
        now = clock.now
        update(self, size)
        if self._in_crumbs and self in known:
            readings.append(now)
        elif self._in_crumbs:
            known.add(self)

    monkeypatch.setattr(Connection, "buffer_updated", counting)
    application = Counting()
    with small_host(application) as host, ExitStack() as stack:
        clients = [stack.enter_context(host.connect()) for _ in range(30)]
        for client in clients:
            client.sendall(HEAD)
        eventually(lambda: host.counts.open == 30 and clock.asked)
        clock.start()
        for client in clients:
            client.sendall(chunks(LEAST_CHUNK, 1000) + b"0\r\n\r\n")
        assert all(everything(client).startswith(b"HTTP/1.1 200 ") for client in clients)
        clock.stop()
    assert application.received == 30 * 1000 * LEAST_CHUNK
    assert len(readings) > 300
    assert max(Counter(readings).values()) <= 2
