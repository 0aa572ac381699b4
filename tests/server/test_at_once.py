"""An application that has an answer at hand has it sent without a task, and in its turn."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from glare.server.connection import Connection
from glare.server.exchange import Ready
from glare.server.limits import Limits
from glare.server.turns import LIGHT
from support.conversation import eventually
from support.small_host import Rounds, everything, get, small_host

pytestmark = pytest.mark.sqlite  # The server knows of no database.

REFUSED: Ready = (429, [(b"retry-after", b"1"), (b"content-length", b"4")], b"full")


class Overrun:
    """Refuses all paths but `/open` at once; those it answers the long way with what it got."""

    def __init__(self, ready: Ready = REFUSED) -> None:
        self.asked: list[str] = []
        self.began: list[str] = []
        self._ready = ready

    def at_once(self, scope: dict[str, Any]) -> Ready | None:
        self.asked.append(scope["path"])
        if scope["path"] == "/defect":
            raise RuntimeError("on purpose")
        return None if scope["path"] == "/open" else self._ready

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.began.append(scope["path"])
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = json.dumps(len(body)).encode()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        await send({"type": "http.response.body", "body": answer})


def answers(data: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer, all of which have a length."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append((int(head.split(b" ", 2)[1]), data[:length]))
        data = data[length:]
    return found


def test_refusals_and_answers_keep_their_order_on_one_connection() -> None:
    """Bodies of refused requests are read away, and the connection goes on."""
    application = Overrun()
    body = b"x" * 300_000
    sent = (
        *(get("/full"), get("/open"), get("/full", f"Content-Length: {len(body)}\r\n", "POST") + body),
        *(get("/full", "Transfer-Encoding: chunked\r\n", "POST") + b"5\r\nabcde\r\n0\r\n\r\n", get("/open")),
        get("/full", "Connection: close\r\n"),
    )
    with small_host(application) as host, host.connect() as client:
        client.sendall(b"".join(sent))
        found = answers(everything(client))
    refusal = (429, b"full")
    assert found == [refusal, (200, b"0"), refusal, refusal, (200, b"0"), refusal]
    assert application.began == ["/open", "/open"]


def test_a_refusal_of_a_head_request_has_no_body() -> None:
    """The next answer begins where its head ends."""
    with small_host(Overrun()) as host, host.connect() as client:
        client.sendall(get("/full", method="HEAD") + get("/open", "Connection: close\r\n"))
        head, _, rest = everything(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert answers(rest) == [(200, b"0")]


def test_who_waits_for_a_word_before_its_body_is_refused_without_it() -> None:
    """Whether the body comes after all cannot be told, so the connection ends."""
    with small_host(Overrun()) as host, host.connect() as client:
        client.sendall(get("/full", "Content-Length: 10\r\nExpect: 100-continue\r\n", "POST"))
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"connection: close\r\n" in answer


def test_a_defect_there_costs_nobody_an_answer() -> None:
    """The request goes the long way."""
    application = Overrun()
    with small_host(application) as host, host.connect() as client:
        client.sendall(get("/defect", "Connection: close\r\n"))
        assert answers(everything(client)) == [(200, b"0")]


def test_who_takes_no_answers_gets_no_more_of_them_at_once() -> None:
    """What the client does not take stays bounded: the application is asked in full then, and waits as for others."""
    large = 60_000
    application = Overrun((200, [(b"content-length", b"%d" % large)], bytes(large)))
    with small_host(application, Limits(stall_seconds=60)) as host, host.connect() as client:
        client.setblocking(False)
        for _ in range(200):
            try:
                client.send(get("/large"))
            except BlockingIOError:
                break
            eventually(lambda: True)
        eventually(lambda: application.began != [])


def test_of_many_refusals_one_round_has_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in rounds of the loop: sixteen take no more rounds than four requests that begin."""
    rounds: list[int] = []
    start = Connection._start

    def counting(self: Connection, exchange: Any) -> bool:
        rounds.append(clock.now)
        return start(self, exchange)

    clock = Rounds()
    monkeypatch.setattr(Connection, "_start", counting)
    with small_host(Overrun()) as host, host.connect() as client:
        client.sendall(get("/open"))
        assert answers(client.recv(1000)) == [(200, b"0")]
        clock.start()
        rounds.clear()
        client.sendall(get("/full") * 15 + get("/full", "Connection: close\r\n"))
        assert len(answers(everything(client))) == 16
        clock.stop()
    assert len(rounds) == 16
    assert max(Counter(rounds).values()) <= 2 * LIGHT  # One round's own, and what came in it.
    assert rounds[-1] - rounds[0] <= 16 // LIGHT
