"""What a client sends during one request, for several who want to know: those who read the body, and those who see it
leave.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from starlette.types import Message, Receive

_GONE: Final = "http.disconnect"
_TURNS: Final = 4
"""In one the server learns what has come on the connection, in another one who asks is told; a body that is empty takes
two as well."""


async def _nothing() -> Message:
    return {"type": _GONE}


class Inbox:
    """An ASGI `receive` that loses nothing when somebody stops waiting for it. Used on the event loop only.

    `left` is set when the client has left, where the server tells that beside the body: then nothing is taken from it
    before somebody reads. Where it does not, one message is, at most.
    """

    __slots__ = ("_kept", "_left", "_pending", "_receive")

    def __init__(self, receive: Receive, left: asyncio.Event | None = None) -> None:
        self._receive = receive
        self._left = left
        self._kept: deque[Message] = deque()
        self._pending: asyncio.Future[Message] | None = None

    async def receive(self) -> Message:
        """The next message. Whoever is cancelled while waiting has taken none."""
        if self._kept:
            message = self._kept.popleft()
            if message["type"] == _GONE:
                self._kept.append(message)  # Whoever has left stays away.
            return message
        return await (self._receive() if self._pending is None else self._next())

    async def gone(self) -> None:
        """Return when the client has left.

        Where the server does not tell, only one message is looked ahead, so while there is a body that nobody reads
        this is not known, and waits.
        """
        if self._left is not None:
            await self._left.wait()
            return
        while True:
            last = self._kept[-1] if self._kept else None
            if last is not None and last["type"] == _GONE:
                return
            if last is not None and last.get("more_body", False):
                await asyncio.get_running_loop().create_future()
            await asyncio.wait([self._ask()])
            self._keep_what_came()

    async def has_left(self) -> bool:
        """Whether the client has left already, as far as the server knows after a few turns of the event loop."""
        for _ in range(_TURNS):
            if self._left is not None:
                if self._left.is_set():
                    return True
                await asyncio.sleep(0)
                continue
            last = self._kept[-1] if self._kept else None
            if last is not None and (last["type"] == _GONE or last.get("more_body", False)):
                break
            _ = self._ask()
            await asyncio.sleep(0)
            self._keep_what_came()
        return bool(self._kept) and self._kept[-1]["type"] == _GONE

    def _keep_what_came(self) -> None:
        pending = self._pending
        if pending is not None and pending.done():
            self._pending = None
            self._kept.append(pending.result())

    def close(self) -> None:
        """Nobody wants to know any more: let go of the server's end too, which closes a connection when nobody holds
        it.
        """
        self._receive = _nothing
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        self._kept.clear()

    def _ask(self) -> asyncio.Future[Message]:
        """What the server was asked for, which is kept by whoever sees it first."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._receive())
        return self._pending

    async def _next(self) -> Message:
        """A message from the server, in a task of its own: cancelling `receive` itself could lose what it has taken
        already.
        """
        pending = self._ask()
        await asyncio.wait([pending])
        if self._pending is pending:
            self._pending = None
            return pending.result()
        return await self.receive()  # Who watches was told first, and has kept it.
