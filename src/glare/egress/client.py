"""The one way out: every outbound HTTP request of the service goes through `EgressClient.open`."""

from __future__ import annotations

import logging
import math
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Never

import h11

from glare.context import TRACE
from glare.egress import decision, reference
from glare.egress.answer import Wanted
from glare.egress.asked import PLAIN_GET, Asked
from glare.egress.attempt import Attempt, Report, not_reported
from glare.egress.cancellation import Cancellation
from glare.egress.connector import Connector
from glare.egress.exchange import Head, ask, is_redirect
from glare.egress.lately import Lately
from glare.egress.loop import carried_on
from glare.egress.names import Names, Resolver, system_resolve
from glare.egress.race import Connect, begin_connect
from glare.egress.response import Answered, Pace, Response
from glare.egress.settings import EgressSettings
from glare.egress.url import UnusableUrl, Url, parse
from glare.egress.wire import Deadline, Timing, Wire
from glare.errors import Blocked, Cause, Contact, LocationRefused, OriginFailed, OutboundBusy, Phase
from glare.shares import Party, Refused, no_listener

_OURS: Final = frozenset(
    {"host", "connection", "user-agent", "accept-encoding", "cdn-loop", "range", "content-length", "transfer-encoding"}
    | {"authorization", "proxy-authorization", "cookie", "x-auth-token", "traceparent", "tracestate"}
)
_FOLLOWED: Final = ("GET", "HEAD")
_ERRORS: Final = 400
"""From here on a status says that there is no answer."""


Blocks = Callable[[Url], str | None]
"""Which takedown forbids a request to a URL, by its id; None where none does."""


def nothing_blocked(_: Url) -> str | None:
    """Where there are no takedowns."""
    return None


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears of requests: `ended` of each hop when it is over, `refused` of those for which we have no room."""

    ended: Report = not_reported
    refused: Refused = no_listener


NOBODY: Final = Listeners()


@dataclass(frozen=True, slots=True)
class _Request:
    """What stays the same over all redirects."""

    wanted: Wanted
    headers: Mapping[str, str]
    body: bytes
    timing: Timing
    cancellation: Cancellation


class EgressClient:
    """The guarded client. It holds no connections: each request has one of its own, closed with its `Response`.

    `resolve`, `connect` and `tls` stand at the network's edge and may be replaced there. Environment proxies, cookies
    and credentials are never used. `blocked` is asked before each hop. `lately` holds what failed a short while ago:
    addresses, and what its callers add. It may be shared by threads.
    """

    def __init__(
        self,
        settings: EgressSettings,
        *,
        resolve: Resolver | None = None,
        connect: Connect | None = None,
        tls: ssl.SSLContext | None = None,
        blocked: Blocks = nothing_blocked,
        listeners: Listeners = NOBODY,
    ) -> None:
        self.settings = settings
        self.lately = Lately(settings.failure_seconds, settings.max_failures)
        self._rules = settings.rules
        self.connector = Connector(settings, connect or begin_connect, tls or ssl.create_default_context(), self.lately)
        self.names = Names(resolve or system_resolve, settings.name_bounds, refused=listeners.refused)
        self._log = logging.getLogger("glare.egress")
        self._report = listeners.ended
        self._blocked = blocked

    def parse(self, text: str) -> Url:
        """The URL that `text` spells, under this client's rules. Raises `LocationRefused`."""
        return parse(text, self.settings.url_rules)

    def open(self, url: Url, asked: Asked = PLAIN_GET, cancellation: Cancellation | None = None) -> Response:
        """Send a request and return its final answer, with the body still to be read.

        Redirects of GET and HEAD are followed, each decided afresh; a request that fails where a redirect led is sent
        once more, from the start, since that may lead elsewhere. `Response.span` tells which bytes the body has, where
        a range was asked for. `cancellation` is asked a few times a second while the origin is waited for.

        Raises `Blocked` where a takedown forbids the request or one that a redirect leads to, `LocationRefused` where
        policy or the network keeps the origin out of reach: always the same message, and never sooner than the
        configured floor. Raises `OriginFailed` where the origin was reached and failed. Neither message names an
        address; `reason` does, and is logged here. Raises `OutboundBusy` where we have no room for the request.
        """
        settings = self.settings
        hurry = settings.hurry_seconds if asked.hurried else math.inf
        request = _Request(
            Wanted(asked.method, asked.byte_range, asked.accepted, asked.provable, asked.partial),
            self._headers(asked.headers, asked.byte_range, asked.cdn_loop),
            asked.body,
            Timing(
                Deadline(settings.header_seconds),
                min(settings.connect_seconds, hurry),
                min(settings.answer_seconds, hurry),
            ),
            cancellation or Cancellation(),
        )
        return self._from_start(url, request)

    def _from_start(self, url: Url, request: _Request) -> Response:
        """The final answer. What fails where a redirect led is asked for once more."""
        trail = _Trail()
        try:
            response = self._follow(url, request, trail)
            if not (trail.redirected and request.wanted.statuses is None and response.status >= _ERRORS):
                return response
            response.dismiss()
        except Blocked:
            raise
        except (LocationRefused, OriginFailed):
            # Whatever keeps the last hop out of reach: who watches the first must not learn what it was.
            if (
                not trail.redirected
                or trail.endless
                or request.timing.deadline.passed
                or request.cancellation.cancelled
            ):
                raise
        return self._follow(url, request, _Trail(network=trail.network))

    def _follow(self, url: Url, request: _Request, trail: _Trail) -> Response:
        """The answer at the end of the redirects that begin at `url`. Every hop is one attempt in the log."""
        wanted = request.wanted
        for hop in range(self.settings.max_redirects + 1):
            trail.hop, trail.phase = hop, Phase.CONNECT
            attempt = Attempt(self._log, wanted.method, url, hop, self._report)
            # Each hop has its own: an origin that redirects late would else use the floor up for the next one.
            floor = time.monotonic() + self.settings.refusal_floor_seconds
            try:
                head, state, wire = self._exchange(url, request, attempt, trail)
                with _closing_on_error(wire):
                    if not (is_redirect(head.status, head.headers) and wanted.method in _FOLLOWED):
                        span = wanted.check(head)
                        if span is not None and head.unframed:  # The range says how long it is.
                            head = replace(head, length=span.last - span.first + 1, unframed=False)
                        answered = Answered(head, url, span, trail.contact)
                        return Response(answered, wire, state, Pace(self.settings), attempt.end)
                    trail.redirected = True
                    wire.close()
                    following = self._redirected(url, head)
            except OutboundBusy as error:
                attempt.end("refused", error.message, 0)
                raise
            except (LocationRefused, OriginFailed) as error:
                error.contact = trail.contact
                attempt.end("refused" if isinstance(error, LocationRefused) else "failed", error.reason, 0)
                if error.message == decision.UNREACHABLE:
                    time.sleep(max(0.0, floor - time.monotonic()))
                raise
            attempt.end("redirected", f"{head.status} to {following.redacted}", 0)
            url = following
        trail.endless = True
        endless = OriginFailed(
            f"The origin redirects more than {self.settings.max_redirects} times.", reason="too many redirects"
        )
        endless.contact = trail.contact
        raise endless

    def _trace(self) -> dict[str, str]:
        trace = TRACE.get()
        if trace is None or not self.settings.trace_headers:
            return {}
        return {name: value for name, value in trace.headers.items() if name in self.settings.trace_headers}

    def _headers(
        self, extra: Mapping[str, str], byte_range: tuple[int, int | None] | None, cdn_loop: str
    ) -> dict[str, str]:
        for name in extra:
            if name.lower() in _OURS:
                raise ValueError(f"the header {name!r} is not a caller's to set")
        ranged = (
            {"Range": f"bytes={byte_range[0]}-{'' if byte_range[1] is None else byte_range[1]}"} if byte_range else {}
        )
        return {
            "Accept": "*/*",
            "User-Agent": self.settings.user_agent,
            "Accept-Encoding": "identity",
            "CDN-Loop": carried_on(cdn_loop, self.settings.cdn_loop_id),
            "Connection": "close",
            **self._trace(),
            **ranged,
            **extra,
        }

    def _exchange(
        self, url: Url, request: _Request, attempt: Attempt, trail: _Trail
    ) -> tuple[Head, h11.Connection, Wire]:
        """One hop: decide, connect to what was decided on, ask."""
        takedown = self._blocked(url)
        if takedown is not None:
            raise Blocked.by(takedown)
        attempt.addresses = self._decided(url, request.timing.deadline)
        method, connector = request.wanted.method, self.connector
        length = {"Content-Length": str(len(request.body))} if request.body or method not in _FOLLOWED else {}
        headers = {"Host": url.host_header, **request.headers, **length}
        asked = h11.Request(method=method, target=url.target, headers=[*headers.items()])
        wire, address = connector.reach(url, attempt.addresses, request.timing, request.cancellation)
        trail.phase = Phase.SILENCE
        with _closing_on_error(wire):
            state = connector.state()
            try:
                head = ask(wire, state, asked, request.body, connector.limits, request.timing)
            except OriginFailed:
                if not request.cancellation.cancelled:
                    connector.noted(url, address, well=False)
                raise
            connector.noted(url, address, well=True)
            trail.answered(address)
            return head, state, wire

    def _decided(self, url: Url, deadline: Deadline) -> tuple[decision.Address, ...]:
        decision.check_host(url.host, self._rules)
        if url.address is not None:
            return decision.decide([url.address], self._rules)
        seconds = min(deadline.remaining(), self.settings.resolve_seconds)
        found = self.names.addresses(url.host, seconds, waited=deadline.extend)
        return decision.decide(found, self._rules)

    def _redirected(self, url: Url, head: Head) -> Url:
        """Where a redirect leads. Its fragment is dropped, as browsers do. Raises `OriginFailed`."""
        values = set(head.headers.all("location"))
        if len(values) != 1:
            _fail("The origin's redirect has several targets that differ.", "several Locations")
        try:
            following = reference.resolve(url, values.pop(), self.settings.url_rules, self.settings.max_header_bytes)
        except UnusableUrl as why:
            raise OriginFailed(
                f"The origin redirects to a URL that this service does not accept: {why}.",
                reason=f"redirect: {why}",
                cause=Cause.POLICY,
            ) from None
        if url.scheme == "https" and following.scheme != "https":
            _fail("The origin redirects from https to http.", "redirect from https to http", Cause.POLICY)
        return following


def _fail(message: str, reason: str, cause: Cause = Cause.PROTOCOL) -> Never:
    raise OriginFailed(message, reason=reason, cause=cause)


@dataclass(slots=True)
class _Trail:
    """Whether there were redirects, and too many of them; how far it led, and from which network the first host has
    answered.
    """

    redirected: bool = False
    endless: bool = False
    hop: int = 0
    phase: Phase = Phase.CONNECT
    network: str | None = None

    @property
    def contact(self) -> Contact:
        return Contact(self.hop, self.phase, self.network)

    def answered(self, address: decision.Address) -> None:
        """The head of an answer came from here."""
        self.phase = Phase.ANSWER
        if self.hop == 0:
            self.network = Party.network(str(address)).name


class _closing_on_error:  # noqa: N801 - reads as the context manager that it is.
    """Close a wire where the block raises, and only there."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            self._wire.close()
