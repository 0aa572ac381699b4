"""The outermost layer: what every request passes before a handler, and every response after one.

In this order: request id, OPTIONS, loops, undecodable paths, the version that is asked for, who is calling, routing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from glare.context import PARTY, REQUEST_ID, TRACE
from glare.domain.actor import ANONYMOUS, Actor
from glare.domain.hints import did_you_mean
from glare.egress.loop import passed_through
from glare.errors import (
    ArtifactNotFound,
    BadRequest,
    Forbidden,
    GlareError,
    LoopDetected,
    NotFound,
    NotImplementedMethod,
)
from glare.http.call import Application, peer_of
from glare.http.door import Door
from glare.http.inbox import Inbox
from glare.http.microversion import DEFAULT, negotiate
from glare.http.problems import broken_off, problem
from glare.http.request_headers import request_id_of
from glare.http.response_headers import PRIVATE, is_private
from glare.http.watch import Watch, named_in_path, route_of
from glare.identity.base import UNDECIDED, Credentials, storable
from glare.identity.headers import require_one_of_each
from glare.operations.refusals import Refusal
from glare.spans import Kind
from glare.trace import received

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})
_READS: Final = frozenset({"GET", "HEAD"})


class Boundary:
    """An ASGI application around the routes. `public` routes need no credentials and speak no microversion. The `door`
    is told of refusals.
    """

    def __init__(
        self, application: Application, door: Door, public: Sequence[BaseRoute], routes: Sequence[BaseRoute]
    ) -> None:
        self._application = application
        self._door = door
        self._public = Router(public, redirect_slashes=False, default=self._to_api)
        self._api = Router(
            routes, redirect_slashes=False, default=_unknown((*public, *routes), application.services.types.names)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        state: dict[str, Any] = {
            "application": self._application,
            "actor": ANONYMOUS,
            "microversion": DEFAULT,
            "headers": headers,
            "versioned": False,
            "request_id": request_id_of(headers.get("x-openstack-request-id", "")),
        }
        scope["state"] = state
        watch = Watch(scope, receive, self._application.services.metrics)
        state["inbox"] = inbox = Inbox(watch.receive, scope.get("extensions", {}).get("glare.client", {}).get("left"))
        reply = _Reply(scope, send, watch)
        request_id = REQUEST_ID.set(state["request_id"])
        trace = TRACE.set(received(headers.getlist("traceparent"), headers.getlist("tracestate")))
        party = PARTY.set(self._application.parties.of_address(peer_of(scope), headers))
        try:
            with (
                self._application.drain.request(),
                self._application.services.tracer.span(scope["method"], kind=Kind.SERVER) as span,
            ):
                try:
                    await self._answer(scope, inbox.receive, reply)
                finally:
                    watch.tell(span)
        finally:
            inbox.close()
            watch.end()
            PARTY.reset(party)
            TRACE.reset(trace)
            REQUEST_ID.reset(request_id)

    async def _answer(self, scope: Scope, receive: Receive, reply: _Reply) -> None:
        state = scope["state"]
        headers = state["headers"]
        try:
            if scope["method"] == "OPTIONS":
                await Response()(scope, receive, reply)
                return
            if passed_through(", ".join(headers.getlist("cdn-loop")), self._application.settings.cdn_loop_id):
                raise LoopDetected
            scope["path"] = _decoded_path(scope)
            await self._public(scope, receive, reply)
        except Exception as error:  # noqa: BLE001 - the one place where every error becomes an answer
            if reply.started:
                # The status line is sent: all that is left is to end without the last byte. The server then breaks the
                # connection off, and whoever counts bytes or chunks sees that something is missing.
                broken_off(error, state["request_id"])
                return
            self._note_refusal(scope, error)
            if isinstance(error, GlareError):
                self._door.remember(scope, error)
            response = problem(error, debug=self._application.settings.debug, request_id=state["request_id"])
            if "allow" in state:
                response.headers["Allow"] = state["allow"]
            await response(scope, receive, reply)

    def _note_refusal(self, scope: Scope, error: Exception) -> None:
        """A caller who was refused is remembered; a request to what is public has no caller."""
        state = scope["state"]
        if not state["versioned"] or not isinstance(error, Forbidden | ArtifactNotFound):
            return
        if isinstance(error, ArtifactNotFound) and not error.hidden:
            return
        type_name, artifact_id = named_in_path(scope)
        action = f"{scope['method']} {route_of(scope)}"
        self._application.refusals.take(
            Refusal(state["actor"], action, state["request_id"], error.code, error.message, type_name, artifact_id)
        )

    async def _to_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        headers = state["headers"]
        state["versioned"] = True
        self._application.drain.require_running()
        state["microversion"] = negotiate(headers.get("accept"), ",".join(headers.getlist("openstack-api-version")))
        require_one_of_each(name for name, _ in scope["headers"])
        state["actor"] = actor = storable(await self._who(scope))
        PARTY.set(self._application.parties.of_actor(actor, PARTY.get()))
        if actor.limits.read_only and scope["method"] not in _READS:
            raise Forbidden("Your credential may only read; use another one for changes.")
        trace = TRACE.get()
        if trace is not None:
            TRACE.set(replace(trace, project=actor.project))
        await self._api(scope, receive, send)

    async def _who(self, scope: Scope) -> Actor:
        """The caller. Where only a network or a database can tell, a thread asks, when it is the turn of the network
        that the request comes from.
        """
        application, state = self._application, scope["state"]
        peer = peer_of(scope)
        address = application.parties.address(peer, state["headers"])
        credentials = Credentials(state["headers"], peer, scope["method"], scope["path"], address)
        found = application.identity.known(credentials)
        if found is not UNDECIDED:
            return found
        lane = application.lanes.identity
        async with lane.shares.share(PARTY.get(), gone=state["inbox"].gone):
            decide = partial(copy_context().run, application.identity.decide, credentials)
            return await asyncio.get_running_loop().run_in_executor(lane.threads, decide)


class _Reply:
    """Adds the headers that every response has, and keeps bodies out of answers to HEAD."""

    def __init__(self, scope: Scope, send: Send, watch: Watch) -> None:
        self._scope = scope
        self._state = scope["state"]
        self._watch = watch
        self._head = scope["method"] == "HEAD"
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            state = self._state
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            headers["x-openstack-request-id"] = state["request_id"]
            if state["application"].drain.stopping:
                headers["connection"] = "close"
            if state["versioned"]:
                headers["openstack-api-version"] = f"artifact {state['microversion']}"
                headers.add_vary_header("openstack-api-version")
            if is_private(self._scope):
                for name, value in PRIVATE:
                    headers[name.decode()] = value.decode()
            message = {**message, "headers": headers.raw}
        elif self._head:
            if message.get("more_body", False):
                return
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)
        # Only now: what a client did not take was not sent.
        self._watch.sent(message)


def _unknown(routes: Sequence[BaseRoute], types: Collection[str]) -> ASGIApp:
    """Answers what no route takes."""
    roots = {getattr(route, "path", "").split("/")[1] for route in routes}

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in _METHODS:
            raise NotImplementedMethod(
                f"This service does not know the method '{scope['method'][:20]}'; see /openapi.json for those it knows."
            )
        path: str = scope["path"]
        first = path.split("/")[1] if path.startswith("/") else ""
        meant = f"; did you mean '/artifacts{path[:200]}'?" if first in types else did_you_mean(first, roots - {first})
        see = f"{meant} See" if meant else "; see"
        raise NotFound(f"There is nothing at '{path[:200]}'{see} /openapi.json for what there is.")

    return refuse


def _decoded_path(scope: Scope) -> str:
    """The path decoded strictly: what a server made of bytes that are not UTF-8 must never name an artifact."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        path: str = scope["path"]
        return path
    try:
        return unquote_to_bytes(raw.partition(b"?")[0]).decode()
    except UnicodeDecodeError:
        raise BadRequest("The path is not UTF-8 after percent-decoding; encode it as UTF-8.") from None
