"""Responses whose bodies are blobs: a file, a range out of a store, or checked blocks of an external location."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from glare.digest import BLOCK
from glare.domain.blob import External, Managed
from glare.domain.declared.hooks import Reader
from glare.errors import BlobDamaged, ClientDisconnected, GlareError, NotFound, Unavailable
from glare.http.call import Call
from glare.http.pace import Pace
from glare.operations import hooks
from glare.operations.blobs.download import Download, was_replaced
from glare.operations.blobs.own_bytes import OwnBytes
from glare.operations.reading.origin_blocks import RangesUnknown
from glare.operations.reading.verified_stream import VerifiedStream
from glare.stores.base import Store

_PATHSEND: Final = "http.response.pathsend"


class FileBody(Response):
    """A whole file, sent by the server itself, which looks at no byte of it: of stores that the operator has named for
    that.
    """

    def __init__(self, path: Path, headers: Mapping[str, str]) -> None:
        self._path = path
        super().__init__(None, 200, headers)

    @classmethod
    def of(cls, call: Call, found: Download, headers: Mapping[str, str]) -> FileBody | None:
        """Where the server can send files, and the store has this one and is one of `unchecked_files`.

        Raises `NotFound` when the file is lost, `BlobDamaged` when it has another size.
        """
        location = found.blob.location
        if not isinstance(location, Managed) or location.store not in call.services.rules.unchecked_stores:
            return None
        if not call.can_send_files or found.blob.damage is not None:
            return None
        store = call.services.store_with(location)
        path = store.path(location.object)
        if path is None:
            return None
        _require_size(store, location, found)
        return cls(path, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": _PATHSEND, "path": str(self._path)})


def small_body(call: Call, found: Download, headers: Mapping[str, str], status: int, first: int, last: int) -> Response:
    """A short range of a stored blob, read and checked in this worker thread. Raises what `OwnBytes` does."""
    with closing(OwnBytes(call.services, found, first, last)) as stream:
        stream.open()
        return Response(b"".join(iter(stream.read, b"")), status, headers)


class Pieces(Protocol):
    """Bytes in pieces, read in a worker thread; ``b""`` at the end."""

    def read(self) -> bytes: ...

    def close(self) -> None: ...


class _Cancellable(Pieces, Protocol):
    """Pieces that are opened first, and whose waits can be ended from elsewhere."""

    def open(self) -> None: ...

    def cancel(self) -> None: ...


class Source(Reader, Protocol):
    """A reader that is let go of at the end."""

    def close(self) -> None: ...


class StreamBody(Response):
    """Pieces from a worker thread. While few bodies are under way, the next one is read while one is being sent.

    A client that goes away ends it; one that takes nothing, or too little, is cut off by the server.
    """

    def __init__(self, call: Call, headers: Mapping[str, str], status: int) -> None:
        self._call = call
        self._store: str | None = None
        self._broken: GlareError | None = None
        self._sending: asyncio.Timeout | None = None
        super().__init__(None, status, headers)
        if "content-length" not in headers:
            del self.headers["content-length"]

    def open(self) -> Pieces:
        """Called in a worker thread, before anything is answered: what it raises is still a clean error."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End an `open` or a read that waits. Called on the event loop. Files are read without waiting for anybody."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._call.transfer("download", self._break_off, self._store) as transfer:
            await self._send(send, transfer.pace)

    def _break_off(self, reason: GlareError) -> None:
        """End it from the event loop, also while the client takes nothing."""
        self._broken = reason
        self.cancel()
        if self._sending is not None and not self._sending.expired():
            self._sending.reschedule(asyncio.get_running_loop().time())

    async def _send(self, send: Send, pace: Pace) -> None:
        call = self._call
        gone = asyncio.ensure_future(call.until_disconnected())
        gone.add_done_callback(lambda _: self.cancel())
        opening = asyncio.ensure_future(call.run_stream(self.open))
        pieces: Pieces | None = None
        reading: asyncio.Future[bytes] | None = None
        try:
            pieces = await opening
            reading = self._read(pieces)
            piece = await reading
            left = int(self.headers.get("content-length", -1))
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while piece and not gone.done() and self._broken is None:
                ahead = call.application.transfers.few
                if ahead:
                    reading = self._read(pieces)
                pace.wait()
                try:
                    async with asyncio.timeout(None) as self._sending:
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                finally:
                    self._sending = None  # One that is over cannot be told to end any more.
                pace.moved(len(piece))
                left -= len(piece)
                del piece  # So that it is gone before the next one comes.
                if not ahead:
                    reading = self._read(pieces)
                piece = await reading
            if self._broken is not None:
                raise Unavailable(self._broken.message)
            # Whoever has all the bytes that were announced may leave before this says that there are no more.
            with suppress(ClientDisconnected) if left == 0 else nullcontext():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()  # Which calls `cancel` here too, so that no thread waits for an origin any more.
            await _ended(call, opening, pieces, reading)
            # An error holds this frame, and they hold it: a cycle, on which the connection would stay open until the
            # garbage collector comes by. A client whose download was broken off has to see that at once.
            del opening, reading, gone

    def _read(self, pieces: Pieces) -> asyncio.Future[bytes]:
        return asyncio.ensure_future(self._call.run_stream(pieces.read))


async def _ended(
    call: Call, opening: asyncio.Future[Pieces], pieces: Pieces | None, reading: asyncio.Future[bytes] | None
) -> None:
    """Let go of the source once no thread reads from it any more."""
    if pieces is None:
        if not opening.done():
            opening.add_done_callback(_close_late)
        return
    if reading is not None and not reading.done():
        await asyncio.wait([reading])
    if reading is not None and not reading.cancelled():
        reading.exception()  # Whoever needed it has seen it.
    await call.run_stream(pieces.close)


def _close_late(opening: asyncio.Future[Pieces]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class Replaced(Exception):
    """The blob was replaced, or is gone, since its row was read: its object is not there any more."""


Again = Callable[[], Response]
"""What answers the request anew, in a worker thread."""


class _OwnBody(StreamBody):
    """Bytes of a stored blob. Where it was replaced since its row was read, the request is answered anew by `again`."""

    def __init__(self, call: Call, found: Download, headers: Mapping[str, str], status: int, again: Again) -> None:
        super().__init__(call, headers, status)
        self._store = found.blob.location.store if isinstance(found.blob.location, Managed) else None
        self._found = found
        self._again = again

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except Replaced:
            answer = None
        else:
            return
        answer = await self._call.run(self._again)
        await answer(scope, receive, send)


class _Span:
    """The bytes `span` (both included) of a blob of `size` bytes, which `body` sends: opened by `stream`.

    Where only origins are left that know no ranges, the whole is sent instead, and `body` says so.
    """

    def __init__(
        self, body: StreamBody, size: int, span: tuple[int, int], stream: Callable[[int, int], _Cancellable]
    ) -> None:
        self._body = body
        self._size = size
        self._make = stream
        self._gone = False
        self._stream = stream(*span)

    def open(self) -> Pieces:
        try:
            self._stream.open()
        except RangesUnknown:
            if self._body.status_code != 206:
                raise
            self._send_whole()
            self._stream.open()
        return self._stream

    def cancel(self) -> None:
        """Nobody takes it any more. Called on the event loop, also while it is being opened."""
        self._gone = True
        self._stream.cancel()

    def _send_whole(self) -> None:
        """Take no notice of the range (RFC 9110, 14.2): to skip what comes before it would cost the origin more than
        the reader gets.
        """
        body = self._body
        body.status_code = 200
        del body.headers["content-range"]
        body.headers["content-length"] = str(self._size)
        body.headers["content-digest"] = body.headers["repr-digest"]
        self._stream.close()
        self._stream = self._make(0, self._size - 1)
        if self._gone:
            self._stream.cancel()


class StoreBody(_OwnBody):
    """A stored blob or a range of it, each block checked before it is sent."""

    def __init__(
        self, call: Call, found: Download, headers: Mapping[str, str], status: int, span: tuple[int, int], again: Again
    ) -> None:
        super().__init__(call, found, headers, status, again)
        cdn_loop = call.headers.get("cdn-loop", "")
        self._span = _Span(self, found.size, span, partial(OwnBytes, call.services, found, cdn_loop=cdn_loop))

    def open(self) -> Pieces:
        with not_replaced(self._call, self._found):
            return self._span.open()

    def cancel(self) -> None:
        self._span.cancel()


@contextmanager
def not_replaced(call: Call, found: Download) -> Iterator[None]:
    """Raise `Replaced` instead of the error of a store that does not have an object which the blob does not have any
    more.
    """
    try:
        yield
    except NotFound:
        if was_replaced(call.services, found):
            raise Replaced from None
        raise


class VerifiedBody(StreamBody):
    """Bytes of an external blob, each block checked before it is sent."""

    def __init__(
        self, call: Call, found: Download, headers: Mapping[str, str], status: int, first: int, last: int
    ) -> None:
        super().__init__(call, headers, status)
        cdn_loop = call.headers.get("cdn-loop", "")
        stream = partial(VerifiedStream, call.services, found.candidates, cdn_loop=cdn_loop)
        self._span = _Span(self, found.size, (first, last), stream)

    def open(self) -> Pieces:
        return self._span.open()

    def cancel(self) -> None:
        self._span.cancel()


class RewrittenBody(_OwnBody):
    """The whole blob as its type's download hook rewrites it: no length, no ranges, no digests."""

    def __init__(self, call: Call, found: Download, headers: Mapping[str, str], again: Again) -> None:
        super().__init__(call, found, headers, 200, again)
        last, cdn_loop = found.size - 1, call.headers.get("cdn-loop", "")
        self._stream = (
            VerifiedStream(call.services, found.candidates, 0, last, cdn_loop)
            if isinstance(found.blob.location, External)
            else OwnBytes(call.services, found, 0, last, cdn_loop)
        )

    def open(self) -> Pieces:
        found = self._found
        with not_replaced(self._call, found):
            self._stream.open()
        raw = _FromPieces(self._stream)
        return _FromReader(hooks.rewritten(found.spec, found.artifact, found.slot, raw), raw)

    def cancel(self) -> None:
        self._stream.cancel()


def _require_size(store: Store, location: Managed, found: Download) -> None:
    """Raise `BlobDamaged` for an object that was cut off, before the first byte of it is sent."""
    size = store.size(location.object)
    if size != found.size:
        raise BlobDamaged(
            f"The stored bytes of blob '{found.slot.path}' are {size}, but {found.size} were recorded, and are not "
            "sent; tell its operator, who may have a copy of them."
        )


class _FromPieces:
    """Pieces as a reader."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        if not self._rest:
            self._rest = self._pieces.read()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        self._pieces.close()


class _FromReader:
    """A reader as pieces of up to 1 MiB; `source` is what is closed at the end."""

    def __init__(self, reader: Reader, source: Source) -> None:
        self._reader = reader
        self._source = source

    def read(self) -> bytes:
        return self._reader.read(BLOCK)

    def close(self) -> None:
        self._source.close()
