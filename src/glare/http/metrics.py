"""What Prometheus reads."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from starlette.responses import Response

from glare.errors import Forbidden, NotFound
from glare.http.call import Call

_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


async def show(call: Call) -> Response:
    """GET /metrics: for the peers that the operator has named."""
    _require_peer(call)
    text = await call.application.numbers.result(call.application.lanes.probes)
    if text is None:
        raise NotFound("This service keeps no metrics; its operator may set [metrics] enabled.")
    return Response(text, headers={"content-type": _CONTENT_TYPE, "cache-control": "no-store"})


def _require_peer(call: Call) -> None:
    """Raises `Forbidden`. A proxy on this machine has a trusted address, and whoever it speaks for has none."""
    try:
        peer = ip_address(call.peer or "")
    except ValueError:
        allowed = False
    else:
        peer = getattr(peer, "ipv4_mapped", None) or peer
        allowed = any(peer in network for network in call.application.settings.metrics_peers)
    if not allowed or any(name in call.headers for name in _FORWARDED):
        raise Forbidden(
            "Metrics are for the addresses in [metrics] allowed_peers, asked for directly and not by a proxy."
        )
