"""Measuring an external location: its whole body once through the digests, nothing kept."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from glare.digest import Content, HashingPass
from glare.domain import origin_text
from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient
from glare.egress.exchange import PIECE
from glare.egress.response import Response
from glare.egress.url import Url
from glare.errors import LocationRefused, OriginFailed


@dataclass(frozen=True, slots=True)
class Measured:
    """What an origin delivered, as measured here.

    `content_type` is ``type/subtype`` in lower case, without parameters (RFC 6838 grammar and lengths, else
    ``application/octet-stream``). `etag` and `last_modified` are the validators as they were sent, None where they are
    missing or malformed. `final_url` is the one after redirects: never store or show its query.
    """

    content: Content
    content_type: str
    etag: str | None
    last_modified: str | None
    final_url: Url


def measure(
    client: EgressClient,
    url: Url,
    *,
    pool: Executor,
    limit: int | None,
    over: Callable[[], Exception],
    cancellation: Cancellation | None = None,
    progress: Callable[[int], None] = lambda _: None,
    cdn_loop: str = "",
) -> Measured:
    """Read the whole of `url` and measure it. Memory is bounded by a few pieces, whatever the size.

    `limit` is in bytes, None for none; `over` makes the error beyond it, before a byte is read where the declared length
    says so. `progress` is told the bytes of every piece that was read, whatever the outcome. Raises `LocationRefused` where the origin
    is out of reach or does not deliver its content whole and unaltered, the reason of `cancellation` where it was cancelled.
    """
    try:
        with client.open(url, cancellation=cancellation, cdn_loop=cdn_loop) as response:
            if limit is not None and response.length is not None and response.length > limit:
                raise over()
            content = _hashed(response, pool, limit, over, progress)
    except OriginFailed as error:
        if cancellation is not None and cancellation.cancelled:
            raise cancellation.reason from error
        raise LocationRefused(
            f"The external location cannot be recorded; nothing was stored. {error.message}",
            reason=error.reason,
            cause=error.cause,
        ) from error
    headers = response.headers
    return Measured(
        content,
        origin_text.content_type(headers.get("content-type")),
        origin_text.entity_tag(headers.get("etag")),
        origin_text.last_modified(headers.get("last-modified")),
        response.url,
    )


def _hashed(
    response: Response,
    pool: Executor,
    limit: int | None,
    over: Callable[[], Exception],
    progress: Callable[[int], None],
) -> Content:
    """Pieces are gathered before they are hashed, since an origin may send them very small."""
    hashing = HashingPass(pool)
    gathered = bytearray()
    total = 0
    try:
        while data := response.read(PIECE):
            progress(len(data))
            total += len(data)
            if limit is not None and total > limit:
                raise over()
            gathered += data
            if len(gathered) >= PIECE:
                hashing.update(bytes(gathered))
                gathered.clear()
        hashing.update(bytes(gathered))
        return hashing.finish()
    finally:
        hashing.settle()
