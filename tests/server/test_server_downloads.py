"""Bodies and a real server: what they cost it, slow readers, readers who leave, origins that break in the middle."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from glare.digest import BLOCK
from support.conversation import eventually
from support.origins.crooked import Crooked, Visit, honest
from support.server import Server
from support.service import Json, path_of

pytestmark = pytest.mark.sqlite  # What is sent, and how fast, is the same on each database.

DATA = random.Random(5).randbytes(BLOCK) * 64 + b"tail"
"""Large against what a server may hold of it."""

SMALL = DATA[-3 * BLOCK - 4 :]

MARGIN = 24 * BLOCK
"""Bytes that a download may cost at most: some blocks on their way, and what the allocator keeps."""

STALL = 5
"""Seconds after which a silent peer is given up."""

AT_ONCE = STALL - 1
"""Seconds in which a busy machine does what it does at once, and which are too few for waiting until a peer is given
up."""


@pytest.fixture(scope="module")
def crooked() -> Iterator[Crooked]:
    with Crooked(honest(DATA)) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crooked: Crooked) -> Iterator[Server]:
    text = (
        f"allowed_ports = {crooked.port}\n[uploads]\nmax_concurrent = 3\nmax_waiting = 0\n[DEFAULT]\n"
        f"send_stall_timeout = {STALL}\n"
    )
    with Server(tmp_path_factory.mktemp("downloads"), text) as process:
        yield process
        assert process.leftovers() == {}
        assert "unexpected error" not in process.log


@pytest.fixture(scope="module")
def managed(server: Server) -> Json:
    """An image that Glare stores."""
    return server.alice.upload(server.alice.create("images", name="managed"), "image", DATA)


@pytest.fixture(scope="module")
def external(server: Server, crooked: Crooked) -> Json:
    """An image whose location Glare knows."""
    crooked.behave = honest(DATA)
    return server.alice.locate(server.alice.create("images", name="external"), "image", crooked.url)


@pytest.mark.parametrize(
    ("kind", "asked"),
    [("managed", None), ("managed", "bytes=1-"), ("external", None), ("external", "bytes=1-")],
    ids=["a file", "a range of a file", "an origin", "a range of an origin"],
)
def test_a_slow_reader_costs_no_memory(
    server: Server, crooked: Crooked, request: pytest.FixtureRequest, kind: str, asked: str | None
) -> None:
    """Whoever reads slowly gets every byte, and the server holds a few blocks of it, not the whole."""
    image = request.getfixturevalue(kind)
    crooked.behave = honest(DATA)
    server.alice.download(image, "image", Range="bytes=0-99")
    before = server.memory()
    expected = DATA[1:] if asked else DATA
    with server.connect() as connection:
        connection.ask("GET", f"{path_of(image)}/image", {"Range": asked} if asked else {})
        assert connection.head()[0] == (206 if asked else 200)
        most, received = 0, bytearray()
        while len(received) < len(expected):
            if len(received) < 4 * BLOCK:
                time.sleep(0.005)
                most = max(most, server.memory())
            data = connection.receive(BLOCK)
            assert data, "the server has broken it off"
            received += data
    assert received == expected
    assert most - before < MARGIN


@pytest.mark.parametrize("kind", ["managed", "external"])
def test_readers_who_take_nothing_are_sent_away(
    server: Server, crooked: Crooked, request: pytest.FixtureRequest, kind: str
) -> None:
    """Readers who take no byte for the configured time do not keep others from being served."""
    image = request.getfixturevalue(kind)
    crooked.behave = honest(DATA)
    connections = [server.connect() for _ in range(4)]
    for connection in connections:
        connection.ask("GET", f"{path_of(image)}/image", {"Range": "bytes=1-"})
    time.sleep(0.3)
    eventually(lambda: server.alice.download(image, "image", Range="bytes=0-9").status_code == 206, patience=5 * STALL)
    for connection in connections:
        connection.hang_up()


def test_readers_who_leave_free_their_places(server: Server, crooked: Crooked, external: Json) -> None:
    """A download ends with its reader, and so does the request to the origin: the next ones are served at once."""
    crooked.behave = honest(DATA)
    for _ in range(8):
        with server.connect() as connection:
            connection.ask("GET", f"{path_of(external)}/image")
            assert connection.head()[0] == 200
            assert connection.receive(1000)
    eventually(
        lambda: server.alice.download(external, "image", Range="bytes=0-9").content == DATA[:10], patience=AT_ONCE
    )


def test_an_upload_costs_no_memory(server: Server) -> None:
    """A chunked body is stored while it comes in; the server holds a few blocks of it, not the whole."""
    image = server.alice.create("images", name="uploaded")
    server.alice.upload(server.alice.create("images", name="first"), "image", DATA[: 4 * BLOCK])
    before = most = server.memory()
    with server.connect() as connection:
        connection.put(image, "image", None)
        for number in range(64):
            connection.chunk(DATA[number * BLOCK : (number + 1) * BLOCK])
            if number % 8 == 0:
                most = max(most, server.memory())
        connection.chunk(b"")
        assert connection.answer()[0] == 200
    assert most - before < MARGIN
    assert server.alice.show(image)["image"]["size"] == 64 * BLOCK


def test_more_bodies_than_allowed_are_refused_clearly(server: Server, managed: Json) -> None:
    """While as many bodies are under way as one process works on, another is 503; records are shown all the same."""
    image = server.alice.create("images", name="crowded")
    connections = [server.connect() for _ in range(3)]
    artifacts = [server.alice.create("images", name=f"crowd {number}") for number in range(3)]
    for connection, artifact in zip(connections, artifacts, strict=True):
        connection.put(artifact, "image", 8)
    eventually(lambda: all(server.alice.show(artifact)["image"] for artifact in artifacts))
    response = server.alice.try_upload(image, "image", b"data")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "send it again" in response.json()["error"]["message"]
    assert server.alice.show(image)["image"] is None
    assert server.alice.download(managed, "image", Range="bytes=1-200000").status_code == 503
    connections[0].send(b"12345678")
    assert connections[0].answer()[0] == 200
    server.alice.upload(image, "image", b"data")
    for connection in connections:
        connection.hang_up()
    eventually(lambda: server.leftovers() == {})


def test_a_body_that_breaks_in_the_middle_is_seen_as_broken(server: Server, crooked: Crooked) -> None:
    """When a later block is wrong, the client gets whole true blocks, fewer than announced, and a closed connection."""
    crooked.behave = honest(SMALL)
    image = server.alice.locate(server.alice.create("images", name="breaks"), "image", crooked.url)
    wrong = bytearray(SMALL)
    wrong[2 * BLOCK + 5] ^= 1
    crooked.behave = honest(bytes(wrong))
    with server.connect() as connection:
        connection.ask("GET", f"{path_of(image)}/image")
        status, headers, body = connection.answer()
        assert (status, headers["content-length"]) == (200, str(len(SMALL)))
        assert body == SMALL[: 2 * BLOCK]
        assert connection.closed()
    identified = f"response broken off request_id='{headers['x-openstack-request-id']}'"
    eventually(lambda: identified in server.log)
    wrong[5] ^= 1
    crooked.behave = honest(bytes(wrong))
    with server.connect() as connection:
        connection.ask("GET", f"{path_of(image)}/image")
        status, _, body = connection.answer()
        assert (status, b"OriginFailed" in body) == (502, True)
        connection.ask("GET", path_of(image))
        assert connection.answer()[0] == 200, "a clean error leaves the connection usable"


def test_an_origin_that_stalls_does_not_hold_up_others(server: Server, crooked: Crooked, external: Json) -> None:
    """While some readers wait for a silent origin, short requests are answered."""

    def behave(visit: Visit) -> None:
        visit.head(200, Content_Length=len(DATA))
        visit.hold()

    crooked.behave = behave
    connections = [server.connect() for _ in range(3)]
    for connection in connections:
        connection.ask("GET", f"{path_of(external)}/image")
    time.sleep(0.2)
    began = time.monotonic()
    assert server.alice.get(external).status_code == 200
    assert time.monotonic() - began < AT_ONCE
    for connection in connections:
        connection.hang_up()
    crooked.behave = honest(DATA)
    eventually(lambda: server.alice.download(external, "image", Range="bytes=0-9").status_code == 206, patience=AT_ONCE)
