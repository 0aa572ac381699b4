"""One connection: what the client sends becomes exchanges, one after the other, within the limits."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast

import httptools

from glare.errors import ClientDisconnected
from glare.server.answers import Refusal, head_too_long, malformed, over
from glare.server.chunks import Chunks
from glare.server.exchange import Exchange, Ready
from glare.server.heads import PROBES, Ends, Head
from glare.server.limits import Limits
from glare.server.outlet import Outlet
from glare.server.pace import Pace, Rest, Verdict
from glare.server.places import Place
from glare.server.sockets import closed_by_peer, drop_at_close, end_of, unacknowledged
from glare.server.tally import Tally
from glare.server.turns import Turns

_log = logging.getLogger(__name__)

Application = Callable[[Any, Any, Any], Awaitable[None]]

AtOnce = Callable[[dict[str, Any]], Ready | None]
"""What an application may have besides, as `at_once`: the answer to a request, from its scope alone and without a wait,
or None where it takes more. Such an answer is sent with no task of its own, and many of them in one round of the
loop."""

LANE_SECONDS: Final = 10.0
"""How long a connection over the bounds may last, whatever it does, or leaves undone."""

_LINGER_SECONDS: Final = 2.0
"""How long what a client still sends is taken and dropped, so that it reads its answer before its own error."""

_DROPPED: Final = 256 << 20
"""Bytes of it, at most."""

_DROPPING: Final = 16
"""Connections from which something is taken to be dropped at the same time: that is work which nobody has asked for.
Others are not read any more, and their clients may see the connection's end before its answer."""

_PIPELINED: Final = 16
"""Requests that are kept while an earlier one is answered. The connection ends after them; a client that sent more
sends those again."""

_BIG: Final = 256 << 10
_SMALL: Final = 16 << 10
_LEAST: Final = 1 << 10
_MANY_PIECES: Final = 32
"""Pieces of a body that are taken from what is read at once, before others have their turn, or a few more."""


def _never(_: dict[str, Any]) -> None:
    """Of an application that has no answers at once."""


@dataclass(slots=True)
class Site:
    """What all connections of a process share. `buffer` is where each of them reads, one at a time; `empty` is
    set when the last one ends while `closing`.
    """

    application: Application
    limits: Limits
    tally: Tally
    loop: asyncio.AbstractEventLoop
    connections: set[Connection] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    turns: Turns = field(init=False)
    probes: Turns = field(init=False)  # They wait for no other request, and for each other as requests do.
    reads: Turns = field(init=False)  # Of bodies: in small pieces each reading costs as much as a request.
    at_once: AtOnce = field(init=False)
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(_BIG)))
    dropping: set[Connection] = field(default_factory=set)
    closing: bool = False
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.turns = Turns(self.loop)
        self.probes = Turns(self.loop)
        self.reads = Turns(self.loop)
        self.at_once = getattr(self.application, "at_once", _never)


class Connection(asyncio.BufferedProtocol):
    """From the accepted socket on. Whoever made it lets it `take` its place."""

    place: Place

    def __init__(self, site: Site, sock: socket.socket, *, tls: bool) -> None:
        self._site = site
        self._socket = sock
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._outlet: Outlet | None = None
        limits = site.limits
        self._pace = Pace(limits.stall_seconds, limits.least_rate)
        self._rest: Rest | None = None
        self._deadline: float | None = site.loop.time() + limits.head_seconds
        self._overdue = "head"
        self._parser = httptools.HttpRequestParser(self)
        self._head: Head | None = None
        self._framing = 0  # Bytes since a head or a piece of a body was whole.
        self._chunks = Chunks()
        self._pieces = 0  # Of a body, in what was read last.
        self._step = _SMALL
        self._rests = False  # Until its next reading has its turn.
        self._reads = True
        self._deaf = False
        self._dropped = 0
        self._refusal: Refusal | None = None
        self._incoming: Exchange | None = None
        self._current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._ends = Ends(None, None, "https" if tls else "http")

    def take(self, place: Place) -> None:
        """Have this place from now on."""
        self.place = place
        if place.bound is not None:
            self._deadline, self._overdue = self._site.loop.time() + self.head_seconds, "lane"

    @property
    def head_seconds(self) -> float:
        """How long its head, or its handshake, may take to come. Over the bounds it is the time for everything."""
        seconds = self._site.limits.head_seconds
        return seconds if self.place.bound is None else min(LANE_SECONDS, seconds)

    # The transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)
        self._outlet = Outlet(transport, self._pace, plain=not self._tls and sys.platform == "linux")
        self._outlet.watch()
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._ends = Ends(end_of(peer), end_of(here), self._ends.scheme)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        if self._outlet is not None:
            self._outlet.close()
        for exchange in (self._current, self._incoming, *self._queue):
            if exchange is not None:
                exchange.client_left()
        self._queue.clear()

    def pause_writing(self) -> None:
        self.outlet.pause()

    def resume_writing(self) -> None:
        self.outlet.resume()

    def get_buffer(self, sizehint: int) -> memoryview:
        incoming = self._incoming
        # A head is small, and what comes after it is not wanted yet. Of a body in small pieces each costs as much as a
        # large one, so less is read at once.
        wanted = incoming is not None and incoming.wants_body
        return self._site.buffer[: self._step if wanted else min(self._step, _SMALL)]

    def buffer_updated(self, nbytes: int) -> None:
        if self._deaf:
            self._drop(nbytes)
            return
        if self._overdue == "idle" and self._deadline is not None:
            self._await_head()
        self._framing += nbytes
        self._pieces = 0
        try:
            self._parser.feed_data(self._site.buffer[:nbytes])
        except httptools.HttpParserUpgrade:
            self._end_after(self._queue[-1] if self._queue else self._current)
        except httptools.HttpParserError as error:
            refusal = error.__context__
            self._refuse(refusal if isinstance(refusal, Refusal) else malformed(error))
        else:
            if self._framing > self._site.limits.head_bytes:
                self._refuse(head_too_long(self._site.limits.head_bytes))
        if self._pieces and self._incoming is not None:
            self._step = max(_LEAST, self._step // 2) if self._in_crumbs else min(_BIG, self._step * 2)
            self._rests = True
            self._site.reads.take(self.place.neighbours, self._read_on)
        self.steer()

    def eof_received(self) -> None:
        # Whoever sends no more is taken to have left, as with most servers: nothing else shows that nobody waits for an
        # answer.
        if self._transport is not None:
            self._transport.abort()

    # The parser calls these.

    def on_message_begin(self) -> None:
        self._head = Head()

    def on_url(self, url: bytes) -> None:
        if self._head is not None:
            self._head.add_target(url)

    def on_header(self, name: bytes, value: bytes | None) -> None:
        if self._head is not None:
            self._head.add_header(name, value)

    def on_headers_complete(self) -> None:
        head, self._head = self._head, None
        if head is None or self._deaf:
            return
        limits, parser = self._site.limits, self._parser
        if head.length > limits.head_bytes:
            raise head_too_long(limits.head_bytes)
        version = parser.get_http_version()
        scope = head.scope(parser.get_method(), version, self._ends)
        if self.place.bound is not None and head.path() not in PROBES:
            raise over(self.place.bound)
        lasts = limits.keep_alive and parser.should_keep_alive() and self.place.bound is None and not self._site.closing
        exchange = Exchange(self, scope, has_body=head.has_body, expects_continue=head.expects_continue, last=not lasts)
        self._incoming = exchange
        self._framing = 0
        self._chunks = Chunks()
        # How small its chunks are is not known before some have come.
        self._step = _LEAST if head.is_chunked else _SMALL
        if self._current is None:
            self._begin(exchange)
        else:
            self._queue.append(exchange)

    def on_body(self, body: bytes) -> None:
        self._framing = 0
        self._pieces += 1
        self._chunks.part(len(body))
        incoming = self._incoming
        if incoming is None or self._deaf:
            return
        if incoming.answered:
            self._drop(len(body))
        else:
            incoming.body_came(body)

    def on_chunk_complete(self) -> None:
        if not self._deaf:
            self._chunks.whole()

    def on_message_complete(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is None or self._deaf:
            return
        self._framing = 0
        incoming.body_is_whole()
        self._dropped = 0
        self._site.dropping.discard(self)
        if incoming.answered and incoming is not self._current:
            self._await_request()
        if len(self._queue) >= _PIPELINED or incoming.ends_connection:
            self._end_after(incoming)

    # Exchanges use these.

    @property
    def outlet(self) -> Outlet:
        if self._outlet is None:
            raise AssertionError("a connection without a transport has no requests")
        return self._outlet

    def say(self, data: bytes) -> None:
        """Send a few bytes beside the answer."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def steer(self) -> None:
        """Read on, or leave what comes with the kernel, which makes the client wait."""
        incoming = self._incoming
        if self._rests or (self._dropped and self not in self._site.dropping):
            wanted = False
        elif self._deaf or self._current is None:
            wanted = True
        elif incoming is not None:
            wanted = incoming is self._current and (incoming.wants_body or incoming.answered)
        else:
            wanted = not self._queue
        transport = self._transport
        if wanted == self._reads or transport is None or transport.is_closing():
            return
        self._reads = wanted
        if wanted:
            transport.resume_reading()
        else:
            transport.pause_reading()

    @property
    def _in_crumbs(self) -> bool:
        return self._pieces > _MANY_PIECES

    def _read_on(self) -> bool:
        """The turn for the next reading of a body has come; whether the last one was light."""
        self._rests = False
        self.steer()
        return not self._in_crumbs

    def _drop(self, size: int) -> None:
        """Bytes that nobody wants have come. What is more of them than may be is not read."""
        dropping = self._site.dropping
        # While an answer is under way it would last as long as that does; `_linger` begins anew.
        over = self._current is None or self._current.answered
        if over and not self._dropped and len(dropping) < _DROPPING:
            dropping.add(self)
        self._dropped += size
        if self._dropped > _DROPPED:
            dropping.discard(self)
        self.steer()

    # Others use these.

    def look(self, now: float) -> None:
        """Judge it, as often as `Limits.tick` says."""
        verdict = self._pace.judge(now, self.outlet.taken) if self._pace.waiting else self._judge_rest(now)
        if verdict is not None:
            self.cut_off(verdict)
        elif self._rest is not None and self._overdue in ("idle", "linger"):
            pass  # Its time begins when it has taken everything.
        elif self._deadline is not None and now >= self._deadline:
            self._time_is_up()
        elif not self._reads and self._transport is not None and closed_by_peer(self._socket):
            # Nothing is read, so nobody else would see that the client has left.
            self._abort()

    def owed(self) -> bool:
        """Whether the client has yet to take a part of its last answer. Until it has, `look` judges it as a reader, and
        then says that it is idle.
        """
        if self._rest is None and self._transport is not None:
            kept = unacknowledged(self._socket)
            if kept:
                self._rest = Rest(self._site.limits, self._site.loop.time(), kept)
        return self._rest is not None

    def make_room(self) -> None:
        """End at once: somebody else needs the place."""
        self._site.tally.cut_off("replaced")
        self._close_idle()

    def stop(self) -> None:
        """End after the requests under way; at once where there are none."""
        if self._current is None:
            self._close()
        else:
            self._current.ends_connection = True

    def cut_off(self, reason: str) -> None:
        """End at once, and let the kernel drop what the client has not taken."""
        self._site.tally.cut_off(reason)
        self._reset()

    def end(self) -> None:
        """End now, because the process does. The kernel still delivers an answer that is complete."""
        if self._current is None and self._transport is not None:
            self._forget()
            if self._tls:
                self._abort()  # `close` would wait for the client to say that it has read the end.
            else:
                self._close()
        else:
            self.cut_off("stopped")

    def failed(self) -> None:
        """The connection never came about (TLS)."""
        self._forget()

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._rest = None
        self.place.busy()
        if self.place.bound is None:
            self._deadline = None
        turns = self._site.probes if exchange.path in PROBES else self._site.turns
        turns.take(self.place.neighbours, lambda: self._start(exchange))

    def _start(self, exchange: Exchange) -> bool:
        """Its turn has come; whether nothing is left of it."""
        if exchange.client_has_left:
            self._after(exchange)  # Before its turn came: what nobody waits for is not done.
            return True
        ready = self._ready(exchange)
        if ready is not None:
            with suppress(ClientDisconnected):
                self.outlet.push(exchange.answer(ready))
            self._after(exchange)
            return True
        task = self._site.loop.create_task(self._run(exchange))
        self._site.tasks.add(task)
        task.add_done_callback(self._site.tasks.discard)
        return False

    def _ready(self, exchange: Exchange) -> Ready | None:
        if not self.outlet.is_free:
            return None  # To a client that does not take what it has, more is sent only as it does.
        try:
            return self._site.at_once(exchange.scope)
        except Exception:  # noqa: BLE001 - the application is asked in full then
            _log.exception("an answer cannot be had at once")
            return None

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._site.application(exchange.scope, exchange.receive, exchange.send)
        except ClientDisconnected:
            pass  # Nobody is left to be answered.
        except Exception:  # noqa: BLE001 - the application answers its errors: this is ours, and ends the connection
            _log.exception("the application failed")
        finally:
            self._after(exchange)

    def _after(self, exchange: Exchange) -> None:
        """The application is done with an exchange."""
        transport = self._transport
        self._current = None
        if transport is None or transport.is_closing():
            return
        if not exchange.answered:
            if exchange.begun:
                # What is missing shows the client that the answer is not whole.
                self._site.tally.cut_off("broken")
                self._abort()
                return
            self.say((self._refusal or Refusal(500, "broken", "The service has not answered.")).answer())
            exchange.ends_connection = True
        if exchange.ends_connection:
            self._linger()
        elif self._queue:
            self._begin(self._queue.popleft())
        elif exchange is self._incoming:
            self._deadline, self._overdue = self._site.loop.time() + _LINGER_SECONDS, "body"
            self.place.idle()
        else:
            self._await_request()
        self.steer()

    def _await_request(self) -> None:
        """The connection is idle, or a part of the next head has come already."""
        self.place.idle()
        if self._head is not None:
            self._await_head()
        else:
            self._deadline, self._overdue = self._site.loop.time() + self._site.limits.idle_seconds, "idle"

    def _await_head(self) -> None:
        self._deadline, self._overdue = self._site.loop.time() + self._site.limits.head_seconds, "head"

    def _refuse(self, refusal: Refusal) -> None:
        """Answer it, after what is under way, and listen no more."""
        self._site.tally.refused(refusal)
        self._deaf = True
        broken, self._incoming = self._incoming, None
        if broken is not None and broken is not self._current and broken in self._queue:
            self._queue.remove(broken)
        elif broken is not None and broken is self._current:
            # Its body is no body. The application is told that the client has left, and when it is done, the client is
            # told why.
            broken.client_left()
            broken.ends_connection = True
            self._refusal = refusal
            return
        if self._current is not None or self._queue:
            # An answer in the midst of another one would be taken for a part of it.
            self._end_after(self._queue[-1] if self._queue else self._current)
            return
        if broken is None or not broken.answered:  # A second answer would be taken for that of another request.
            self.say(refusal.answer())
        self._linger()

    def _end_after(self, exchange: Exchange | None) -> None:
        """Nothing that comes after this exchange is heard any more."""
        self._deaf = True
        if exchange is not None:
            exchange.ends_connection = True
        elif self._current is None:
            self._linger()

    def _linger(self) -> None:
        """Say that nothing follows, and wait a moment for the client to close: what is closed on unread bytes is
        reset.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._deaf = True
        if self._dropped <= _DROPPED:
            self._dropped = 0
        self.place.idle()
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()
        self._deadline, self._overdue = self._site.loop.time() + _LINGER_SECONDS, "linger"
        self.steer()

    def _time_is_up(self) -> None:
        overdue = self._overdue
        if overdue == "body":
            self._linger()
        elif overdue in ("idle", "linger"):
            # One over the bounds has no time to read slowly.
            if self.place.bound is not None or not self.owed():
                self._close_idle()
        elif overdue == "head" and self._head is not None and self._current is None:
            self._refuse(Refusal(408, "head", "The head of the request took too long to come."))
        else:
            self.cut_off(overdue)

    def _judge_rest(self, now: float) -> Verdict | None:
        """What is to be said of how the client takes what the kernel keeps of its last answer."""
        rest = self._rest
        if rest is None:
            return None
        kept = unacknowledged(self._socket)
        if kept:
            return rest.judge(now, kept)
        self._rest = None
        if self._current is None:
            self.place.idle()
        if self._overdue == "linger":
            self._deadline = now + _LINGER_SECONDS
        return None

    def _close_idle(self) -> None:
        """A client that keeps the connection for its next request sees its end; what one has not taken would stay with
        the kernel for minutes.
        """
        if self._transport is None or unacknowledged(self._socket):
            self._reset()
        else:
            self._forget()
            self._close()
            if self._tls:
                # What it has sent to the end is the client's; that it says so too is waited for a moment.
                self._site.loop.call_later(_LINGER_SECONDS if self._overdue == "idle" else 0, self._transport.abort)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _reset(self) -> None:
        self._forget()
        if self._transport is None:
            # Amid a handshake: whoever waits for it sees that its socket has ended.
            with suppress(OSError):  # The client has left already.
                self._socket.shutdown(socket.SHUT_RDWR)
            return
        with suppress(OSError):  # It is closed already.
            drop_at_close(self._socket)
        self._transport.abort()

    def _forget(self) -> None:
        self._deadline = self._rest = None
        self._site.dropping.discard(self)
        if self in self._site.connections:
            self._site.connections.discard(self)
            self._site.tally.closed()
            if self._site.closing and not self._site.connections:
                self._site.empty.set()
        self.place.free()
