"""Requests of exact bytes to the service in this process, past every client's good manners.

answer = ask(glare, "GET", b"/artifacts/images/%ff?name=%zz", [(b"x-auth-token", b"...")])
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import Message

from glare.db.tables import audit, marks, metadata, outbound_hosts, outbound_usage
from support.service import ACTORS, Glare

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Bare:
    """What came. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def token(actor: str) -> tuple[bytes, bytes]:
    """The header that names somebody."""
    return b"x-auth-token", ACTORS[actor].encode()


def ask(glare: Glare, method: str, target: bytes, headers: Headers = (), body: bytes = b"") -> Bare:
    """Send it. `target` is as it stands in the request line; a body is announced unless `headers` say something
    else.
    """
    raw, _, query = target.partition(b"?")
    framed = {name for name, _ in headers} & {b"content-length", b"transfer-encoding"}
    announced = [(b"content-length", b"%d" % len(body))] if body and not framed else []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": unquote(raw.decode("latin-1")),
        "raw_path": raw,
        "root_path": "",
        "scheme": "http",
        "query_string": query,
        "headers": [*headers, *announced],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        "extensions": {},
        "state": {},
    }
    sent: list[Message] = []
    inbox: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def run() -> None:
        answered = asyncio.Event()

        async def receive() -> Message:
            if inbox:
                return inbox.pop()
            await answered.wait()  # It stays until it has its answer.
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered.set()

        await glare.client.app(scope, receive, send)

    assert glare.client.portal is not None
    glare.client.portal.call(run)
    start, *bodies = sent
    fields = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Bare(start["status"], fields, b"".join(message.get("body", b"") for message in bodies))


_ELSEWHERE = {audit.name, marks.name, outbound_hosts.name, outbound_usage.name}
"""Refusals are remembered, in a transaction that leaves its mark, and measuring is charged for, whatever comes of
them.
"""


def stored(glare: Glare) -> dict[str, Any]:
    """Every row of the database and every file of the store, to be compared."""
    with glare.services.db.read() as connection:
        tables: dict[str, Any] = {
            table.name: sorted(repr(row) for row in connection.execute(table.select()))
            for table in metadata.sorted_tables
            if table.name not in _ELSEWHERE
        }
    return {**tables, "files": [(path.name, path.stat().st_size) for path in glare.objects()]}
