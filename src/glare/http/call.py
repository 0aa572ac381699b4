"""One request on its way to an operation and back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from glare.context import PARTY
from glare.domain.actor import Actor
from glare.domain.microversion import Microversion
from glare.errors import (
    BadRequest,
    ClientDisconnected,
    GlareError,
    MethodNotAllowed,
    RequestEntityTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)
from glare.http.drain import Drain
from glare.http.inbox import Inbox
from glare.http.lanes import ANSWER_UNIT, BODY_UNIT, Lane, Lanes, weight_of_list
from glare.http.media_types import JSON_ANSWER
from glare.http.pace import Pace
from glare.http.parties import Parties
from glare.http.probes import Probe
from glare.http.query import query_pairs
from glare.http.request_headers import refuse_conditions, refuse_what_is_not_done
from glare.http.streams import BodyReader, Patience, Room
from glare.http.transfers import Transfer, Transfers
from glare.identity.base import Identity
from glare.operations.refusals import Refusals
from glare.operations.services import Services
from glare.operations.upkeep.health import Readiness
from glare.parts import Parts
from glare.shares import Party

P = ParamSpec("P")
T = TypeVar("T")

_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,255}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
_LARGE: Final = (
    64 << 10
)  # A JSON document of more bytes is worked on in a thread: it would keep the event loop for milliseconds.
PART: Final = 64 << 10
"""Bytes of an answer that the server is given at once. What is not larger is not counted: the server would hold as much
anyway."""

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Limits of the HTTP layer: bytes of a JSON body, how long the bytes of a blob and those of a JSON body are waited
    for, and whether errors carry tracebacks. `cdn_loop_id` is how Glare names itself in ``CDN-Loop``; `metrics_peers`
    may read the metrics; `public_endpoint` is the URL of the service, where it is configured.
    """

    max_document: int
    patience: Patience
    document_patience: Patience
    debug: bool
    cdn_loop_id: str
    metrics_peers: tuple[IPv4Network | IPv6Network, ...]
    public_endpoint: str | None


class Description(NamedTuple):
    """The description of the API as bytes, and what names them: the same for everybody."""

    body: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class Application:
    """What handlers share: the services, who is calling, whom that belongs to, and where there are threads.

    `lanes` have the threads of what ends soon; `streams` run what lasts as long as a body does, which has a place among
    `transfers`; those of a remote store have a place among `at_stores` besides. `readiness` and `numbers` answer
    probes. `schemas` are the documents that were asked for once, by type (all: empty) and microversion.
    """

    services: Services
    identity: Identity
    parties: Parties
    refusals: Refusals
    lanes: Lanes
    streams: Executor
    transfers: Transfers
    at_stores: Mapping[str, Transfers]
    settings: HttpSettings
    description: Description
    drain: Drain
    readiness: Probe[Readiness]
    numbers: Probe[bytes | None]
    schemas: dict[tuple[str, Microversion], bytes] = field(default_factory=dict)


class Call:
    """What a handler works with. `actor` and `microversion` are known before any handler runs. `link` is the path that
    stands for what is read where that is read by a link.
    """

    __slots__ = (
        "_held",
        "_inbox",
        "_is_large",
        "_scope",
        "actor",
        "application",
        "headers",
        "link",
        "microversion",
        "parameters",
        "request_id",
    )

    def __init__(self, scope: Scope) -> None:
        state = scope["state"]
        self._scope = scope
        self._inbox: Inbox = state["inbox"]
        self._held = AsyncExitStack()
        self._is_large = False
        self.application: Application = state["application"]
        self.actor: Actor = state["actor"]
        self.link: str | None = None
        self.microversion: Microversion = state["microversion"]
        self.headers: Headers = state["headers"]
        self.parameters: dict[str, str] = scope["path_params"]
        self.request_id: str = state["request_id"]

    @property
    def services(self) -> Services:
        return self.application.services

    @property
    def path(self) -> str:
        """The decoded path."""
        path: str = self._scope["path"]
        return path

    @property
    def base_url(self) -> str:
        """Where clients reach the service: as configured, else as this request has it. Without a slash at the end."""
        configured = self.application.settings.public_endpoint
        if configured is not None:
            return configured.rstrip("/")
        host = self.headers.get("host", "")
        return f"{self._scope.get('scheme', 'http')}://{host if _HOST.fullmatch(host) else 'localhost'}"

    @property
    def query(self) -> bytes:
        """The query string as it was sent."""
        query: bytes = self._scope["query_string"]
        return query

    @property
    def peer(self) -> str | None:
        """The address at the other end of the connection."""
        return peer_of(self._scope)

    @property
    def address(self) -> str | None:
        """Where the request comes from, as trusted proxies name it."""
        return self.application.parties.address(self.peer, self.headers)

    @property
    def is_head(self) -> bool:
        return bool(self._scope["method"] == "HEAD")

    @property
    def is_read(self) -> bool:
        return self._scope["method"] in ("GET", "HEAD")

    @property
    def can_send_files(self) -> bool:
        """Whether the server takes the path of a file instead of its bytes."""
        return "http.response.pathsend" in self._scope.get("extensions", {})

    @property
    def party(self) -> Party:
        """Whom this request belongs to."""
        return PARTY.get()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what decides or touches the database: in a worker thread, one hop, when it is its party's turn.

        Raises `TooManyRequests` and `Unavailable` where there is no room to wait; `ClientDisconnected` where the client
        left meanwhile.
        """
        return await self._in_lane(self.application.lanes.short, 1, partial(function, *args, **kwargs))

    async def run_list(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, for what costs as much as the query asks for."""
        weight = weight_of_list(query_pairs(self.query), self.services.rules.query.default_page)
        return await self._in_lane(self.application.lanes.lists, weight, partial(function, *args, **kwargs), look=True)

    @asynccontextmanager
    async def transfer(
        self, kind: str, break_off: Callable[[GlareError], object] | None = None, store: str | None = None
    ) -> AsyncIterator[Transfer]:
        """A place for a body: an ``upload``, a ``download``, or the measurement of a ``location``. Waits for it where
        others have it. `store` is what the body goes to or comes from: where all places of a remote one are taken, it
        waits for one of those first, and has no place that others could use.

        `break_off` ends the body with the reason, called on the event loop where it is slow and others wait. Raises as
        `run`.
        """
        gone, pace = self._inbox.gone, None
        async with AsyncExitStack() as places:
            if store is not None and (there := self.application.at_stores.get(store)) is not None:
                pace = (await places.enter_async_context(there.place(self.party, break_off, gone))).pace
            transfers = self.application.transfers
            transfer = await places.enter_async_context(transfers.place(self.party, break_off, gone, pace))
            self._require_room_for_answer()
            self.services.metrics.transfer_began(kind)
            try:
                yield transfer
            finally:
                self.services.metrics.transfer_ended(kind)

    async def run_stream(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what lasts as long as a body does, beside the threads of short work."""
        return await self._hop(self.application.streams, partial(function, *args, **kwargs))

    def media_type(self) -> str:
        """The content type of the body in lower case, without parameters; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def require_media_type(self, wanted: str) -> None:
        """Raises `UnsupportedMediaType` for another content type."""
        given = self.media_type()
        if given != wanted:
            raise UnsupportedMediaType(f"Content-Type must be '{wanted}'; it is '{given[:100]}'.")

    def declared_length(self) -> int | None:
        """The value of ``Content-Length``, or None. Raises `BadRequest` when it is not a number."""
        text = self.headers.get("content-length")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise BadRequest(f"Content-Length '{text[:40]}' must be a number of bytes.")
        return int(text)

    def body_reader(self) -> BodyReader:
        """The body as a reader for worker threads."""
        transfers = self.application.transfers
        room = Room(ahead=lambda: transfers.few, large=lambda: not transfers.many)
        return BodyReader(self._inbox.receive, self.declared_length(), self.application.settings.patience, room)

    async def document(self) -> Any:
        """The JSON body. Raises `BadRequest` when it is not JSON, `RequestEntityTooLarge` beyond the limit,
        `RequestTimeout`, `TooManyRequests` and `Unavailable` where there is no room for it.

        Until the handler has ended it counts as held.
        """
        body = await self._whole_body()
        self._is_large = len(body) > _LARGE
        return await self.aside(_parsed, body)

    async def aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what takes as long as the document is large: here where it is small, in a worker thread otherwise."""
        if self._is_large:
            return await self.run(function, *args, **kwargs)
        return function(*args, **kwargs)

    async def close(self) -> None:
        """Let go of what the request has held."""
        await self._held.aclose()

    async def require_no_body(self) -> None:
        """Raises `BadRequest` when the request carries a body."""
        # A body whose length is declared need not be read to be refused.
        if self.declared_length() or ("transfer-encoding" in self.headers and await self._whole_body()):
            raise BadRequest("This request must not have a body.")

    @asynccontextmanager
    async def answer_in_memory(self, size: int) -> AsyncIterator[None]:
        """Count so many bytes of an answer that the client has to take. Raises as `run`."""
        weight = -(-size // ANSWER_UNIT)
        async with self.application.lanes.answers.share(self.party, weight, gone=self._inbox.gone):
            yield

    @contextmanager
    def answer_to_change(self, size: int) -> Iterator[None]:
        """Count so many bytes of an answer that tells of a change, whatever there is room for: to refuse it would say
        that nothing has happened.
        """
        with self.application.lanes.answers.take(self.party, -(-size // ANSWER_UNIT)):
            yield

    def _require_room_for_answer(self) -> None:
        """Raises `TooManyRequests` for a change by whose party's clients do not take the answers that they have: this
        one could not be refused any more.
        """
        if not self.is_read:
            self.application.lanes.answers.require_room(self.party)

    async def until_gone(self) -> None:
        """Return when the client has gone away, as far as the server tells."""
        await self._inbox.gone()

    async def until_disconnected(self) -> None:
        """Return when the client has gone away. The body must have been read."""
        while True:
            message = await self._inbox.receive()
            if message["type"] == "http.disconnect":
                return

    async def _in_lane(self, lane: Lane, weight: int, function: Callable[[], T], *, look: bool = False) -> T:
        """Run it when it is its turn. With `look` it is costly enough to see first whether somebody still waits for
        it.
        """
        async with lane.shares.share(self.party, weight, gone=self._inbox.gone):
            if look and await self._inbox.has_left():
                self.services.metrics.refused(lane.shares.name, "gone")
                raise ClientDisconnected("The client has left; what it asked for was not begun.")
            self._require_room_for_answer()
            return await self._hop(lane.threads, function)

    async def _hop(self, threads: Executor, function: Callable[[], T]) -> T:
        # The event loop does not take the context along by itself, and without it the thread would log under no
        # request.
        run: Callable[[Callable[[], T]], T] = copy_context().run
        return await asyncio.get_running_loop().run_in_executor(threads, run, function)

    async def _whole_body(self) -> bytes:
        limit = self.application.settings.max_document
        declared = self.declared_length()
        if declared is not None and declared > limit:
            raise _too_long(limit)
        bodies = self.application.lanes.bodies
        weight = -(-(limit if declared is None else declared) // BODY_UNIT)
        await self._held.enter_async_context(bodies.share(self.party, max(1, weight), gone=self._inbox.gone))
        patience = self.application.settings.document_patience
        pace = Pace(patience.stall_seconds)
        parts = Parts()
        while True:
            pace.wait()
            try:
                async with asyncio.timeout(patience.stall_seconds):
                    message = await self._inbox.receive()
            except TimeoutError:
                raise RequestTimeout(
                    f"No byte of the request body arrived for {patience.stall_seconds:g} seconds; send it again."
                ) from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            part = message.get("body", b"")
            if len(parts) + len(part) > limit:
                raise _too_long(limit)
            parts.add(part)
            if not message.get("more_body", False):
                return parts.take()
            pace.moved(len(part))
            if pace.is_below(patience.minimum_rate):
                raise RequestTimeout(
                    f"The request body arrives at less than {patience.minimum_rate} bytes a second; send it again, "
                    "faster."
                )


Handler = Callable[[Call], Awaitable[Response]]


class Endpoint:
    """The handlers of one path, by method. HEAD is answered by the handler of GET; the order is that of ``Allow``."""

    def __init__(self, **handlers: Handler) -> None:
        self._handlers = dict(handlers)
        if "GET" in handlers:
            self._handlers["HEAD"] = handlers["GET"]
        self._any: Handler | None = None
        self._tagged = False
        self.allow = ", ".join(handlers)
        self.handlers: Mapping[str, Handler] = handlers

    @classmethod
    def of_any_method(cls, handler: Handler) -> Endpoint:
        """One handler for all methods."""
        endpoint = cls()
        endpoint._any = handler
        endpoint.handlers = {"GET": handler}
        return endpoint

    @classmethod
    def of_tagged(cls, **handlers: Handler) -> Endpoint:
        """The handlers of what has an ETag: they look at the conditions of the request themselves."""
        endpoint = cls(**handlers)
        endpoint._tagged = True
        return endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._handlers.get(scope["method"], self._any)
        if handler is None:
            scope["state"]["allow"] = self.allow
            raise MethodNotAllowed(f"{scope['method']} is not possible here; possible are {self.allow}.")
        if self._any is None:
            refuse_what_is_not_done(scope["method"], scope["state"]["headers"], scope["query_string"])
            refuse_conditions(scope["method"], scope["state"]["headers"], tagged=self._tagged)
        call = Call(scope)
        try:
            response = await handler(call)
        finally:
            await call.close()
        if type(response) is not Response or len(response.body) <= PART or call.is_head:
            await response(scope, receive, send)
        elif call.is_read:
            async with call.answer_in_memory(len(response.body)):
                await _send_large(send, response)
        else:
            with call.answer_to_change(len(response.body)):
                await _send_large(send, response)


async def _send_large(send: Send, response: Response) -> None:
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send_in_parts(send, bytes(response.body), more=False)


def peer_of(scope: Scope) -> str | None:
    """The address at the other end of a request's connection; None for a Unix socket."""
    client = scope.get("client")
    return client[0] if client else None


def json_response(document: Any, status: int = 200, media_type: str = JSON_ANSWER) -> Response:
    """A JSON response; non-ASCII text stays as it is."""
    return Response(encode(document), status, {"content-type": media_type})


async def send_in_parts(send: Send, body: bytes, *, more: bool) -> None:
    """Send a body, or a piece of one with `more` to come, no part of it before the server has room for it."""
    for at in range(0, len(body), PART):
        last = at + PART >= len(body)
        await send({"type": "http.response.body", "body": body[at : at + PART], "more_body": more or not last})


def _parsed(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise BadRequest(
            f"The body is not valid JSON: {str(wrong).rstrip('.')}; send a JSON document in UTF-8."
        ) from None
    except RecursionError:
        raise BadRequest("The JSON body is nested too deeply; send one of fewer levels.") from None


def _too_long(limit: int) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"A JSON body may have at most {limit} bytes.")
