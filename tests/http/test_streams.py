"""Request bodies as readers for worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from glare.digest import BLOCK
from glare.errors import ClientDisconnected, RequestTimeout
from glare.http.streams import BodyReader, Patience

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

Message = MutableMapping[str, Any]


class Sender:
    """An ASGI `receive` that gives these parts, and counts how often it was asked."""

    def __init__(self, *parts: bytes, end: str = "whole") -> None:
        self.messages: list[Message] = [
            {"type": "http.request", "body": part, "more_body": index < len(parts) - 1 or end != "whole"}
            for index, part in enumerate(parts)
        ]
        self.end = end
        self.asked = 0

    async def __call__(self) -> Message:
        self.asked += 1
        if self.messages:
            return self.messages.pop(0)
        if self.end == "disconnect":
            return {"type": "http.disconnect"}
        await asyncio.sleep(60)
        raise AssertionError("nobody waits so long")


def read_all(receive: Callable[[], Awaitable[Message]], declared: int | None, *, size: int = BLOCK) -> list[bytes]:
    """What a worker thread reads of a body."""

    async def main() -> list[bytes]:
        reader = BodyReader(receive, declared, Patience(0.1, 1000))

        def work() -> list[bytes]:
            try:
                return list(iter(lambda: reader.read(size), b""))
            finally:
                reader.close()

        return await asyncio.to_thread(work)

    return asyncio.run(main())


def test_body_arrives_whole_and_in_order() -> None:
    """The reader gives every byte in order, in pieces of at most the size asked for."""
    parts = [bytes([index]) * 700_000 for index in range(5)]
    pieces = read_all(Sender(*parts), 3_500_000, size=100_000)
    assert b"".join(pieces) == b"".join(parts)
    assert max(map(len, pieces)) <= 100_000


def test_empty_body_is_no_bytes() -> None:
    """A body of nothing is the end at once."""
    assert read_all(Sender(b""), 0) == []


def test_nothing_is_received_that_nobody_asked_for() -> None:
    """Before the first read nothing is taken from the client; after it, at most one block more than was read."""
    sender = Sender(*[b"x" * BLOCK] * 10)

    async def main() -> tuple[int, int]:
        reader = BodyReader(sender, None, Patience(1, 1))
        await asyncio.sleep(0.05)
        before = sender.asked
        await asyncio.to_thread(reader.read, BLOCK)
        await asyncio.sleep(0.05)
        reader.close()
        return before, sender.asked

    assert asyncio.run(main()) == (0, 2)


def test_client_that_goes_away_is_an_error() -> None:
    """A body that is not whole never looks like one that is."""
    with pytest.raises(ClientDisconnected):
        read_all(Sender(b"abc", end="disconnect"), None)


@pytest.mark.parametrize("declared", [2, 4])
def test_length_must_be_what_was_declared(declared: int) -> None:
    """A body shorter or longer than its Content-Length is refused."""
    with pytest.raises(ClientDisconnected, match=f"Content-Length says {declared}"):
        read_all(Sender(b"abc"), declared)


def test_client_that_stalls_is_given_up() -> None:
    """No byte for the configured time ends the body."""
    with pytest.raises(RequestTimeout, match=r"0\.1 seconds"):
        read_all(Sender(b"abc", end="stall"), None)


def test_client_that_drips_is_given_up() -> None:
    """A client that sends a byte now and then, each in time, is still refused for its rate."""

    class Drip:
        async def __call__(self) -> Message:
            await asyncio.sleep(0.03)
            return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(RequestTimeout, match="less than 1000 bytes a second"):
        read_all(Drip(), None)
