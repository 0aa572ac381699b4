"""What is reported of every request when it is over: one line in the log, and its numbers."""

from __future__ import annotations

import logging
import re
import time
from typing import Any, Final

from starlette.types import Message, Receive, Scope

from glare.context import REQUEST_ID
from glare.metrics import Metrics
from glare.spans import Span

_log = logging.getLogger("glare.access")

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_NOWHERE: Final = "none"
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_ARTIFACT: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_TYPE: Final = re.compile(r"[a-z0-9_]{1,64}")


class Watch:
    """Counts one request's bytes on their way, and tells of it at the end.

    Of the path only the route is logged, with the artifact's type and id: people put passwords and tokens into paths
    too.
    """

    def __init__(self, scope: Scope, receive: Receive, metrics: Metrics) -> None:
        self._scope = scope
        self._receive = receive
        self._metrics = metrics
        self._began = time.perf_counter()
        self._received = 0
        self._sent = 0
        self._length = 0
        self._status: int | None = None
        self._whole = False

    async def receive(self) -> Message:
        """The next message from the server."""
        message = await self._receive()
        body = message.get("body")
        if body:
            self._received += len(body)
        return message

    def sent(self, message: Message) -> None:
        """The server has taken a message."""
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            self._length = _content_length(message)
        elif kind == "http.response.body":
            self._sent += len(message.get("body", b""))
            # All that was announced is the whole, also where the client leaves before it is told that no more comes.
            self._whole = not message.get("more_body", False) or 0 < self._length <= self._sent
        else:  # A file, which the server sends by itself.
            self._sent += self._length
            self._whole = True

    def tell(self, span: Span) -> None:
        """Say in the span of the request what it was, and what came of it."""
        if not span.kept:
            return
        method = self._scope["method"] if self._scope["method"] in _METHODS else "other"
        route = route_of(self._scope)
        span.name(f"{method} {route}")
        said: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.request.body.size": self._received,
        }
        if self._status is not None:
            said["http.response.status_code"] = self._status
        span.note(said | {"http.response.body.size": self._sent, "glare.request_id": REQUEST_ID.get() or ""})
        if self._status is None or not self._whole:
            span.fail("broken off")
        elif self._status >= 500:
            span.fail(str(self._status))

    def end(self) -> None:
        """Tell of it."""
        seconds = time.perf_counter() - self._began
        scope = self._scope
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = route_of(scope)
        status = str(self._status) if self._status is not None and self._whole else "broken off"
        self._metrics.request_ended(method, route, status, seconds, self._received, self._sent)
        # Probes come every few seconds, and one that is well is no news.
        level = logging.DEBUG if route in _PROBES and status == "200" else logging.INFO
        if _log.isEnabledFor(level):
            _log.log(
                level,
                "%s %s %s",
                method,
                route,
                status,
                extra={
                    "request_id": REQUEST_ID.get(),
                    "method": method,
                    "route": route,
                    "status": self._status if self._whole else None,
                    "received": self._received,
                    "sent": self._sent,
                    "seconds": round(seconds, 6),
                    **self._named(),
                },
            )

    def _named(self) -> dict[str, Any]:
        actor = self._scope["state"]["actor"]
        type_name, artifact_id = named_in_path(self._scope)
        named = {"project": actor.project, "user": actor.user, "type": type_name, "artifact": artifact_id}
        return {name: value for name, value in named.items() if value is not None}


def route_of(scope: Scope) -> str:
    """The template of the path, ``none`` where there is no such path."""
    found = scope.get("route")
    return _NOWHERE if found is None else str(found.path)


def named_in_path(scope: Scope) -> tuple[str | None, str | None]:
    """The type and the artifact in the path, each None where it is none that there could be."""
    parameters = scope.get("path_params", {})
    type_name, artifact_id = parameters.get("type_name", ""), parameters.get("id", "")
    return (
        type_name if _TYPE.fullmatch(type_name) else None,
        artifact_id if _ARTIFACT.fullmatch(artifact_id) else None,
    )


def _content_length(message: Message) -> int:
    for name, value in message.get("headers", ()):
        if name.lower() == b"content-length":
            return int(value)
    return 0
