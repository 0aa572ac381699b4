"""One request to the service in this process, whose body a test sends piece by piece.

with Conversation(glare, "PUT", "/artifacts/…/blob", {"X-Auth-Token": …}) as request:
    request.feed(b"first")
    ...                                   # look at the artifact meanwhile
    request.end()
    assert request.answer().status == 200
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from starlette.types import Message

from support.service import ACTORS, Glare

PATIENCE = 30.0
"""Seconds to wait for what must happen."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came. `complete` is whether the body was ended; broken off it is not."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool

    def json(self) -> Any:
        return json.loads(self.body)


class Conversation:
    """A request under way. Leaving the block hangs up and waits until the service is done with it."""

    def __init__(
        self,
        glare: Glare,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        actor: str = "alice",
        hold_after: int | None = None,
    ) -> None:
        portal = glare.client.portal
        assert portal is not None
        self._portal = portal
        self._app = glare.client.app
        self._lock = threading.Lock()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._sent: list[Message] = []
        self._hold_after = hold_after
        self._released = asyncio.Event()
        sent = {"X-Auth-Token": ACTORS[actor], "Host": "testserver", **(headers or {})}
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path.partition("?")[0],
            "raw_path": quote(path.partition("?")[0]).encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": path.partition("?")[2].encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
            "extensions": {},
            "state": {},
        }

    def with_files(self) -> Self:
        """The server of this request sends files by their path."""
        self._scope["extensions"] = {"http.response.pathsend": {}}
        return self

    def __enter__(self) -> Self:
        self._done: Future[Any] = self._portal.start_task_soon(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        self._done.result(PATIENCE)

    def feed(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._put({"type": "http.request", "body": data, "more_body": True})

    def end(self, data: bytes = b"") -> None:
        """Send the last piece of the body."""
        self._put({"type": "http.request", "body": data, "more_body": False})

    def hang_up(self) -> None:
        """Close the connection, as the service sees it."""
        self.go_on()
        self._put({"type": "http.disconnect"})

    def leave(self) -> None:
        """Close the connection while the service waits for the rest of its answer to be taken, which it still does."""
        self._put({"type": "http.disconnect"})

    def go_on(self) -> None:
        """Take the rest of the answer, which was not taken after `hold_after` pieces of its body."""
        self._portal.call(self._released.set)

    def wait(self) -> None:
        """Wait until the service is done with the request."""
        self._done.result(PATIENCE)

    @property
    def done(self) -> bool:
        return self._done.done()

    @property
    def received(self) -> int:
        """Bytes of the answer's body so far."""
        with self._lock:
            return sum(len(message.get("body", b"")) for message in self._sent)

    def answer(self) -> Answer:
        """The whole answer."""
        self.wait()
        with self._lock:
            start, *bodies = self._sent
        return Answer(
            status=start["status"],
            headers={name.decode().lower(): value.decode() for name, value in start["headers"]},
            body=b"".join(message.get("body", b"") for message in bodies),
            complete=bool(bodies) and not bodies[-1].get("more_body", False),
        )

    @property
    def held(self) -> bool:
        """Whether somebody still holds the connection. A server closes it only when nobody does."""
        return any(held() is not None for held in self._connection)

    async def _run(self) -> None:
        receive, send = _Once(self._receive), _Once(self._send)
        self._connection = weakref.ref(receive), weakref.ref(send)
        await self._app(self._scope, receive, send)

    async def _receive(self) -> Message:
        message = await self._inbox.get()
        if message["type"] == "http.disconnect":
            self._inbox.put_nowait(message)  # Whoever asks again is told again.
        return message

    async def _send(self, message: Message) -> None:
        with self._lock:
            self._sent.append(message)
            pieces = len(self._sent) - 1
        if pieces == self._hold_after:
            await self._released.wait()

    def _put(self, message: Message) -> None:
        self._portal.call(self._inbox.put_nowait, message)


class _Once:
    """One request's own `receive` or `send`, of which a test sees when nobody holds it any more."""

    def __init__(self, function: Callable[..., Awaitable[Any]]) -> None:
        self._function = function

    def __call__(self, *args: Message) -> Awaitable[Any]:
        return self._function(*args)


def eventually(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until `condition` is true."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)
