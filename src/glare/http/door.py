"""What is answered at once, from the head of a request alone: before a task, credentials, routes and turns.

Who was refused because its party is over its bounds will be refused again for as long as that lasts, and load is when
there are thousands of them. So a refusal is remembered for some seconds, by what the request said of its caller and of
the kind of thing that it asks for, and asked `again`: it knows by itself whether the bound still stands. Probes are
answered here too, from what was found within the last second.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from glare.errors import GlareError
from glare.http.call import Application, peer_of
from glare.http.problems import parts_of
from glare.http.request_headers import request_id_of
from glare.http.response_headers import PRIVATE, is_private
from glare.http.watch import route_of
from glare.identity.headers import is_about_callers

_log = logging.getLogger("glare.access")

_KEPT: Final = 4096
"""Refusals that are remembered; more of them are found out the long way."""

_SECONDS: Final = 10.0
"""How long one is remembered. Then the caller is looked at again: its token may have ended meanwhile."""

_MOST: Final = 64 << 10
"""Bytes of an answer that is given at once: the server holds what the client does not take."""

_REQUEST_ID: Final = b"x-openstack-request-id"
_VERSION: Final = b"openstack-api-version"
_SAY_HOW: Final = frozenset({b"accept", _VERSION})
_ARTIFACTS: Final = b"artifacts"

Pairs = Sequence[tuple[bytes, bytes]]
Ready = tuple[int, Pairs, bytes]
"""Status, headers and body of an answer."""

Probe = Callable[[Application, Scope], Ready | None]
"""The answer of a probe; None where it has to be waited for."""


def ready_of(response: Response) -> Ready:
    """A response as it is sent."""
    return response.status_code, tuple(response.raw_headers), bytes(response.body)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A refusal, as it was when it came the long way. `version` is empty where the request speaks none."""

    again: Callable[[], GlareError | None]
    until: float
    route: str
    version: bytes


class Door:
    """Used on the event loop only. `probes` are by path; with `cross_origin` requests of pages of other origins are
    left to who knows what those need. `clock` gives seconds.
    """

    def __init__(
        self,
        application: Application,
        probes: Mapping[bytes, Probe],
        *,
        cross_origin: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._application = application
        self._probes = probes
        self._cross_origin = cross_origin
        self._clock = clock
        # Nobody can find two requests that are taken for one, and nothing of a token is kept.
        self._secret = os.urandom(32)
        self._kept: OrderedDict[tuple[bytes, ...], _Kept] = OrderedDict()
        self._answered: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._why = ""

    def at_once(self, scope: dict[str, Any]) -> Ready | None:
        """The whole answer to a request with this ASGI scope; None where it takes more than a look."""
        if self._application.drain.leaving or scope["method"] == "OPTIONS":
            return None
        probe = self._probes.get(scope["raw_path"])
        if probe is not None:
            return self._probe(probe, scope) if scope["method"] == "GET" else None
        return self._refusal(scope) if self._kept else None

    def remember(self, scope: Scope, error: GlareError) -> None:
        """A request was refused the long way."""
        if error.again is None:
            return
        key = self._key(scope)
        if key is None:
            return
        state = scope["state"]
        version = f"artifact {state['microversion']}".encode() if state["versioned"] else b""
        self._kept[key] = _Kept(error.again, self._clock() + _SECONDS, route_of(scope), version)
        self._kept.move_to_end(key)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def tell(self) -> None:
        """Hand on what was counted: for each of them by itself that would be a good part of the work."""
        metrics = self._application.services.metrics
        for (method, route, status), (count, sent) in self._answered.items():
            metrics.answered_at_once(method, route, str(status), count, sent)
            level = logging.DEBUG if status == 200 else logging.INFO
            _log.log(
                level,
                "%s %s %s, %s times at once",
                *(method, route, status, count),
                extra={"method": method, "route": route, "status": status, "count": count, **self._reasons(status)},
            )
        self._answered.clear()

    def _reasons(self, status: int) -> dict[str, str]:
        return {} if status == 200 else {"reason": self._why}

    def _probe(self, probe: Probe, scope: Scope) -> Ready | None:
        if self._cross_origin and any(name == b"origin" for name, _ in scope["headers"]):
            return None
        ready = probe(self._application, scope)
        if ready is None or len(ready[2]) > _MOST:
            return None
        status, headers, body = ready
        return self._told(scope, scope["path"], (status, headers, body))

    def _refusal(self, scope: Scope) -> Ready | None:
        key = self._key(scope)
        kept = None if key is None else self._kept.get(key)
        if key is None or kept is None:
            return None
        error = kept.again() if self._clock() < kept.until else None
        if error is None:
            del self._kept[key]
            return None
        self._why = error.message
        status, headers, body = parts_of(error)
        headers.append((b"content-length", b"%d" % len(body)))
        if kept.version:
            headers += ((_VERSION, kept.version), _VARY)
        if is_private(scope):
            headers += PRIVATE
        return self._told(scope, kept.route, (status, headers, body))

    def _told(self, scope: Scope, route: str, ready: Ready) -> Ready:
        status, headers, body = ready
        counted = scope["method"], route, status
        count, sent = self._answered.get(counted, (0, 0))
        self._answered[counted] = count + 1, sent + (0 if scope["method"] == "HEAD" else len(body))
        given = next((value for name, value in scope["headers"] if name == _REQUEST_ID), b"")
        return status, (*headers, (_REQUEST_ID, request_id_of(given.decode("latin-1")).encode())), body

    def _key(self, scope: Scope) -> tuple[bytes, ...] | None:
        """What requests have in common of which one is refused when the other is: who calls, the version that is
        spoken, and what kind of thing is asked for.
        """
        caller: list[bytes] = []
        said: list[bytes] = []
        for name, value in scope["headers"]:
            if name in _SAY_HOW:
                said += (name, value)
            elif _is_about_callers(name):
                caller += (name, value)
            elif name == b"origin" and self._cross_origin:
                return None
        peer = peer_of(scope)
        # What comes without credentials belongs to its network.
        whose = peer or "" if caller else str(self._application.parties.of_address(peer, Headers(scope=scope)))
        digest = blake2b(b"\0".join((*caller, b"", *said)), digest_size=16, key=self._secret).digest()
        parts = (scope["raw_path"] + b"/").split(b"/")
        last = parts[3] if len(parts) > 4 and parts[1] != _ARTIFACTS else b""
        return digest, whose.encode(), scope["method"].encode(), parts[1][:32], b"/" * min(len(parts), 6), last[:32]


_VARY: Final = (b"vary", _VERSION)


@lru_cache(1024)
def _is_about_callers(name: bytes) -> bool:
    return is_about_callers(name.decode("latin-1"))
