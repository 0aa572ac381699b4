"""Origins that send small pieces: how many turns they get for their bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from glare.egress.client import EgressClient
from glare.egress.crumbs import PER_CHUNK, PER_RECEIVE, Thrift
from glare.egress.response import Response
from support.origins.egress import quick

PIECE = 112


def pauses_for(pieces: list[int], price: int) -> list[float]:
    pauses: list[float] = []
    thrift = Thrift(price, pauses.append)
    for size in pieces:
        thrift.took(size)
    return pauses


@pytest.mark.parametrize("price", [PER_RECEIVE, PER_CHUNK])
def test_pieces_of_a_good_size_never_wait(price: int) -> None:
    """Whoever sends what pays for the work is not slowed down, however long the body is."""
    assert pauses_for([price] * 10_000, price) == []


@pytest.mark.parametrize("price", [PER_RECEIVE, PER_CHUNK])
def test_crumbs_wait_after_a_few(price: int) -> None:
    """Tiny pieces get no more than five turns between two pauses, once what is free is used up."""
    turns = 1000
    assert len(pauses_for([PIECE] * turns, price)) >= (turns - (64 << 10) // (price - PIECE)) // 5 - 1


def test_a_short_body_in_crumbs_does_not_wait() -> None:
    """Some small pieces are free."""
    assert pauses_for([PIECE] * 15, PER_CHUNK) == []


def test_large_pieces_save_no_more_than_what_is_free() -> None:
    """A body that was good for long may not be bad for long."""
    assert pauses_for([1 << 30] + [1] * 200, PER_RECEIVE)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("wrap", [chunked, bytes], ids=["chunked", "counted"])
def test_a_body_in_crumbs_arrives_whole_in_few_turns(
    wrap: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An origin that sends pieces of 112 bytes is read whole, and paused while it does."""
    pieces = 4000
    pauses: list[float] = []
    content = bytes(PIECE)
    head = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        if wrap is chunked
        else b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (pieces * PIECE)
    )
    real = Response._pause

    def counting(self: Response, seconds: float) -> None:
        pauses.append(seconds)
        real(self, seconds)

    monkeypatch.setattr(Response, "_pause", counting)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.recv(65536)
                connection.sendall(head)
                for _ in range(pieces):
                    connection.sendall(wrap(content))
                if wrap is chunked:
                    connection.sendall(b"0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = int(listener.getsockname()[1])
        client = EgressClient(quick(port))
        with client.open(client.parse(f"http://127.0.0.1:{port}/")) as response:
            size = 0
            while data := response.read(1 << 20):
                size += len(data)
        thread.join(30)
    assert size == pieces * PIECE
    assert wrap is bytes or len(pauses) > pieces // 8
