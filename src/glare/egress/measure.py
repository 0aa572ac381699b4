"""Measuring an external location: its whole body once through the digests, nothing kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from glare.digest import Content, HashingPass
from glare.domain.blob import AsSent
from glare.domain.origins import origin_text
from glare.egress.answer import coding
from glare.egress.asked import Asked
from glare.egress.cancellation import Cancellation
from glare.egress.client import EgressClient
from glare.egress.exchange import PIECE
from glare.egress.response import Response
from glare.egress.url import Url
from glare.egress.whole_body import WholeBody
from glare.errors import Cause, LocationRefused, OriginBusy, OriginFailed

_TRANSFORMED: Final = 203
_MAX_CODING: Final = 64


@dataclass(frozen=True, slots=True)
class Measured:
    """What an origin delivered, as measured here.

    `content_type` is ``type/subtype`` in lower case, without parameters (RFC 6838 grammar and lengths, else
    ``application/octet-stream``). `etag` and `last_modified` are the validators as they were sent, None where they are
    missing or malformed. `final_url` is the one after redirects: never store or show its query. `as_sent` is what its
    headers leave in doubt, None for nothing. `network` is that of the address from which the URL's own host answered.
    """

    content: Content
    content_type: str
    etag: str | None
    last_modified: str | None
    final_url: Url
    as_sent: AsSent | None = None
    network: str | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What the caller compares with what was measured. With `sha256` it can prove bytes about which an origin's headers
    leave doubts.
    """

    size: int | None = None
    sha256: str | None = None


NOTHING: Final = Expected()


@dataclass(frozen=True, slots=True)
class Bound:
    """How many bytes may come, None for any number. `over` makes the error beyond it."""

    limit: int | None
    over: Callable[[], Exception]


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a measurement is made.

    `cancellation` ends it early. `progress` gets the size of every piece that was read, whatever the outcome.
    `cdn_loop` is the ``CDN-Loop`` of the request that caused the measurement.
    """

    cancellation: Cancellation | None = None
    progress: Callable[[int], None] = lambda _: None
    cdn_loop: str = ""


OURSELVES: Final = Caller()


def measure(
    client: EgressClient,
    url: Url,
    pool: Executor,
    bound: Bound,
    expected: Expected = NOTHING,
    caller: Caller = OURSELVES,
) -> Measured:
    """Read the whole of `url` and measure it. Memory is bounded by a few pieces, whatever the size.

    Beyond `bound` its error is raised, before a byte is read where the declared length says so; its ``__cause__`` is
    set where the answer was encoded or transformed, so that its size may not be the content's. Where the origin breaks
    off the reading goes on, see `WholeBody`. Bytes in doubt that differ from the `expected` digest are refused. The
    caller compares what was measured with what is `expected`. Raises `LocationRefused` where the origin is out of reach
    or does not deliver its content whole and unaltered, `OriginBusy` where it asks to come back later, the reason of
    the cancellation where it was cancelled.
    """
    cancellation = caller.cancellation

    def ask(byte_range: tuple[int, None] | None, headers: Mapping[str, str]) -> Response:
        provable = expected.sha256 is not None
        asked = Asked(headers=headers, byte_range=byte_range, cdn_loop=caller.cdn_loop, provable=provable, partial=True)
        return client.open(url, asked, cancellation)

    try:
        provable = None if expected.sha256 is None else expected.size
        with closing(WholeBody(ask, client.settings, provable)) as body:
            content = _hashed(body, pool, bound, caller.progress)
            response = body.response
            sent = as_sent(response)
            _require_whole(content, expected, sent)
            for doubt in (sent, as_sent(body.began)):
                _require_undoubted(content, expected, doubt)
    except OriginFailed as error:
        if cancellation is not None and cancellation.cancelled:
            raise cancellation.reason from error
        if error.cause is Cause.THROTTLED:
            raise OriginBusy.of(
                error, f"The external location cannot be recorded now; nothing was stored. {error.message}"
            ) from error
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
        sent,
        response.contact.network,
    )


def as_sent(response: Response) -> AsSent | None:
    """What the headers of an answer leave in doubt about its bytes."""
    named = coding(response.headers)
    printable = None if named is None else "".join(letter for letter in named if " " <= letter <= "~")[:_MAX_CODING]
    sent = AsSent(printable, response.unframed, response.status == _TRANSFORMED)
    return None if sent == AsSent() else sent


def _require_whole(content: Content, expected: Expected, sent: AsSent | None) -> None:
    """A body that ended with the connection before its time was broken off, and is not another content."""
    short = expected.size is not None and content.size < expected.size
    if sent is not None and sent.unframed and short:
        raise OriginFailed(
            f"The origin ended the connection after {content.size} of {expected.size} bytes.",
            reason="shorter than expected",
            cause=Cause.INCOMPLETE,
        )


def _require_undoubted(content: Content, expected: Expected, sent: AsSent | None) -> None:
    """Other bytes than the expected ones prove nothing against the content where they may not be it, or not all of
    it.
    """
    if sent is None or expected.sha256 is None or content.digests.sha256 == expected.sha256.lower():
        return
    cut = sent.unframed and expected.size is None  # With a size, see `_require_whole`.
    if not (cut or sent.transformed or sent.coding is not None):
        return
    doubt = "declares no length for its body" if cut else "says that they were encoded or transformed"
    raise OriginFailed(
        f"The sha256 of the bytes that came is {content.digests.sha256}, not the claimed {expected.sha256.lower()}; "
        f"the origin {doubt}, so that they may not be the content, or not all of it.",
        reason="other bytes than claimed, in doubt",
        cause=Cause.INCOMPLETE if cut else Cause.PROTOCOL,
    )


def _hashed(body: WholeBody, pool: Executor, bound: Bound, progress: Callable[[int], None]) -> Content:
    """Pieces are gathered before they are hashed, since an origin may send them very small."""
    hashing = HashingPass(pool)
    gathered = bytearray()
    _require_declared(body, bound)
    try:
        while (data := body.read(PIECE)) != b"":
            if data is None:
                hashing.settle()
                hashing = HashingPass(pool)
                gathered.clear()
                _require_declared(body, bound)
                continue
            progress(len(data))
            if bound.limit is not None and body.total > bound.limit:
                raise _in_doubt(bound.over(), body)
            gathered += data
            if len(gathered) >= PIECE:
                hashing.update(bytes(gathered))
                gathered.clear()
        hashing.update(bytes(gathered))
        return hashing.finish()
    finally:
        hashing.settle()


def _require_declared(body: WholeBody, bound: Bound) -> None:
    length = body.response.length
    if bound.limit is not None and length is not None and length > bound.limit:
        raise _in_doubt(bound.over(), body)


def _in_doubt(error: Exception, body: WholeBody) -> Exception:
    """The error, with a cause where what was too large may not have been the content."""
    for sent in (as_sent(body.began), as_sent(body.response)):
        if sent is not None and (sent.transformed or sent.coding is not None):
            error.__cause__ = OriginFailed("The origin sent something else than its content, or encoded it.")
    return error
