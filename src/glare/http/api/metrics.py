"""What Prometheus reads."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from starlette.responses import Response
from starlette.types import Scope

from glare.errors import Forbidden, NotFound
from glare.http.call import Application, Call, peer_of
from glare.http.door import Ready, ready_of
from glare.http.media_types import PLAIN
from glare.http.operation import SERVICE, Answer, Public
from glare.metrics.listener import CONTENT_TYPE, FORWARDED, is_allowed


@Public(
    id="metrics",
    about=SERVICE,
    summary="Numbers for Prometheus; for the addresses that the operator has named",
    answer=Answer(200, "The numbers, in the text format of Prometheus.", str, media_type=PLAIN),
    errors=(403, 404),
)
async def show(call: Call) -> Response:
    _require_peer(call)
    text = await call.application.numbers.result(call.application.lanes.probes)
    if text is None:
        raise NotFound("This service keeps no metrics; its operator may set [metrics] enabled.")
    return _text(text)


def at_hand(application: Application, scope: Scope) -> Ready | None:
    """The same at once, where it was looked lately and the caller may see it."""
    if not _allowed(peer_of(scope), application.settings.metrics_peers):
        return None
    if any(name in _FORWARDED for name, _ in scope["headers"]):
        return None
    found = application.numbers.at_hand(application.lanes.probes)
    return None if found is None or found[0] is None else ready_of(_text(found[0]))


_FORWARDED: Final = frozenset(name.encode() for name in FORWARDED)


@lru_cache(1024)
def _allowed(peer: str | None, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    return is_allowed(peer, networks)


def _text(text: bytes) -> Response:
    return Response(text, headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})


def _require_peer(call: Call) -> None:
    """Raises `Forbidden`. A proxy on this machine has a trusted address, and whoever it speaks for has none."""
    allowed = is_allowed(call.peer, call.application.settings.metrics_peers)
    if not allowed or any(name in call.headers for name in FORWARDED):
        raise Forbidden(
            "Metrics are for the addresses in [metrics] allowed_peers, asked for directly and not by a proxy."
        )
