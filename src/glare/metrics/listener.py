"""A small HTTP server for a process that has none: what `glare-server worker` tells those who watch it.

One connection at a time, each for some seconds at most, and none of anybody but the peers that the operator has named:
so it cannot be made to cost more than a thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Network, IPv6Network, ip_address
from socket import AF_INET, AF_INET6, socket
from types import TracebackType
from typing import Any, Final, Self

_log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers with which a proxy says that it speaks for somebody else."""

_SECONDS: Final = 5.0

Networks = Sequence[IPv4Network | IPv6Network]
Page = Callable[[], bytes | None]
"""The text of a page; None where there is none."""


def is_allowed(peer: str | None, networks: Networks) -> bool:
    """Whether an address is in one of the networks. An IPv4 address that is written as IPv6 is itself."""
    try:
        address = ip_address(peer or "")
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)


class Listener:
    """Serves `pages`, by path, from `__enter__` to `__exit__`, in a thread of its own. Raises OSError where it cannot
    listen.
    """

    def __init__(self, address: tuple[str, int], peers: Networks, pages: Mapping[str, Page]) -> None:
        self._server = _Server(address, peers, pages)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(HTTPServer):
    def __init__(self, address: tuple[str, int], peers: Networks, pages: Mapping[str, Page]) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self.peers = peers
        self.pages = pages
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # The library asks for the name of the address, which may take as long as a name server likes.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Others are hung up on before a byte of theirs is read."""
        return is_allowed(client_address[0], self.peers)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # A client that drips would have each of its bytes waited for anew: the connection ends at a fixed time.
        timer = threading.Timer(_SECONDS, _shut, (request,))
        timer.start()
        try:
            super().finish_request(request, client_address)
        finally:
            timer.cancel()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("a request for metrics broke off", exc_info=True)


def _shut(connection: socket) -> None:
    try:
        connection.shutdown(2)
    except OSError:
        return  # It has ended by itself.


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SECONDS
    server_version = "glare"
    sys_version = ""

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, b"There is nothing at this address.\n")
        elif any(name in self.headers for name in FORWARDED):
            self._answer(HTTPStatus.FORBIDDEN, b"Metrics are for those who ask directly and not by a proxy.\n")
        else:
            text = page()
            if text is None:
                self._answer(HTTPStatus.NOT_FOUND, b"This service keeps no metrics.\n")
            else:
                self._answer(HTTPStatus.OK, text)

    def _answer(self, status: HTTPStatus, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library calls it so
        """Who watches asks often; a line for each would hide the rest."""
