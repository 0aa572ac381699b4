"""Asking an origin whether it still serves what was recorded. Nothing is decided and nothing is stored here."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable, Iterator
from typing import Final

from glare.db import contents
from glare.db.checks import Target
from glare.digest import BLOCK, DIGEST_LENGTH, block_count
from glare.domain.blob import AsSent
from glare.domain.moment import SECOND
from glare.domain.origins import origin_text
from glare.domain.verification import CheckKind, Difference, Finding, Outcome
from glare.egress import measure
from glare.egress.answer import cause_of_status
from glare.egress.asked import Asked
from glare.egress.cancellation import Cancellation
from glare.egress.exchange import Headers
from glare.egress.response import Response
from glare.egress.url import Url
from glare.errors import Blocked, Cause, Contact, GlareError, LocationRefused, OriginFailed
from glare.operations.services import Services

_WHOLE: Final = frozenset({200, 203})
"""Statuses of answers with a whole body. Of a 203 a proxy says that it has changed it; digests tell."""

_PIECE: Final = 256 << 10
_DIGESTS_AT_ONCE: Final = contents.BLOCKS_PER_ROW
_BROKEN: Final = frozenset({Cause.INCOMPLETE})


def _go_on() -> None:
    return None


def check(
    services: Services,
    target: Target,
    kind: CheckKind,
    cancellation: Cancellation,
    between: Callable[[], None] = _go_on,
) -> Finding:
    """Ask the origin of `target`, once. A spot check of an origin that knows no ranges becomes a conditional one.

    `between` is called between two pieces of a body; what it raises ends the check.

    Raises the reason of `cancellation` where it was cancelled, `Blocked` where a takedown forbids to ask.
    """
    if target.size <= BLOCK * services.rules.verification.spot_blocks:
        kind = CheckKind.FULL  # It costs no more, and proves.
    asking = _Asking(services, target, cancellation, between)
    try:
        url = services.egress.parse(target.url)
        if kind is CheckKind.FULL:
            return asking.full(url)
        if kind is CheckKind.SPOT:
            return asking.spot(url) or asking.conditional(url)
        return asking.conditional(url)
    except Blocked:
        raise
    except (OriginFailed, LocationRefused) as failed:
        if cancellation.cancelled:
            raise cancellation.reason from failed
        return Finding(kind, Outcome.FAILED, failed.cause.value, asking.bytes, contact=failed.contact)


class _Asking:
    """One check under way. `bytes` counts what was read of bodies; `contact` is that of the last answer."""

    def __init__(
        self, services: Services, target: Target, cancellation: Cancellation, between: Callable[[], None]
    ) -> None:
        self._services = services
        self._target = target
        self._cancellation = cancellation
        self._between = between
        self.bytes = 0
        self.contact: Contact | None = None

    def conditional(self, url: Url) -> Finding:
        """Validators and length. A GET, as some origins sign the method; of one byte, as some do not know 304.

        Validators that a full check has refuted say nothing: then it is the length alone.
        """
        kind, target = CheckKind.CONDITIONAL, self._target
        weighed = not target.standing.refuted
        headers = {}
        # Read again, for what was recorded by other rules: only what can be sent back is a validator.
        if not weighed:
            pass
        elif (etag := origin_text.entity_tag(target.etag)) is not None:
            headers["If-None-Match"] = etag
        elif (date := origin_text.last_modified(target.last_modified)) is not None:
            headers["If-Modified-Since"] = date
        with self._open(url, (0, 0), headers) as response:
            if response.status == 304 and headers:
                return self._equal(kind)
            if response.status == 416:
                return self._finding(kind, Outcome.SUSPECT, Difference.SIZE)  # Nothing is there.
            if response.status not in (*_WHOLE, 206):
                return self._refused(kind, response)
            length = (
                response.length
                if response.status in _WHOLE
                else origin_text.whole_length(response.headers.get("content-range"))
            )
            if length is not None and length != target.size:
                return self._differs(response, kind, Outcome.SUSPECT, Difference.SIZE)
            if weighed and not self._validators_match(response.headers):
                return self._finding(kind, Outcome.SUSPECT, Difference.VALIDATORS)
            return self._equal(kind)

    def spot(self, url: Url) -> Finding | None:
        """A few random blocks; None where the origin knows no ranges."""
        kind, target = CheckKind.SPOT, self._target
        last = block_count(target.size) - 1
        chosen = random.SystemRandom().sample(
            range(last + 1), min(self._services.rules.verification.spot_blocks, last + 1)
        )
        for block in chosen:
            found = self._block(url, block)
            if found is None or found.outcome is not Outcome.EQUAL:
                return found
        return self._equal(kind)

    def _block(self, url: Url, block: int) -> Finding | None:
        """What a block shows; None where the origin knows no ranges. It may come in parts (RFC 9110, 15.3.7), but not
        in crumbs.
        """
        kind, target = CheckKind.SPOT, self._target
        first, last = block * BLOCK, min(target.size, (block + 1) * BLOCK) - 1
        data = b""
        for _ in range(1 + self._services.egress.settings.resumptions):
            with self._open(url, (first + len(data), last), {}) as response:
                if response.status in _WHOLE:
                    return None
                if response.status == 416:
                    return self._finding(kind, Outcome.SUSPECT, Difference.SIZE)
                if response.status != 206:
                    return self._refused(kind, response)
                if origin_text.whole_length(response.headers.get("content-range")) not in (None, target.size):
                    return self._finding(kind, Outcome.SUSPECT, Difference.SIZE)
                data += self._read(response, last - first + 1 - len(data))
            if len(data) == last - first + 1:
                equal = _matches(data, self._digests(block, block))
                return self._equal(kind) if equal else self._differs(response, kind, Outcome.SUSPECT, Difference.DIGEST)
        return self._failed(kind, Cause.PROTOCOL)

    def full(self, url: Url) -> Finding:
        """Every block and the end. It ends at the first difference: the rest would prove no more."""
        kind, target = CheckKind.FULL, self._target
        with self._open(url, None, {}) as response:
            if response.status not in _WHOLE:
                return self._refused(kind, response)
            if response.length is not None and response.length != target.size:
                return self._differs(response, kind, Outcome.CHANGED, Difference.SIZE)
            left = target.size
            for digest in self._all_digests():
                data = self._read(response, min(BLOCK, left))
                if len(data) < min(BLOCK, left):
                    if response.unframed:  # It may have been broken off, which nobody can tell from a shorter content.
                        return self._failed(kind, Cause.INCOMPLETE)
                    return self._differs(response, kind, Outcome.CHANGED, Difference.SIZE)
                if not _matches(data, digest):
                    return self._differs(response, kind, Outcome.CHANGED, Difference.DIGEST)
                left -= len(data)
            if self._goes_on(response):
                return self._finding(kind, Outcome.CHANGED, Difference.SIZE)
            headers = response.headers
            return Finding(
                kind,
                Outcome.EQUAL,
                bytes=self.bytes,
                etag=origin_text.entity_tag(headers.get("etag")),
                last_modified=origin_text.last_modified(headers.get("last-modified")),
                contact=self.contact,
            )

    def _open(self, url: Url, span: tuple[int, int] | None, headers: dict[str, str]) -> Response:
        asked = Asked(headers=headers, byte_range=span, statuses=None, provable=True, partial=True)
        response = self._services.egress.open(url, asked, self._cancellation)
        self.contact = response.contact
        return response

    def _goes_on(self, response: Response) -> bool:
        """Whether there is more than was recorded. A body that ends with the connection ends however that does."""
        try:
            return bool(response.read(1))
        except OriginFailed as failed:
            if response.unframed and failed.cause is Cause.INCOMPLETE:
                return False
            raise

    def _differs(self, response: Response, kind: CheckKind, outcome: Outcome, reason: Difference) -> Finding:
        """A difference; but bytes that are said to be sent in another way than those that were recorded say nothing of
        them.
        """
        sent, known = measure.as_sent(response) or AsSent(), self._target.as_sent or AsSent()
        if (sent.coding, sent.transformed) != (known.coding, known.transformed):
            return self._failed(kind, Cause.PROTOCOL)
        return self._finding(kind, outcome, reason)

    def _read(self, response: Response, size: int) -> bytes:
        """`size` bytes, fewer at the end of the body."""
        pieces = []
        while size and (piece := response.read(min(size, _PIECE))):
            self.bytes += len(piece)
            size -= len(piece)
            pieces.append(piece)
            self._between()
        return b"".join(pieces)

    def _all_digests(self) -> Iterator[bytes]:
        blocks = block_count(self._target.size)
        for first in range(0, blocks, _DIGESTS_AT_ONCE):
            digests = self._digests(first, min(blocks, first + _DIGESTS_AT_ONCE) - 1)
            for offset in range(0, len(digests), DIGEST_LENGTH):
                yield digests[offset : offset + DIGEST_LENGTH]

    def _digests(self, first: int, last: int) -> bytes:
        with self._services.db.look() as connection:
            digests = contents.block_digests(connection, self._target.sha256, first, last)
        if len(digests) != (last - first + 1) * DIGEST_LENGTH:
            raise GlareError("Block digests of a recorded content are missing from the database.")
        return digests

    def _validators_match(self, headers: Headers) -> bool:
        """Whether the validators that both have are the same. The strength of a tag says nothing here."""
        etag, known = origin_text.entity_tag(headers.get("etag")), origin_text.entity_tag(self._target.etag)
        if etag is not None and known is not None:
            return etag.removeprefix("W/") == known.removeprefix("W/")
        now, then = origin_text.date(headers.get("last-modified")), origin_text.date(self._target.last_modified)
        return now is None or then is None or now == then

    def _equal(self, kind: CheckKind) -> Finding:
        return Finding(kind, Outcome.EQUAL, bytes=self.bytes, contact=self.contact)

    def _finding(self, kind: CheckKind, outcome: Outcome, reason: Difference) -> Finding:
        return Finding(kind, outcome, reason.value, self.bytes, contact=self.contact)

    def _failed(self, kind: CheckKind, cause: Cause, retry_after: int | None = None) -> Finding:
        return Finding(kind, Outcome.FAILED, cause.value, self.bytes, retry_after, contact=self.contact)

    def _refused(self, kind: CheckKind, response: Response) -> Finding:
        """A status that is no success. What it says of time is in seconds or a date."""
        wait = origin_text.retry_after(response.headers.get("retry-after"), self._services.clock())
        asked = None if wait is None else wait * SECOND
        return self._failed(kind, cause_of_status(response.status), asked)


def _matches(data: bytes, digest: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(data).digest(), digest)
