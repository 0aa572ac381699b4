"""What Prometheus reads."""

from __future__ import annotations

from starlette.responses import Response

from glare.errors import Forbidden, NotFound
from glare.http.call import Call
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
    return Response(text, headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})


def _require_peer(call: Call) -> None:
    """Raises `Forbidden`. A proxy on this machine has a trusted address, and whoever it speaks for has none."""
    allowed = is_allowed(call.peer, call.application.settings.metrics_peers)
    if not allowed or any(name in call.headers for name in FORWARDED):
        raise Forbidden(
            "Metrics are for the addresses in [metrics] allowed_peers, asked for directly and not by a proxy."
        )
