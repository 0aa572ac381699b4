"""A connection to an origin, ready for a request: raced, through the operator's proxy where there is one, and with
TLS.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence

import h11

from glare.egress import certificates
from glare.egress.cancellation import Cancellation
from glare.egress.decision import UNREACHABLE, Address
from glare.egress.exchange import HeadLimits, ask
from glare.egress.lately import Lately
from glare.egress.race import Connect, Course, address_key, in_order, race
from glare.egress.settings import EgressSettings
from glare.egress.url import Url
from glare.egress.wire import Deadline, Timing, Wire
from glare.errors import Cause, LocationRefused, OriginFailed


class Connector:
    """Connects to addresses that were decided on. Threads may share it."""

    def __init__(self, settings: EgressSettings, connect: Connect, tls: ssl.SSLContext, lately: Lately) -> None:
        self._settings = settings
        self._connect = connect
        self.tls = tls
        self._lately = lately
        self.limits = HeadLimits(settings.max_header_bytes, settings.max_headers)

    def reach(
        self, url: Url, addresses: Sequence[Address], timing: Timing, cancellation: Cancellation
    ) -> tuple[Wire, Address]:
        """A connection to one of `addresses` that speaks the scheme of `url`, and which it is.

        Raises `LocationRefused` where none can be reached, `OriginFailed` where one was and does not speak.
        """
        wire, address = self._connected(url, addresses, timing, cancellation)
        if url.scheme == "https":
            try:
                self._secure(wire, url, timing)
            except BaseException as error:
                wire.close()
                if isinstance(error, OriginFailed) and not cancellation.cancelled:
                    self.noted(url, address, well=False)
                raise
        return wire, address

    def noted(self, url: Url, address: Address, *, well: bool) -> None:
        """Remember how an address behaved, for the order of later attempts."""
        (self._lately.worked if well else self._lately.failed)(address_key(address, url.port))

    def state(self) -> h11.Connection:
        """The state of a new HTTP/1.1 connection."""
        return h11.Connection(h11.CLIENT, max_incomplete_event_size=self._settings.max_header_bytes)

    def _connected(
        self, url: Url, addresses: Sequence[Address], timing: Timing, cancellation: Cancellation
    ) -> tuple[Wire, Address]:
        settings = self._settings
        if settings.proxy is not None:
            return self._tunnelled(settings.proxy, url, addresses, timing, cancellation)
        try:
            seconds = timing.connecting()
        except OriginFailed as late:  # It must not tell more than a closed port does.
            raise LocationRefused(UNREACHABLE, reason=late.reason, cause=Cause.CONNECT) from late
        course = Course(seconds, settings.attempt_delay, settings.max_addresses)
        connection, address = race(addresses, url.port, course, self._connect, self._lately, cancellation)
        return Wire(connection, cancellation), address

    def _tunnelled(
        self,
        proxy: tuple[str, int],
        url: Url,
        addresses: Sequence[Address],
        timing: Timing,
        cancellation: Cancellation,
    ) -> tuple[Wire, Address]:
        """One address after the other, each with an equal share of the time that is left: the proxy is not to race for
        us.
        """
        refused = []
        trying = in_order(addresses, url.port, self._lately)[: self._settings.max_addresses]
        until = time.monotonic() + timing.connect
        for at, address in enumerate(trying):
            try:
                seconds = min((until - time.monotonic()) / (len(trying) - at), timing.deadline.remaining())
                wire = self._tunnel(proxy, address, url.port, max(0.001, seconds), cancellation)
            except (OSError, OriginFailed) as error:
                if cancellation.cancelled:
                    raise
                refused.append(f"{address}: {getattr(error, 'reason', None) or error}")
                self.noted(url, address, well=False)
            else:
                return wire, address
        raise LocationRefused(UNREACHABLE, reason=f"egress proxy: {'; '.join(refused)}", cause=Cause.CONNECT)

    def _tunnel(
        self, proxy: tuple[str, int], address: Address, port: int, seconds: float, cancellation: Cancellation
    ) -> Wire:
        """A connection to `address` through the operator's proxy. Raises OSError, `OriginFailed`."""
        timing = Timing(Deadline(seconds), seconds, seconds)
        connection = socket.create_connection(proxy, seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tunnel = Wire(connection, cancellation)
        try:
            target = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
            request = h11.Request(method="CONNECT", target=target, headers=[("Host", target)])
            head = ask(tunnel, self.state(), request, b"", self.limits, timing)
            if not 200 <= head.status < 300:
                raise OriginFailed("The egress proxy refuses the connection.", reason=f"status {head.status}")
        except BaseException:
            tunnel.close()
            raise
        return tunnel

    def _secure(self, wire: Wire, url: Url, timing: Timing) -> None:
        try:
            wire.start_tls(self.tls, url.host, timing.answering())
        except ssl.SSLCertVerificationError as error:
            reason = f"TLS: {error.verify_message} ({error.verify_code})"
            raise OriginFailed(certificates.refusal(error), reason=reason, cause=Cause.TLS) from error
        except TimeoutError:
            raise timing.silent("timeout in TLS") from None
        except OSError as error:
            raise OriginFailed(
                "The origin does not speak TLS that this service accepts.", reason=f"TLS: {error}", cause=Cause.TLS
            ) from error
