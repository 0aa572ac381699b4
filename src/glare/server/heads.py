"""The head of a request, from the parser's pieces to an ASGI scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import httptools

from glare.server.answers import MALFORMED, Refusal

PROBES: Final = frozenset({b"/healthz", b"/healthcheck", b"/readyz", b"/metrics"})
"""Paths that are served to connections over the bounds too: load must not take them from who watches over the
service."""

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a connection, and how it is spoken on."""

    client: tuple[str, int] | None
    server: tuple[str, int] | None
    scheme: str


class Head:
    """Collects what the parser finds, and checks it. Raises `Refusal`."""

    __slots__ = ("_expects_more", "_target", "expects_continue", "has_body", "headers", "length")

    def __init__(self) -> None:
        self._expects_more = False
        self._target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.length = 0
        self.has_body = False
        self.expects_continue = False

    def add_target(self, piece: bytes) -> None:
        self._target += piece
        self.length += len(piece)

    def add_header(self, name: bytes, value: bytes | None) -> None:
        name = name.lower()
        value = value.strip(b" \t") if value else b""
        self.length += len(name) + len(value) + 4
        self.headers.append((name, value))
        if name == b"content-length":
            self.has_body = value.strip(b"0") != b""
        elif name == b"transfer-encoding":
            self.has_body = True
        elif name == b"expect":
            self.expects_continue = value.lower() == b"100-continue"
            self._expects_more = self._expects_more or (value != b"" and not self.expects_continue)

    @property
    def is_chunked(self) -> bool:
        """Whether its body comes in chunks."""
        return any(name == b"transfer-encoding" for name, _ in self.headers)

    def path(self) -> bytes:
        """The path as it was sent, without its query."""
        return self._split()[0]

    def scope(self, method: bytes, version: str, ends: Ends) -> dict[str, Any]:
        """The ASGI scope."""
        if method == b"CONNECT":
            raise Refusal(400, MALFORMED, "This service is no proxy: it opens no tunnels.")
        if version not in ("1.0", "1.1"):
            raise Refusal(505, MALFORMED, "This service speaks HTTP/1.1 and HTTP/1.0.")
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            raise Refusal(400, MALFORMED, f"A request has one Host header; this one has {hosts}.")
        if any(name == b"transfer-encoding" and value.lower() != b"chunked" for name, value in self.headers):
            raise Refusal(501, MALFORMED, "The only Transfer-Encoding here is chunked; send the body without another.")
        if self._expects_more:
            raise Refusal(417, MALFORMED, "The only Expect here is 100-continue; send the request without another.")
        raw_path, query = self._split()
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": ends.server,
            "client": ends.client,
            "scheme": ends.scheme,
            "method": method.decode("ascii"),
            "root_path": "",
            "path": unquote(raw_path.decode("utf-8", "replace")),
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": {},
            "extensions": {"http.response.pathsend": {}},
        }

    def _split(self) -> tuple[bytes, bytes]:
        if self._target.startswith(b"/") or self._target == b"*":
            path, _, query = self._target.partition(b"#")[0].partition(b"?")
            return path, query
        try:
            url = httptools.parse_url(self._target)
        except httptools.HttpParserInvalidURLError:
            raise Refusal(400, MALFORMED, "The target of the request is no path; begin it with a slash.") from None
        return url.path or b"/", url.query or b""
