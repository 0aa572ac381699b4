"""What a client sends, for those who read it and those who watch for its leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from starlette.types import Message

from glare.http.inbox import Inbox

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.

T = TypeVar("T")

GONE: Message = {"type": "http.disconnect"}


def body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


class Server:
    """An ASGI `receive` fed by hand, which keeps what it has given out when it is cancelled at the same moment."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue()
        self.asked = 0

    async def receive(self) -> Message:
        self.asked += 1
        return await self.queue.get()


def run(main: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(30):
            return await main

    return asyncio.run(bounded())


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_a_body_that_comes_while_somebody_watches_is_not_lost() -> None:
    """Whoever reads after the watch gets every byte, in order; the watch has taken one message and no more."""

    async def main() -> None:
        server = Server()
        inbox = Inbox(server.receive)
        watch = asyncio.ensure_future(inbox.gone())
        for part in (b"a", b"b"):
            server.queue.put_nowait(body(part))
        server.queue.put_nowait(body(b"c", more=False))
        await turns()
        assert (server.asked, watch.done()) == (1, False)
        watch.cancel()
        assert [(await inbox.receive())["body"] for _ in range(3)] == [b"a", b"b", b"c"]

    run(main())


def test_a_watch_that_ends_before_the_message_leaves_it_to_the_reader() -> None:
    """A message that the server was asked for by the watch goes to who reads next, though the watch was cancelled."""

    async def main() -> None:
        server = Server()
        inbox = Inbox(server.receive)
        watch = asyncio.ensure_future(inbox.gone())
        await turns()
        watch.cancel()
        reading = asyncio.ensure_future(inbox.receive())
        await turns()
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        server.queue.put_nowait(body(b"first"))
        assert (await inbox.receive())["body"] == b"first"
        assert server.asked == 1

    run(main())


def test_a_message_that_watch_and_reader_both_wait_for_is_read_once() -> None:
    """Whichever of them is told first, the reader gets each message once and in order."""

    async def main() -> None:
        server = Server()
        inbox = Inbox(server.receive)
        watch = asyncio.ensure_future(inbox.gone())
        await turns()
        reading = asyncio.ensure_future(inbox.receive())
        await turns()
        server.queue.put_nowait(body(b"first"))
        assert (await reading)["body"] == b"first"
        watch.cancel()
        server.queue.put_nowait(body(b"second", more=False))
        assert (await inbox.receive())["body"] == b"second"

    run(main())


def test_leaving_is_seen_behind_the_end_of_a_body() -> None:
    """A request without a body, or whose body is whole, is watched for its client's leaving; whoever reads later is
    told so too.
    """

    async def main() -> None:
        server = Server()
        inbox = Inbox(server.receive)
        server.queue.put_nowait(body(b"", more=False))
        server.queue.put_nowait(GONE)
        await inbox.gone()
        assert (await inbox.receive())["type"] == "http.request"
        assert (await inbox.receive())["type"] == "http.disconnect"
        assert (await inbox.receive())["type"] == "http.disconnect"
        await inbox.gone()

    run(main())


def test_who_has_left_before_is_known_after_a_look() -> None:
    """A look tells a client that has left from one that waits, and takes nothing from whoever reads."""

    async def main() -> None:
        server = Server()
        inbox = Inbox(server.receive)
        assert not await inbox.has_left()
        server.queue.put_nowait(body(b"part"))
        assert not await inbox.has_left()
        assert (await inbox.receive())["body"] == b"part"
        server.queue.put_nowait(body(b"", more=False))
        server.queue.put_nowait(GONE)
        assert await inbox.has_left()

    run(main())


def test_a_closed_inbox_asks_the_server_no_more() -> None:
    """What was still asked for is given up, so that nothing of the request is held."""

    async def main() -> None:
        server = Server()
        inbox = Inbox(server.receive)
        watch = asyncio.ensure_future(inbox.gone())
        await turns()
        watch.cancel()
        inbox.close()
        await turns()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] in ([], [watch])

    run(main())


def test_a_server_that_tells_of_leaving_is_asked_for_nothing_else() -> None:
    """Who watches takes no message from such a server, so a body stays unread until somebody reads it."""

    async def main() -> None:
        server = Server()
        left = asyncio.Event()
        inbox = Inbox(server.receive, left)
        watch = asyncio.ensure_future(inbox.gone())
        server.queue.put_nowait(body(b"part"))
        await turns()
        assert not await inbox.has_left()
        assert (server.asked, watch.done()) == (0, False)
        assert (await inbox.receive())["body"] == b"part"
        left.set()
        await watch
        assert await inbox.has_left()

    run(main())
