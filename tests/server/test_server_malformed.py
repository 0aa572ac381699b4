"""Bytes on a connection that are no request, or none that a client would send: the service answers, or hangs up, and
goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.conversation import eventually
from support.server import Server
from support.service import ACTORS, Json, path_of

pytestmark = pytest.mark.sqlite  # What is no request does not reach a database.

TOKEN = f"X-Auth-Token: {ACTORS['alice']}\r\n".encode()
HOST = b"Host: x\r\n" + TOKEN
PUT = b"Content-Type: text/plain\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("malformed")) as process:
        yield process
        assert process.leftovers() == {}
        assert not [word for word in ("unexpected error", "Traceback", "panicked") if word in process.log]


@pytest.fixture(scope="module")
def artifact(server: Server) -> Iterator[Json]:
    """An artifact that no malformed request may change."""
    made = server.alice.create("sample_artifact", name="untouched", string_required="x")
    yield made
    assert untimed(server, made) == {**made, "updated_at": None}


def get(target: bytes, headers: bytes = b"", version: bytes = b"1.1") -> bytes:
    """A request without a body."""
    return b"GET %b HTTP/%b\r\n%b%b\r\n" % (target, version, HOST, headers)


REQUESTS = {
    "no UTF-8 in the path": get(b"/artifacts/images/%ff"),
    "no percent-encoding in the path": get(b"/artifacts/images/%zz%"),
    "NUL in the path, encoded": get(b"/artifacts/images/%00"),
    "NUL in the path": get(b"/artifacts/images/\0"),
    "bytes beyond ASCII in the path": get("/artifacts/images/é😀".encode()),
    "a control character in the path": get(b"/artifacts/images/\x01"),
    "a space in the path": get(b"/artifacts/images/a b"),
    "dots in the path": get(b"/artifacts/../artifacts/./images/..%2f..%2fetc/passwd"),
    "a path without a slash": get(b"artifacts/images"),
    "a path of 60 KiB": get(b"/artifacts/images/" + b"a" * 60_000),
    "a query of 60 KiB": get(b"/artifacts/images?name=" + b"a" * 60_000),
    "an address of another host": get(b"http://elsewhere.example/artifacts/images"),
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n%b\r\n" % HOST,
    "a tunnel": b"CONNECT elsewhere.example:443 HTTP/1.1\r\n%b\r\n" % HOST,
    "a header of 64 KiB": get(b"/artifacts/images", b"X-Long: %b\r\n" % (b"a" * 65536)),
    "a thousand headers": get(b"/artifacts/images", b"".join(b"X-%d: a\r\n" % number for number in range(1000))),
    "a header beyond ASCII": get(b"/artifacts/images", "X-Any: é😀\r\n".encode()),
    "a header with NUL": get(b"/artifacts/images", b"If-None-Match: a\0b\r\n"),
    "a header without a colon": get(b"/artifacts/images", b"nothing\r\n"),
    "a header name with a space": get(b"/artifacts/images", b"X Any : a\r\n"),
    "a folded header": get(b"/artifacts/images", b"X-Any: a\r\n b\r\n"),
    "lines that end in LF": get(b"/artifacts/images").replace(b"\r\n", b"\n"),
    "lines that end in CR": get(b"/artifacts/images").replace(b"\r\n", b"\r") + b"\r\n\r\n",
    "no host": b"GET /artifacts/images HTTP/1.1\r\n%b\r\n" % TOKEN,
    "two hosts": get(b"/artifacts/images", b"Host: y\r\n"),
    "an older version": get(b"/artifacts/images", version=b"1.0"),
    "an unknown version": get(b"/artifacts/images", version=b"9.9"),
    "no version": b"GET /artifacts/images\r\n\r\n",
    "an unknown method": b"BREW /artifacts/images HTTP/1.1\r\n%b\r\n" % HOST,
    "a method beyond ASCII": b"G\xc3\x89T /artifacts/images HTTP/1.1\r\n%b\r\n" % HOST,
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512),
    "another protocol": b"SSH-2.0-OpenSSH_9.0\r\n\r\n\r\n",
    "empty lines first": b"\r\n\r\n" + get(b"/artifacts/images"),
    "a negative length": b"PUT {} HTTP/1.1\r\n%bContent-Length: -1\r\n\r\n" % (HOST + PUT),
    "a length with a sign": b"PUT {} HTTP/1.1\r\n%bContent-Length: +4\r\n\r\ndata" % (HOST + PUT),
    "a length in words": b"PUT {} HTTP/1.1\r\n%bContent-Length: four\r\n\r\ndata" % (HOST + PUT),
    "a length beyond 64 bits": b"PUT {} HTTP/1.1\r\n%bContent-Length: %b\r\n\r\ndata" % (HOST + PUT, b"9" * 30),
    "two lengths": b"PUT {} HTTP/1.1\r\n%bContent-Length: 4\r\nContent-Length: 5\r\n\r\ndata!" % (HOST + PUT),
    "a length that a blob cannot have": b"PUT {} HTTP/1.1\r\n%bContent-Length: 11\r\n\r\neleven byte" % (HOST + PUT),
    "an unknown framing": b"PUT {} HTTP/1.1\r\n%bTransfer-Encoding: gzip\r\n\r\ndata" % (HOST + PUT),
    "a chunk without a size": b"PUT {} HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\nzz\r\ndata\r\n" % (HOST + PUT),
    "a chunk of a negative size": b"PUT {} HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n-4\r\ndata\r\n"
    % (HOST + PUT),
    "a chunk beyond 64 bits": b"PUT {} HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n%b\r\n"
    % (HOST + PUT, b"f" * 20),
    "a chunk that is longer": b"PUT {} HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n1\r\ndata\r\n0\r\n\r\n"
    % (HOST + PUT),
}


def untimed(server: Server, artifact: Json) -> Json:
    """The artifact without the time of its last change, which an upload that was begun and undone moves too."""
    return {**server.alice.show(artifact), "updated_at": None}


@pytest.mark.parametrize("what", REQUESTS)
def test_malformed_bytes_are_refused(server: Server, artifact: Json, what: str) -> None:
    """Each is answered without an error of the service, or hung up on; the next request is answered, and nothing is
    stored.
    """
    before = untimed(server, artifact)
    with server.connect() as connection:
        connection.send_if_open(REQUESTS[what].replace(b"{}", f"{path_of(artifact)}/small_blob".encode()))
        status, _, _ = connection.answer()
        assert status < 500 or status in (501, 505)
        connection.ask_if_open("GET", path_of(artifact))
        assert connection.answer()[0] in (0, 200, 400)
    eventually(lambda: untimed(server, artifact) == before)
