"""Answers whose size depends on data: sent in parts, and counted while they are in memory.

What is larger than a part is bounded in sum, in all and for each party: a client that does not read holds its answer.
What has no bound is made piece by piece, each in a worker thread when its party has its turn; between pieces no thread,
no transaction and no place in a lane is held, however slowly the client reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from glare.documents.parts import Page, entries_of
from glare.domain.query import first_link, next_link
from glare.errors import ClientDisconnected, TooManyRequests, Unavailable
from glare.http.call import Call, encode, json_response, send_in_parts
from glare.http.media_types import JSON_ANSWER
from glare.http.query import query_pairs

PIECE: Final = 256 << 10
"""Bytes of a document that are made at once, or a little more: the memory that one answer has."""

PAGE: Final = 100
"""Entries that are read at once of a longer page."""

_PATIENCE: Final = 3
_LONGEST_PAUSE: Final = 5
"""Seconds between two tries."""

Pairs = Sequence[tuple[str, str]]
Read = Callable[[Pairs], tuple[Sequence[Any], str | None]]


class StreamedJson(Response):
    """A document in pieces, of which the first is there. Each of the `rest` is made when the client has taken the one
    before.

    A failure after the first piece breaks the answer off. Where there is no room for a piece now, it is asked for
    again, for `_PATIENCE` times as long as a request waits.
    """

    def __init__(self, call: Call, first: bytes, rest: Iterator[bytes]) -> None:
        self._call = call
        self._first = first
        self._rest = rest
        super().__init__(None, 200, {"content-type": JSON_ANSWER})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._call
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        piece, self._first = self._first, b""
        if call.is_head:
            await send(start)
        else:
            async with call.answer_in_memory(PIECE):
                gone = asyncio.ensure_future(call.until_gone())
                try:
                    await send(start)
                    while piece and not gone.done():
                        await send_in_parts(send, piece, more=True)
                        del piece
                        piece = await self._next(gone)
                except ClientDisconnected:
                    pass  # It is not read on, and nobody is left to be told.
                finally:
                    gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self, gone: asyncio.Future[None]) -> bytes:
        """The piece after the one that was sent. One that was begun and failed is not tried again: what it had read is
        lost.
        """
        call, loop, begun = self._call, asyncio.get_running_loop(), False

        def read() -> bytes:
            nonlocal begun
            begun = True
            return next(self._rest, b"")

        until = loop.time() + _PATIENCE * call.application.lanes.lists.shares.bounds.patience
        while True:
            try:
                return await call.run_list(read)
            except (TooManyRequests, Unavailable) as refusal:
                pause = min(refusal.retry_after or 1, _LONGEST_PAUSE)
                if begun or loop.time() + pause > until:
                    raise
            await asyncio.wait([gone], timeout=pause)
            if gone.done():
                raise ClientDisconnected


def page_in_parts(call: Call, page: type[Page], read: Read) -> Response:
    """A page of a plain list, for a worker thread. `read` gives entries and the next marker (None after the last) for
    the query's pairs.

    A page of more than `PAGE` entries is read in as many pages as it takes: each is what the database holds at that
    time.
    """
    pairs = query_pairs(call.query)
    wanted = _wanted(pairs, call.services.rules.query.max_page)
    entries, marker = read(_with(pairs, limit=min(wanted, PAGE)) if wanted else pairs)
    if marker is None or wanted <= PAGE:
        whole: Any = page
        return json_response(whole(entries, **_links(call, pairs, marker)))
    opening = b'{"%b":[' % entries_of(page).encode()
    rest = _further(call, pairs, read, wanted - len(entries), marker)
    return StreamedJson(call, opening + b",".join(map(encode, entries)), rest)


def _further(call: Call, pairs: Pairs, read: Read, wanted: int, marker: str | None) -> Iterator[bytes]:
    while wanted and marker is not None:
        entries, marker = read(_with(pairs, limit=min(wanted, PAGE), marker=marker))
        wanted -= len(entries)
        if entries:
            yield b"".join(b"," + encode(entry) for entry in entries)
    yield b"]," + encode(_links(call, pairs, marker))[1:]


def _wanted(pairs: Pairs, most: int) -> int:
    """The entries that are asked for, where they are more than one reading gives; else 0, and whoever reads says what
    is wrong.
    """
    limits = [value for name, value in pairs if name == "limit"]
    if len(limits) != 1 or not (limits[0].isascii() and limits[0].isdigit()):
        return 0
    wanted = min(int(limits[0][:19]), most)
    return wanted if wanted > PAGE else 0


def _with(pairs: Pairs, **changed: object) -> list[tuple[str, str]]:
    return [pair for pair in pairs if pair[0] not in changed] + [(name, str(value)) for name, value in changed.items()]


def _links(call: Call, pairs: Pairs, marker: str | None) -> Mapping[str, str]:
    first = {"first": first_link(call.path, pairs)}
    return first if marker is None else {**first, "next": next_link(call.path, pairs, marker)}


def shared_body(body: bytes, headers: Mapping[str, str]) -> Response:
    """A response with bytes that every answer shares, which cost no memory of their own."""
    return _Shared(body, headers=dict(headers))


class _Shared(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send_in_parts(send, bytes(self.body), more=False)
