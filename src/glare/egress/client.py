"""The one way out: every outbound HTTP request of the service goes through `EgressClient.open`."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Never
from urllib.parse import urljoin

import h11

from glare.egress import certificates, decision
from glare.egress.attempt import Attempt, Report, not_reported
from glare.egress.cancellation import Cancellation
from glare.egress.exchange import Head, HeadLimits, ask, is_redirect
from glare.egress.loop import carried_on
from glare.egress.names import Names, Resolver, system_resolve
from glare.egress.ranges import check_range
from glare.egress.response import Pace, Response
from glare.egress.settings import EgressSettings
from glare.egress.url import Url, parse
from glare.egress.wire import Connect, Deadline, Wire, dial, system_connect
from glare.errors import Blocked, Cause, LocationRefused, OriginFailed

_OURS: Final = frozenset(
    {"host", "connection", "user-agent", "accept-encoding", "cdn-loop", "range", "content-length", "transfer-encoding"}
    | {"authorization", "proxy-authorization", "cookie", "x-auth-token"}
)
_FOLLOWED: Final = ("GET", "HEAD")


Blocks = Callable[[Url], str | None]
"""Which takedown forbids a request to a URL, by its id; None where none does."""


def nothing_blocked(_: Url) -> str | None:
    """Where there are no takedowns."""
    return None


@dataclass(frozen=True, slots=True)
class _Request:
    """What stays the same over all redirects."""

    method: str
    headers: Mapping[str, str]
    body: bytes
    byte_range: tuple[int, int] | None
    statuses: Collection[int] | None
    deadline: Deadline
    cancellation: Cancellation
    unframed: bool


class EgressClient:
    """The guarded client. It holds no connections: each request has one of its own, closed with its `Response`.

    `resolve`, `connect` and `tls` stand at the network's edge and may be replaced there. Environment proxies, cookies
    and credentials are never used. `report` is told of each hop when it is over, and `blocked` is asked before each. It may be shared
    by threads.
    """

    def __init__(
        self,
        settings: EgressSettings,
        *,
        resolve: Resolver | None = None,
        connect: Connect | None = None,
        tls: ssl.SSLContext | None = None,
        log: logging.Logger | None = None,
        report: Report = not_reported,
        blocked: Blocks = nothing_blocked,
    ) -> None:
        self.settings = settings
        self._rules = settings.rules
        self._names = Names(resolve or system_resolve, settings.resolver_threads)
        self._connect = connect or system_connect
        self._tls = tls or ssl.create_default_context()
        self._log = log or logging.getLogger("glare.egress")
        self._report = report
        self._blocked = blocked

    def parse(self, text: str) -> Url:
        """The URL that `text` spells, under this client's rules. Raises `LocationRefused`."""
        return parse(text, self.settings.url_rules)

    def open(
        self,
        url: Url,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        byte_range: tuple[int, int] | None = None,
        whole_for_range: bool = True,
        statuses: Collection[int] | None = (200,),
        cdn_loop: str = "",
        cancellation: Cancellation | None = None,
        unframed: bool = False,
    ) -> Response:
        """Send a request and return its final answer, with the body still to be read.

        Redirects of GET and HEAD are followed, each decided afresh. `byte_range` is first and last byte, inclusive:
        accepted are a 206 with exactly that range and, unless `whole_for_range` is off, the 200 of an origin that knows
        no ranges; `Response.offset` tells where the body begins. Without a range `statuses` are accepted; None accepts any
        status, with a range too.
        `cdn_loop` is the value of ``CDN-Loop`` that the request which caused this one came with. `cancellation` is asked
        a few times a second while the origin is waited for. `unframed` is for who wants the status, and takes a body that ends
        with the connection.

        Raises `Blocked` where a takedown forbids the request or one that a redirect leads to, `LocationRefused` where policy or the network keeps the origin out of reach: always the same message, and
        never sooner than the configured floor. Raises `OriginFailed` where the origin was reached and failed. Neither
        message names an address; `reason` does, and is logged here.
        """
        if byte_range is not None and statuses is not None:
            statuses = (206, 200) if whole_for_range else (206,)
        request = _Request(
            method,
            self._headers(headers or {}, byte_range, cdn_loop),
            body,
            byte_range,
            statuses,
            Deadline(self.settings.header_seconds),
            cancellation or Cancellation(),
            unframed,
        )
        return self._follow(url, request)

    def _follow(self, url: Url, request: _Request) -> Response:
        """The answer at the end of the redirects that begin at `url`. Every hop is one attempt in the log."""
        for hop in range(self.settings.max_redirects + 1):
            attempt = Attempt(self._log, request.method, url, hop, self._report)
            # Each hop has its own: an origin that redirects late would else use the floor up for the next one.
            floor = time.monotonic() + self.settings.refusal_floor_seconds
            try:
                head, state, wire = self._exchange(url, request, attempt)
                with _closing_on_error(wire):
                    if not (is_redirect(head.status, head.headers) and request.method in _FOLLOWED):
                        offset = _accept(head, request)
                        return Response(head, url, wire, state, Pace(self.settings), attempt.end, offset)
                    wire.close()
                    following = self._redirected(url, head)
            except (LocationRefused, OriginFailed) as error:
                attempt.end("refused" if isinstance(error, LocationRefused) else "failed", error.reason, 0)
                if error.message == decision.UNREACHABLE:
                    time.sleep(max(0.0, floor - time.monotonic()))
                raise
            attempt.end("redirected", f"{head.status} to {following.redacted}", 0)
            url = following
        raise OriginFailed(
            f"The origin redirects more than {self.settings.max_redirects} times.", reason="too many redirects"
        )

    def _headers(self, extra: Mapping[str, str], byte_range: tuple[int, int] | None, cdn_loop: str) -> dict[str, str]:
        for name in extra:
            if name.lower() in _OURS:
                raise ValueError(f"the header {name!r} is not a caller's to set")
        ranged = {"Range": f"bytes={byte_range[0]}-{byte_range[1]}"} if byte_range else {}
        return {
            "Accept": "*/*",
            "User-Agent": self.settings.user_agent,
            "Accept-Encoding": "identity",
            "CDN-Loop": carried_on(cdn_loop, self.settings.cdn_loop_id),
            "Connection": "close",
            **ranged,
            **extra,
        }

    def _exchange(self, url: Url, request: _Request, attempt: Attempt) -> tuple[Head, h11.Connection, Wire]:
        """One hop: decide, connect to what was decided on, ask."""
        deadline = request.deadline
        takedown = self._blocked(url)
        if takedown is not None:
            raise Blocked.by(takedown)
        attempt.addresses = self._decided(url, deadline)
        length = {"Content-Length": str(len(request.body))} if request.body or request.method not in _FOLLOWED else {}
        headers = {"Host": url.host_header, **request.headers, **length}
        asked = h11.Request(method=request.method, target=url.target, headers=[*headers.items()])
        wire = self._reach(url, attempt.addresses, deadline, request.cancellation)
        with _closing_on_error(wire):
            if url.scheme == "https":
                self._secure(wire, url, deadline)
            state = self._state()
            head = ask(wire, state, asked, request.body, self._limits, deadline, unframed=request.unframed)
            return head, state, wire

    def _decided(self, url: Url, deadline: Deadline) -> tuple[decision.Address, ...]:
        decision.check_host(url.host, self._rules)
        if url.address is not None:
            return decision.decide([url.address], self._rules)
        seconds = min(deadline.remaining(), self.settings.resolve_seconds)
        return decision.decide(self._names.addresses(url.host, seconds), self._rules)

    def _reach(
        self, url: Url, addresses: tuple[decision.Address, ...], deadline: Deadline, cancellation: Cancellation
    ) -> Wire:
        """A connection to one of `addresses`, through the proxy where there is one."""
        if self.settings.proxy is None:
            return Wire(dial(addresses, url.port, deadline, self._connect), cancellation)
        refused = []
        for address in addresses:
            try:
                return self._tunnel(self.settings.proxy, address, url.port, deadline, cancellation)
            except (OSError, OriginFailed) as error:
                refused.append(f"{address}: {getattr(error, 'reason', None) or error}")
        raise LocationRefused(decision.UNREACHABLE, reason=f"egress proxy: {'; '.join(refused)}", cause=Cause.CONNECT)

    def _tunnel(
        self,
        proxy: tuple[str, int],
        address: decision.Address,
        port: int,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> Wire:
        """A connection to `address` through the operator's proxy. Raises OSError, `OriginFailed`."""
        tunnel = Wire(self._connect(*proxy, deadline.remaining()), cancellation)
        with _closing_on_error(tunnel):
            target = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
            request = h11.Request(method="CONNECT", target=target, headers=[("Host", target)])
            head = ask(tunnel, self._state(), request, b"", self._limits, deadline)
            if not 200 <= head.status < 300:
                _fail("The egress proxy refuses the connection.", f"status {head.status}")
            return tunnel

    def _secure(self, wire: Wire, url: Url, deadline: Deadline) -> None:
        try:
            wire.start_tls(self._tls, url.host, deadline.remaining())
        except ssl.SSLCertVerificationError as error:
            reason = f"TLS: {error.verify_message} ({error.verify_code})"
            raise OriginFailed(certificates.refusal(error), reason=reason, cause=Cause.TLS) from error
        except TimeoutError:
            deadline.remaining()
            raise OriginFailed("The origin stopped answering.", reason="timeout in TLS", cause=Cause.TIMEOUT) from None
        except OSError as error:
            raise OriginFailed(
                "The origin does not speak TLS that this service accepts.", reason=f"TLS: {error}", cause=Cause.TLS
            ) from error

    def _state(self) -> h11.Connection:
        return h11.Connection(h11.CLIENT, max_incomplete_event_size=self.settings.max_header_bytes)

    @property
    def _limits(self) -> HeadLimits:
        return HeadLimits(self.settings.max_header_bytes, self.settings.max_headers)

    def _redirected(self, url: Url, head: Head) -> Url:
        """Where a redirect leads. Its fragment is dropped, as browsers do. Raises `OriginFailed`."""
        values = head.headers.all("location")
        if len(values) != 1 or any(character <= " " for character in values[0]):
            _fail("The origin's redirect has no valid Location.", "invalid Location")
        try:
            location = values[0].encode("latin-1").decode("utf-8")
            joined = urljoin(url.text, location.partition("#")[0])
            following = self.parse(joined)
        except LocationRefused as error:
            raise OriginFailed(
                "The origin redirects to a URL that this service does not accept.",
                reason=f"redirect: {error.reason}",
                cause=Cause.POLICY,
            ) from error
        except ValueError:  # Its text may hold what the origin sent, and that a signature.
            _fail("The origin's redirect has no valid Location.", "Location is not a URL")
        if url.scheme == "https" and following.scheme != "https":
            _fail("The origin redirects from https to http.", "redirect from https to http", Cause.POLICY)
        return following


def _accept(head: Head, request: _Request) -> int:
    """The offset of the body in the content, where the answer is one that was asked for. Raises `OriginFailed`."""
    if request.statuses is not None and head.status not in request.statuses:
        _fail(f"The origin answered with status {head.status}.", f"status {head.status}", cause_of_status(head.status))
    encoding = head.headers.get("content-encoding", "identity").strip().lower()
    if request.method == "GET" and encoding not in ("", "identity"):
        _fail(
            "The origin answers with a content encoding although it was asked for none; its bytes are not the content's.",
            f"content encoding {encoding[:40]!r}",
        )
    if request.byte_range is None or head.status != 206:
        return 0
    check_range(head, *request.byte_range)
    return request.byte_range[0]


def _fail(message: str, reason: str, cause: Cause = Cause.PROTOCOL) -> Never:
    raise OriginFailed(message, reason=reason, cause=cause)


def cause_of_status(status: int) -> Cause:
    """What an origin means by a status that is no success."""
    return _STATUSES.get(status, Cause.STATUS)


_STATUSES: Final = {
    401: Cause.DENIED,
    403: Cause.DENIED,
    404: Cause.GONE,
    410: Cause.GONE,
    429: Cause.THROTTLED,
    503: Cause.THROTTLED,
}


class _closing_on_error:  # noqa: N801 - reads as the context manager that it is.
    """Close a wire where the block raises, and only there."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            self._wire.close()
