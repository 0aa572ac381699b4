"""A server that is told to stop while it works."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from support.conversation import eventually
from support.origins.crooked import Crooked, Visit
from support.server import Raw, Server
from support.service import LOCATION, Json, path_of

pytestmark = pytest.mark.sqlite  # How a server ends is the same on each database.

SETTINGS = "[scrubber]\nwakeup_time = 1\n[DEFAULT]\nshutdown_timeout = {}\n"
LONG, SHORT = 600, 1


def slow(visit: Visit) -> None:
    """Serve a byte, and then nothing."""
    visit.head(200, Content_Length=1000)
    visit.send(b"x")
    visit.hold()


def under_way(server: Server, artifact: Json) -> Raw:
    """A connection with an upload of which half has arrived."""
    connection = server.connect()
    connection.put(artifact, "image", 8)
    connection.send(b"half")
    eventually(lambda: server.alice.show(artifact)["image"] is not None)
    return connection


def refusal(connection: Raw) -> str:
    """The message of a 503, after which the connection is closed."""
    status, headers, body = connection.answer()
    assert (status, headers["connection"]) == (503, "close")
    error = json.loads(body)["error"]
    assert error["type"] == "Unavailable"
    assert connection.closed()
    return str(error["message"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_uploads_under_way_are_finished(tmp_path: Path, number: signal.Signals) -> None:
    """Told to stop, it refuses new requests by a 503, says so when it is asked whether it is ready, and ends after its
    uploads.
    """
    with Server(tmp_path, SETTINGS.format(LONG)) as server:
        image = server.alice.create("images", name="slow")
        with under_way(server, image) as upload, server.connect() as idle, server.connect() as asking:
            for connection in (idle, asking):
                connection.ask("GET", "/healthz")
                assert connection.answer()[0] == 200
            server.stop(number)
            if number is signal.SIGTERM:  # Ctrl-C reaches each process, and closes what is idle.
                eventually(lambda: "stopping" in server.client.get("/readyz").text)
                idle.ask("GET", path_of(image))
                assert "stopping" in refusal(idle)
                asking.ask("PUT", f"{path_of(image)}/image", {"Content-Length": 3, "Content-Type": "text/plain"})
                asking.send(b"new")
                assert "stopping" in refusal(asking)
            upload.send(b"more")
            status, _, body = upload.answer()
            assert (status, json.loads(body)["image"]["size"]) == (200, 8)
        assert server.wait() == 0
        assert server.leftovers() == {}
        assert server.usage("wonderland") == (1, 8)
        assert [path.read_bytes() for path in server.objects()] == [b"halfmore"]


def test_what_takes_too_long_is_broken_off(tmp_path: Path) -> None:
    """Uploads and measurements that are not done in time are answered 503 and undone, and the server ends with 0."""
    with (
        Crooked(slow) as crooked,
        Server(tmp_path, f"allowed_ports = {crooked.port}\n{SETTINGS.format(SHORT)}") as server,
    ):
        new, old, located = (server.alice.create("images", name=name) for name in ("new", "old", "located"))
        server.alice.upload(old, "image", b"old")
        body = json.dumps({"url": crooked.url}).encode()
        with server.connect() as first, server.connect() as second, server.connect() as third:
            for connection, image in ((first, new), (second, old)):
                connection.put(image, "image", 3 << 20)
                connection.send(bytes(1_500_000))
            third.ask("PUT", f"{path_of(located)}/image", {"Content-Type": LOCATION, "Content-Length": len(body)})
            third.send(body)
            eventually(lambda: len(server.objects()) == 3 and crooked.visits > 0)
            server.stop(signal.SIGTERM)
            for connection in (first, second, third):
                assert "waited 1 s" in refusal(connection)
        assert server.wait() == 0
        assert server.leftovers() == {}
        assert server.usage("wonderland") == (3, 3)
        assert len(server.objects()) == 1


def test_a_killed_first_process_takes_the_others_along(tmp_path: Path) -> None:
    """Nobody serves on without it; started again at once, the service has its port, its data and its background
    work.
    """
    text = SETTINGS.format(LONG).replace("[DEFAULT]", "[DEFAULT]\nworkers = 2")
    with Server(tmp_path, text) as server:
        image = server.alice.create("images", name="kept")
        with under_way(server, server.alice.create("images", name="lost")) as upload:
            server.kill_first()
            assert upload.closed()
            server.start()
        assert server.alice.show(image)["name"] == "kept"
        server.kill_first()
        eventually(lambda: server.processes() == 0)


def test_balancers_have_time_to_go_elsewhere(tmp_path: Path) -> None:
    """With a lead time, a service that is told to stop says so when it is asked whether it is ready, and goes on
    serving; Ctrl-C waits for nobody.
    """
    text = SETTINGS.format(SHORT) + f"shutdown_lead_time = {LONG}\n"
    with Server(tmp_path, text) as server:
        assert server.client.get("/readyz").status_code == 200
        server.stop(signal.SIGTERM)
        eventually(lambda: server.client.get("/readyz").status_code == 503)
        assert "stopping" in server.client.get("/readyz").text
        image = server.alice.create("images", name="late")
        server.alice.upload(image, "image", b"in time")
        assert server.alice.download(image, "image").content == b"in time"
        with Server(tmp_path / "other", text) as other:
            other.stop(signal.SIGINT)
            assert other.wait() == 0
