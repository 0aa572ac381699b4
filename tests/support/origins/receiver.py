"""A receiver of webhooks: a real HTTP(S) server on loopback that a test tells how to answer.

with Receiver() as receiver:
    ...                              # subscribe receiver.url, let the service deliver
    assert receiver.types() == ["subscription.confirmation", "artifact.create"]
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

CONFIRMATION = "subscription.confirmation"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver says: a status, headers, and a body of JSON."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it came: headers with lower-case names, and the body in bytes."""

    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def type(self) -> str:
        return str(self.document["type"])


def willing(message: Message) -> Answer:
    """Confirm, and take everything."""
    if message.type == CONFIRMATION:
        return Answer(200, body={"token": message.document["data"]["token"]})
    return Answer()


@dataclass
class Receiver:
    """The server, with TLS where a context is given. `answer` decides what is said to a message; `messages` holds all,
    in order.
    """

    tls: ssl.SSLContext | None = None
    answer: Callable[[Message], Answer] = willing
    messages: list[Message] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="receiver", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where messages are taken, under the name that the tests' resolver knows."""
        return f"{'http' if self.tls is None else 'https'}://mirror.test.example:{self.port}/hook"

    def types(self) -> list[str]:
        """The types of all messages, in the order in which they came."""
        return [message.type for message in self.messages]

    def events(self) -> list[Message]:
        """The messages that are events."""
        return [message for message in self.messages if message.type != CONFIRMATION]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    receiver: Receiver

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that hangs up is what some tests do."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        message = Message(self.path, headers, self.rfile.read(int(headers["content-length"])))
        self.server.receiver.messages.append(message)
        answer = self.server.receiver.answer(message)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.body is not None:
            # Without a length: the body ends with the connection, as with many small receivers.
            self.wfile.write(json.dumps(answer.body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's.
        """Tests read `Receiver.messages`."""
