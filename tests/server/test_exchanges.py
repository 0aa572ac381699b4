"""Requests and answers as the server passes them on: framing, order, files, clients that leave."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from glare.errors import ClientDisconnected
from glare.server.limits import Limits
from support.conversation import eventually
from support.small_host import contexts, everything, get, small_host

pytestmark = pytest.mark.sqlite  # The server knows of no database.

DATA = random.Random(7).randbytes(5_000_000)


class Echo:
    """Answers with what the request's body was, as one piece or in as many as the query asks for, and remembers
    scopes.
    """

    def __init__(self, headers: tuple[tuple[bytes, bytes], ...] = (), status: int = 200) -> None:
        self.scopes: list[Any] = []
        self._headers = headers
        self._status = status

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        pieces = int(scope["query_string"] or b"1")
        headers = [*self._headers, *([(b"Content-Length", str(len(body)).encode())] if pieces == 1 else [])]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        if pieces == 1:
            await send({"type": "http.response.body", "body": body})
            return
        for number in range(pieces):
            part = body[number * len(body) // pieces : (number + 1) * len(body) // pieces]
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})


class Files:
    """Answers with a file, of a length that is announced."""

    def __init__(self, path: Path, length: int) -> None:
        self._path = path
        self._length = length

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        length = [(b"content-length", str(self._length).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.pathsend", "path": str(self._path)})


class Patient:
    """Answers nothing until it is told that the client has left, or that it may."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.heard: list[str] = []
        self.sent: list[object] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.waiting.release()
        message = await receive()
        while message["type"] == "http.request":
            message = await receive()
        self.heard.append(message["type"])
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"late"})
        except ClientDisconnected as left:
            self.sent.append(left)


def parts(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


def test_a_scope_says_what_was_asked() -> None:
    """Path, query, headers and both ends are what the client sent."""
    echo = Echo()
    with small_host(echo) as host, host.connect() as client:
        client.sendall(get("/a%20b/%C3%A9?2", "X-Any:  v \r\nConnection: close\r\n"))
        everything(client)
        here = client.getsockname()
    [scope] = echo.scopes
    assert (scope["method"], scope["http_version"], scope["scheme"]) == ("GET", "1.1", "http")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a b/é", b"/a%20b/%C3%A9", b"2")
    assert (b"x-any", b"v") in scope["headers"]
    assert scope["client"] == here
    assert scope["server"] == ("127.0.0.1", host.port)


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_come_through_both_ways(pieces: int, chunked: bool) -> None:
    """A large body arrives whole, and goes back whole, with a length or in chunks."""
    with small_host(Echo()) as host, host.connect() as client:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(DATA)}"
        sender = threading.Thread(
            target=lambda: client.sendall(
                get(f"/?{pieces}", f"{framing}\r\nConnection: close\r\n", "POST")
                + (b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA) if chunked else DATA)
            )
        )
        sender.start()
        status, headers, body = parts(everything(client))
        sender.join()
    assert status == 200
    if pieces == 1:
        assert body == DATA
    else:
        assert headers["transfer-encoding"] == "chunked"
        assert unchunked(body) == DATA


def unchunked(body: bytes) -> bytes:
    found = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert body == b"\r\n"
            return found
        found += body[:length]
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]


def test_a_connection_carries_many_requests_one_after_the_other() -> None:
    """Also those that are sent before the earlier ones are answered: the answers come in their order."""
    with small_host(Echo()) as host, host.connect() as client:
        bodies = [b"first", b"second", b"third"]
        client.sendall(b"".join(get("/", f"Content-Length: {len(body)}\r\n", "POST") + body for body in bodies))
        client.sendall(get("/", "Connection: close\r\nContent-Length: 4\r\n", "POST") + b"last")
        answers = everything(client)
    assert [answers.index(body) for body in (*bodies, b"last")] == sorted(
        answers.index(body) for body in (*bodies, b"last")
    )
    assert answers.count(b"HTTP/1.1 200 OK") == 4


def test_no_more_than_a_few_requests_are_kept_ahead() -> None:
    """A client that sends hundreds at once gets some answers, and a closed connection; nothing of the rest is worked
    on.
    """
    echo = Echo()
    with small_host(echo) as host, host.connect() as client:
        client.sendall(get() * 300)
        answers = everything(client)
    assert 0 < answers.count(b"HTTP/1.1 200 OK") == len(echo.scopes) < 50


@pytest.mark.parametrize(("version", "kept"), [("1.0", False), ("1.1", True)])
def test_versions_differ_in_who_keeps_the_connection(version: str, kept: bool) -> None:
    """With HTTP/1.0 it is closed after the answer, and there are no chunks."""
    with small_host(Echo()) as host, host.connect() as client:
        client.sendall(get("/?2", "Content-Length: 4\r\n", "POST", version) + b"data")
        if kept:
            client.sendall(get("/", "Connection: close\r\n"))
        answers = everything(client)
    assert answers.count(b"HTTP/1.1 200") == 1 + kept
    assert (b"chunked" in answers) is kept


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    """`Expect: 100-continue` is answered when the application wants the body."""
    with small_host(Echo()) as host, host.connect() as client:
        client.sendall(get("/", "Expect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n", "PUT"))
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"data")
        assert parts(everything(client))[2] == b"data"


def test_a_client_of_http_1_0_is_not_told_to_go_on() -> None:
    """It would take that for the answer."""
    with small_host(Echo()) as host, host.connect() as client:
        client.sendall(get("/", "Expect: 100-continue\r\nContent-Length: 4\r\n", "PUT", "1.0") + b"data")
        assert parts(everything(client))[0] == 200
    with small_host(Echo()) as host, host.connect() as client:
        client.sendall(get("/", "Expect: 100-continue\r\nContent-Length: 4\r\n", "PUT", "1.0"))
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_a_coding_of_the_transfer_that_is_not_known_is_refused() -> None:
    """It would be taken for the body itself."""
    with small_host(Echo()) as host, host.connect() as client:
        client.sendall(get("/", "Transfer-Encoding: gzip, chunked\r\n", "PUT") + b"0\r\n\r\n")
        assert parts(everything(client))[0] == 501


@pytest.mark.parametrize("value", ["200-ok", "100-continue, 200-ok"])
def test_an_expectation_that_is_not_known_is_refused(value: str) -> None:
    """The client must not believe that it is met."""
    with small_host(Echo()) as host, host.connect() as client:
        client.sendall(get("/", f"Expect: {value}\r\nContent-Length: 4\r\n", "PUT") + b"data")
        assert parts(everything(client))[0] == 417


async def deaf(scope: Any, receive: Any, send: Any) -> None:
    """Answers without a look at the body."""
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


def test_a_body_that_nobody_wants_is_dropped() -> None:
    """A short one is read away, and the connection goes on; a client that waits to be asked for it is not asked."""
    with small_host(deaf) as host, host.connect() as client:
        client.sendall(get("/", f"Content-Length: {1 << 20}\r\n", "PUT"))
        assert client.recv(4096).endswith(b"no")
        client.sendall(bytes(1 << 20))
        client.sendall(get("/", "Expect: 100-continue\r\nContent-Length: 4\r\n", "PUT"))
        status, headers, body = parts(everything(client))
    assert (status, headers["connection"], body) == (403, "close", b"no")


@pytest.mark.parametrize("busy", [False, True], ids=["dropped", "still running"])
def test_a_body_that_breaks_after_its_answer_gets_no_second_one(busy: bool) -> None:
    """The client has its answer; the connection ends, and a request that follows is not swallowed in silence."""
    broken = threading.Event()

    async def early(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await deaf(scope, receive, send)
        if busy:
            await asyncio.to_thread(broken.wait, 10)

    with small_host(early) as host, host.connect() as client:
        client.sendall(get("/", "Transfer-Encoding: chunked\r\n", "POST") + b"1\r\na\r\n")
        answers = b""
        while not answers.endswith(b"no"):
            answers += client.recv(65536)
        client.sendall(b"nonsense\r\n")
        eventually(lambda: host.counts.cut_off.total() == 1)
        broken.set()
        with suppress(OSError):
            client.sendall(get())
        answers += everything(client)
    assert answers.count(b"HTTP/1.1 ") == 1
    assert answers.endswith(b"no")


def test_head_and_answers_without_a_body() -> None:
    """HEAD has the headers of GET; 204 and 304 have neither body nor chunks."""
    with small_host(Files(Path(__file__), 7)) as host, host.connect() as client:
        client.sendall(get("/", "Connection: close\r\n", "HEAD"))
        status, headers, body = parts(everything(client))
    assert (status, headers["content-length"], body) == (200, "7", b"")
    for status in (204, 304):
        with small_host(Echo(status=status)) as host, host.connect() as client:
            client.sendall(get("/?2", "Connection: close\r\n"))
            found, headers, body = parts(everything(client))
        assert (found, "transfer-encoding" in headers, body) == (status, False, b"")


@pytest.mark.parametrize("size", [0, 1, 70_000, len(DATA)])
@pytest.mark.parametrize("encrypted", [False, True])
def test_files_are_sent_whole(tmp_path: Path, size: int, encrypted: bool) -> None:
    """Whatever their size, with and without TLS; and the connection goes on."""
    path = tmp_path / "file"
    path.write_bytes(DATA[:size])
    server, client_side = contexts() if encrypted else (None, None)
    with small_host(Files(path, size), tls=server) as host, host.connect(tls=client_side) as client:
        client.sendall(get())
        client.sendall(get("/", "Connection: close\r\n"))
        answers = everything(client)
    assert answers.count(b"HTTP/1.1 200") == 2
    assert parts(answers)[2].startswith(DATA[:size] + b"HTTP/1.1 200")
    assert answers.endswith(b"\r\n\r\n" + DATA[:size])


@pytest.mark.parametrize("there", [0, 100_000])
def test_a_file_that_is_shorter_than_announced_breaks_the_connection(tmp_path: Path, there: int) -> None:
    """The client sees that bytes are missing."""
    path = tmp_path / "file"
    path.write_bytes(DATA[:there])
    with small_host(Files(path, 200_000)) as host, host.connect() as client:
        client.sendall(get())
        status, headers, body = parts(everything(client))
        assert (status, headers["content-length"], body) == (200, "200000", DATA[:there])
        assert host.counts.cut_off["broken"] == 1


async def broken(scope: Any, receive: Any, send: Any) -> None:
    """Fails at what the path says."""
    if scope["path"] == "/late":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
    if scope["path"] == "/split":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b\r\nx-c: d")]})
        await send({"type": "http.response.body"})
    if scope["path"] == "/more":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": b"half"})
    raise ValueError("on purpose")


@pytest.mark.parametrize(("path", "status"), [("/early", 500), ("/late", 200), ("/split", 500), ("/more", 500)])
def test_an_application_that_fails_harms_its_connection_only(path: str, status: int) -> None:
    """The client gets a 500, or sees that bytes are missing; a header that is two lines is not sent."""
    with small_host(broken) as host:
        with host.connect() as client:
            client.sendall(get(path))
            answer = everything(client)
        assert parts(answer)[0] == status
        assert b"x-c" not in answer
        assert b"on purpose" not in answer
        with host.connect() as client:
            client.sendall(get("/early"))
            assert parts(everything(client))[0] == 500


@pytest.mark.parametrize(
    "request_",
    [get(), get() * 3, get("/", "Content-Length: 4\r\n", "PUT") + b"data", get("/", "Content-Length: 4\r\n", "PUT")],
    ids=["GET", "several", "an upload", "a part of an upload"],
)
def test_the_application_learns_that_its_client_has_left(request_: bytes) -> None:
    """While it does nothing but wait, and whatever the client had sent; what it sends then goes nowhere."""
    application = Patient()
    with small_host(application, Limits(idle_seconds=1)) as host:
        client = host.connect()
        client.sendall(request_)
        assert application.waiting.acquire(timeout=10)
        client.close()
        eventually(lambda: application.heard == ["http.disconnect"])
        eventually(lambda: len(application.sent) == 1)


class Unread:
    """Waits for the client to leave without ever asking for the body."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.left = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun.set()
        while True:
            await asyncio.sleep(0.02)
            try:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            except ClientDisconnected:
                self.left.set()
                return
            except RuntimeError:
                continue


def test_a_client_that_leaves_amid_an_unread_body_is_noticed() -> None:
    """Nothing is read of what nobody has asked for, so the sign cannot come from reading."""
    application = Unread()
    with small_host(application, Limits(idle_seconds=1)) as host:
        client = host.connect()
        client.sendall(get("/", "Content-Length: 100000000\r\n", "PUT") + bytes(1 << 15))
        assert application.begun.wait(10)
        client.close()
        assert application.left.wait(10)


def test_a_body_that_is_not_asked_for_stays_with_its_client() -> None:
    """The client can send what fits into the kernel's buffers, and no more: the server keeps none of it."""
    application = Patient()

    async def never(scope: Any, receive: Any, send: Any) -> None:
        application.waiting.release()
        await asyncio.sleep(3600)

    with small_host(never) as host:
        client = host.connect()
        client.sendall(get("/", f"Content-Length: {1 << 30}\r\n", "PUT"))
        assert application.waiting.acquire(timeout=10)
        client.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            while sent < 1 << 30:
                sent += client.send(bytes(1 << 20))
        assert sent < 64 << 20
        client.close()


def test_who_watches_a_client_asks_for_nothing() -> None:
    """An application may wait for the client's leaving without its body: nothing of that is asked for or read, and the
    event is set though nobody reads.
    """
    asked = threading.Event()
    left = threading.Event()

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        await scope["extensions"]["glare.client"]["left"].wait()
        left.set()

    for extra in ("Expect: 100-continue\r\n", ""):
        with small_host(watching, Limits(head_seconds=1)) as host, host.connect() as client:
            client.sendall(get("/", f"{extra}Content-Length: 4\r\n", "PUT"))
            eventually(asked.is_set)
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.close()
            eventually(left.is_set)
            asked.clear()
            left.clear()
