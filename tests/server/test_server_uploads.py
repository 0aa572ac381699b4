"""Uploads to a real server: clients that go away, stall, or send too much, and a server that dies."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Iterator

import pytest

from support.conversation import eventually
from support.origins.crooked import Crooked, Visit
from support.server import Raw, Server
from support.service import LOCATION, Json, path_of

SETTINGS = """
[uploads]
attempt_heartbeat = 0.2
attempt_timeout = 1
stall_timeout = 3
minimum_throughput = 1
[scrubber]
wakeup_time = 1
"""

NUMBERS = itertools.count()


def slow(visit: Visit) -> None:
    """Serve a byte, and then nothing."""
    visit.head(200, Content_Length=1000)
    visit.send(b"x")
    visit.hold()


@pytest.fixture(scope="module")
def crooked() -> Iterator[Crooked]:
    with Crooked(slow) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crooked: Crooked) -> Iterator[Server]:
    text = f"allowed_ports = 80, 443, {crooked.port}\n{SETTINGS}"
    with Server(tmp_path_factory.mktemp("uploads"), text) as process:
        yield process
        assert process.leftovers() == {}
        assert "unexpected error" not in process.log


@pytest.fixture
def artifact(server: Server) -> Json:
    """A drafted artifact of Alice's with blobs and a folder."""
    return server.alice.create("sample_artifact", name=f"sample {next(NUMBERS)}", string_required="x")


def status_of(server: Server, artifact: Json, field: str = "blob") -> str | None:
    """Status of a blob, None where there is none."""
    blob = server.alice.show(artifact)[field]
    return blob["status"] if blob else None


def half_sent(server: Server, artifact: Json, length: int | None) -> Raw:
    """A connection with an upload of which half has arrived."""
    connection = server.connect()
    connection.put(artifact, "blob", length)
    if length is None:
        connection.chunk(b"half")
    else:
        connection.send(b"half")
    eventually(lambda: status_of(server, artifact) == "saving")
    return connection


LENGTHS = pytest.mark.parametrize("length", [8, None], ids=["known length", "chunked"])


@LENGTHS
def test_a_client_that_goes_away_leaves_no_trace(server: Server, artifact: Json, length: int | None) -> None:
    """A connection that closes in mid-upload: no blob, no file, no quota; and soon, not after a time-out."""
    before = server.usage("wonderland")[1]
    half_sent(server, artifact, length).hang_up()
    eventually(lambda: status_of(server, artifact) is None, patience=2.8)
    assert server.usage("wonderland")[1] == before
    eventually(lambda: server.leftovers() == {})


@pytest.mark.sqlite  # What the connection does is the same on each database.
@LENGTHS
def test_a_client_that_stalls_is_sent_away(server: Server, artifact: Json, length: int | None) -> None:
    """A body of which nothing arrives for the time-out is 408, the connection is closed, and nothing stays."""
    with half_sent(server, artifact, length) as connection:
        status, _, body = connection.answer()
        assert status == 408
        assert "nothing was stored" in json.loads(body)["error"]["message"]
        assert connection.closed()
    assert status_of(server, artifact) is None
    assert server.leftovers() == {}


@pytest.mark.sqlite  # What the connection does is the same on each database.
def test_a_slow_upload_is_not_a_stalled_one(server: Server, artifact: Json) -> None:
    """A client that sends a little at a time, within the time-out, is heard to the end."""
    with server.connect() as connection:
        connection.put(artifact, "blob", None)
        for _ in range(8):
            connection.chunk(b"piece")
            time.sleep(0.45)
        connection.chunk(b"")
        status, _, _ = connection.answer()
    assert status == 200
    assert server.alice.download(artifact, "blob").content == b"piece" * 8


def test_a_chunked_body_is_stored_whole(server: Server, artifact: Json) -> None:
    """Chunks of any sizes are put together to the bytes that were sent (quirk 22)."""
    pieces = [bytes([number % 256]) * size for number, size in enumerate((1, 70_000, 1 << 20, 3, 2_500_000, 7))]
    with server.connect() as connection:
        connection.put(artifact, "blob", None)
        for piece in pieces:
            connection.chunk(piece)
        connection.chunk(b"")
        status, _, body = connection.answer()
    assert status == 200
    assert json.loads(body)["blob"]["sha256"] == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert server.alice.download(artifact, "blob").content == b"".join(pieces)


def test_a_large_file_is_sent_as_it_was_stored(server: Server) -> None:
    """A whole file goes out through the server's own way of sending files, with all headers; twice on one
    connection.
    """
    data = b"".join(number.to_bytes(8, "big") for number in range(1 << 19))
    image = server.alice.create("images", name="large")
    server.alice.upload(image, "image", data)
    with server.connect() as connection:
        for _ in range(2):
            connection.ask("GET", f"{path_of(image)}/image")
            status, headers, body = connection.answer()
            assert (status, body == data) == (200, True)
            assert headers["content-length"] == str(len(data))
            assert headers["content-md5"] == hashlib.md5(data).hexdigest()
            assert headers["content-disposition"] == 'attachment; filename="large-0.0.0-image"'
            assert "accept-ranges" in headers
        connection.ask("HEAD", f"{path_of(image)}/image")
        status, headers = connection.head()
        assert (status, headers["content-length"]) == (200, str(len(data)))
        connection.ask("GET", f"{path_of(image)}/image", {"Range": "bytes=-5"})
        assert connection.answer()[::2] == (206, data[-5:])


def test_a_client_that_waits_for_a_go_ahead_learns_of_a_limit_first(server: Server, artifact: Json) -> None:
    """With `Expect: 100-continue` a body that is too large is refused before it is sent; one that fits is asked for."""
    with server.connect() as connection:
        connection.put(artifact, "small_blob", 11, Expect="100-continue")
        assert connection.answer()[0] == 413
    with server.connect() as connection:
        connection.put(artifact, "small_blob", 10, Expect="100-continue")
        assert connection.head()[0] == 100
        connection.send(bytes(10))
        assert connection.answer()[0] == 200


SMUGGLED = b"DELETE /artifacts/sample_artifact/%b HTTP/1.1\r\nHost: x\r\nX-Auth-Token: alice:wonderland:member\r\n\r\n"


@pytest.mark.sqlite  # What the connection does is the same on each database.
@pytest.mark.parametrize("sent", ["nothing", "a part", "all", "all and the next request"])
def test_the_body_of_a_refused_upload_is_never_taken_for_a_request(server: Server, artifact: Json, sent: str) -> None:
    """After an early 413 the rest of the body is dropped, or the connection closed: it is no second request."""
    body = SMUGGLED % artifact["id"].encode()
    with server.connect() as connection:
        connection.put(artifact, "small_blob", len(body))
        if sent == "a part":
            connection.send(body[:20])
        elif sent != "nothing":
            connection.send(body)
        if sent == "all and the next request":
            connection.ask_if_open("GET", path_of(artifact))
        assert connection.answer()[0] == 413
        if sent in ("nothing", "a part"):
            connection.send_if_open(body[0 if sent == "nothing" else 20 :])
        if sent != "all and the next request":
            connection.ask_if_open("GET", path_of(artifact))
        status, _, answer = connection.answer()
        assert status in (0, 200), answer
        if status:
            assert json.loads(answer)["id"] == artifact["id"]
    assert server.alice.get(artifact).status_code == 200


@pytest.mark.sqlite  # What the connection does is the same on each database.
@pytest.mark.parametrize("problem", ["wrong token", "no content type", "unknown artifact", "bad digest header"])
def test_a_connection_is_right_after_every_early_refusal(server: Server, artifact: Json, problem: str) -> None:
    """Whatever refuses an upload before its body is read: the next request on the connection is answered for itself."""
    headers: dict[str, object] = {"Content-Type": "text/plain", "Content-Length": 100_000}
    path = f"{path_of(artifact)}/blob"
    if problem == "wrong token":
        headers["X-Auth-Token"] = "nobody"
    elif problem == "no content type":
        del headers["Content-Type"]
    elif problem == "unknown artifact":
        path = "/artifacts/sample_artifact/unknown/blob"
    else:
        headers["Content-MD5"] = "!"
    with server.connect() as connection:
        connection.ask("PUT", path, headers)
        connection.send_if_open(bytes(100_000))
        status, _, _ = connection.answer()
        assert status in (400, 401, 404)
        connection.ask_if_open("GET", path_of(artifact))
        status, _, answer = connection.answer()
        assert status in (0, 200)
        if status:
            assert json.loads(answer)["id"] == artifact["id"]


def test_requests_may_be_pipelined(server: Server, artifact: Json) -> None:
    """Several requests sent at once, an upload among them, are answered in order."""
    with server.connect() as connection:
        connection.put(artifact, "blob", 4)
        connection.send(b"data")
        connection.ask("GET", f"{path_of(artifact)}/blob")
        connection.ask("GET", path_of(artifact))
        answers = [connection.answer() for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 200]
    assert answers[1][2] == b"data"
    assert json.loads(answers[2][2])["blob"]["size"] == 4


def test_a_client_that_goes_away_ends_the_measurement_of_its_location(
    server: Server, crooked: Crooked, artifact: Json
) -> None:
    """While a slow origin is measured the client hangs up: undone at once, not when the origin is given up."""
    body = json.dumps({"url": crooked.url}).encode()
    with server.connect() as connection:
        connection.ask("PUT", f"{path_of(artifact)}/blob", {"Content-Type": LOCATION, "Content-Length": len(body)})
        connection.send(body)
        eventually(lambda: status_of(server, artifact) == "saving" and crooked.visits > 0)
    eventually(lambda: status_of(server, artifact) is None, patience=3)
    eventually(lambda: server.leftovers() == {})


def test_a_server_that_is_killed_leaves_nothing_for_long(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Killed in mid-upload and started again: soon no attempt, no file and no quota is left, old blobs are there."""
    with Server(tmp_path_factory.mktemp("killed"), SETTINGS) as server:
        new, old = (server.alice.create("images", name=name) for name in ("new", "old"))
        server.alice.upload(old, "image", b"old")
        connections = [server.connect(), server.connect()]
        for connection, image in zip(connections, (new, old), strict=True):
            connection.put(image, "image", 3 << 20)
            connection.send(bytes(1_500_000))
        eventually(lambda: len(server.objects()) == 3)
        assert server.usage("wonderland") == (2, 6 << 20)
        server.kill()
        for connection in connections:
            connection.hang_up()
        assert server.leftovers(), "the crash left something"
        server.start()
        assert server.alice.download(old, "image").content == b"old"
        eventually(lambda: server.leftovers() == {})
        assert server.alice.show(new)["image"] is None
        assert server.usage("wonderland") == (2, 3)
        assert server.alice.upload(new, "image", b"again")["image"]["size"] == 5
        assert server.alice.download(old, "image").content == b"old"
