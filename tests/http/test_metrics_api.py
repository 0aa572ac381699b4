"""What Prometheus reads, and who may."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text, update
from starlette.testclient import TestClient

from glare.db.tables import blobs
from support.conversation import eventually
from support.origin import Origin
from support.service import Glare, path_of, running


def numbers(glare: Glare) -> dict[str, float]:
    """All samples by name and labels, as they are written."""
    answer = glare.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    list(text_string_to_metric_families(answer.text))
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


BLOB = "/artifacts/{type_name}/{id}/{blob_path:path}"


def test_requests_are_counted_by_route(glare: Glare) -> None:
    """Requests, seconds and bytes are counted by the route, whatever ids and names are in the path."""
    artifact = glare.alice.create("images", name="a")
    for data in (b"12345", b"123"):
        glare.alice.upload(artifact, "image", data)
    for number in range(5):
        glare.alice.request("GET", f"/nowhere/{number}")
        glare.alice.request(f"BREW{number}", "/schemas")
    found = numbers(glare)
    assert found[f'glare_http_requests_total{{method="PUT",route="{BLOB}",status="200"}}'] == 2
    assert found[f'glare_http_request_seconds_count{{method="PUT",route="{BLOB}"}}'] == 2
    assert found[f'glare_http_received_bytes_total{{route="{BLOB}"}}'] == 8
    assert found[f'glare_http_sent_bytes_total{{route="{BLOB}"}}'] > 100
    assert found['glare_http_requests_total{method="GET",route="none",status="404"}'] == 5
    assert found['glare_http_requests_total{method="other",route="/schemas",status="405"}'] == 5
    assert found['glare_attempts_ended_total{outcome="published"}'] == 2
    assert found['glare_store_bytes_total{action="write",store="file"}'] == 8
    assert not any(artifact["id"] in name or "nowhere" in name for name in found)


def test_a_failed_upload_is_counted(glare: Glare) -> None:
    """An attempt that was undone is counted, and nothing is under way afterwards."""
    artifact = glare.alice.create("images", name="a")
    answer = glare.alice.try_upload(artifact, "image", b"data", headers={"Content-MD5": "0" * 32})
    assert answer.status_code == 400
    found = numbers(glare)
    assert found['glare_attempts_ended_total{outcome="undone"}'] == 1
    assert found['glare_transfers_under_way{kind="upload"}'] == 0


def test_outbound_requests_are_counted_without_their_host(glare: Glare, origin: Origin) -> None:
    """Requests to origins are counted by outcome; a download that differs from the record is counted by itself."""
    origin.put("/file", b"data")
    artifact = glare.alice.create("sample_artifact", name="a", string_required="x")
    glare.alice.locate(artifact, "blob", origin.url("/file"), md5=None)
    assert glare.alice.try_locate(artifact, "small_blob", origin.url("/missing"), md5=None).status_code == 400
    origin.put("/file", b"evil")
    assert glare.alice.download(artifact, "blob").status_code == 502
    found = numbers(glare)
    assert found['glare_egress_requests_total{outcome="failed"}'] == 1
    assert sum(value for name, value in found.items() if name.startswith("glare_egress_requests_total")) == 3
    assert found["glare_egress_received_bytes_total"] >= 8
    assert found["glare_verified_download_failures_total"] == 1
    assert not any("127.0.0.1" in name for name in found)


def test_queue_depths_are_those_of_this_moment(glare: Glare) -> None:
    """Events, attempts, dead attempts and doomed objects are what the database holds when somebody asks."""
    artifact = glare.alice.create("images", name="a")
    found = numbers(glare)
    assert found["glare_outbox_events"] == 1
    assert 0 <= found["glare_outbox_oldest_seconds"] < 100
    assert found["glare_database_up"] == 1
    assert (found["glare_attempts"], found["glare_dead_attempts"], found["glare_doomed_objects"]) == (0, 0, 0)
    glare.alice.upload(artifact, "image", b"data")
    now = time.time_ns() // 1000
    with glare.services.db.write() as connection:
        connection.execute(update(blobs).values(attempt_heartbeat=now))
        connection.execute(
            text("INSERT INTO doomed_objects (store, object, not_before, tries) VALUES ('file', '0', :far, 0)"),
            {"far": now + 10**12},
        )
    found = numbers(glare)
    assert (found["glare_attempts"], found["glare_dead_attempts"], found["glare_doomed_objects"]) == (1, 0, 1)
    with glare.services.db.write() as connection:
        connection.execute(update(blobs).values(attempt_heartbeat=1))
    assert numbers(glare)["glare_dead_attempts"] == 1
    with glare.services.db.write() as connection:
        connection.execute(update(blobs).values(attempt_heartbeat=None))
        connection.execute(text("DELETE FROM doomed_objects"))


def test_a_database_that_fails_leaves_the_other_numbers(glare: Glare) -> None:
    """When the queues cannot be read, that is a number of its own and the rest is answered."""
    with glare.services.db.write() as connection:
        connection.execute(text("ALTER TABLE outbox RENAME TO elsewhere"))
    found = numbers(glare)
    assert found["glare_database_up"] == 0
    assert "glare_outbox_events" not in found
    with glare.services.db.write() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO outbox"))


def test_connections_in_use_are_counted(glare: Glare) -> None:
    """A transaction that is open shows as a connection in use."""
    before = numbers(glare)["glare_database_connections_in_use"]
    with glare.services.db.read():
        assert numbers(glare)["glare_database_connections_in_use"] == before + 1
    eventually(lambda: numbers(glare)["glare_database_connections_in_use"] == before)


@pytest.mark.parametrize("peer", ["192.0.2.1", "::2", "testclient"])
def test_others_are_refused(glare: Glare, peer: str) -> None:
    """By default the machine itself reads metrics, and nobody else."""
    client = TestClient(glare.client.app, client=(peer, 1))
    answer = client.get("/metrics")
    assert answer.status_code == 403
    assert "[metrics] allowed_peers" in answer.json()["error"]["message"]
    assert "glare_" not in answer.text


@pytest.mark.parametrize("peer", ["127.0.0.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_let_in(glare: Glare, peer: str) -> None:
    """Loopback is this machine, in whichever spelling."""
    assert TestClient(glare.client.app, client=(peer, 1)).get("/metrics").status_code == 200


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_a_proxy_does_not_open_metrics_to_the_world(glare: Glare, header: str) -> None:
    """A request that a proxy on this machine has passed on is refused."""
    assert glare.client.get("/metrics", headers={header: "192.0.2.1"}).status_code == 403


def test_metrics_can_be_switched_off(tmp_path: Path) -> None:
    """With `enabled = false` there is nothing to read, and the service works."""
    with running(tmp_path, "[metrics]\nenabled = false\n") as glare:
        glare.alice.create("images", name="a")
        assert glare.client.get("/metrics").status_code == 404


def test_allowed_peers_are_the_operators(tmp_path: Path) -> None:
    """A network that the option names is let in, and what it does not name is not."""
    with running(tmp_path, "[metrics]\nallowed_peers = 192.0.2.0/24\n") as glare:
        assert TestClient(glare.client.app, client=("192.0.2.7", 1)).get("/metrics").status_code == 200
        assert glare.client.get("/metrics").status_code == 403


def test_labels_are_bounded(glare: Glare, origin: Origin) -> None:
    """However many artifacts, names and blobs there are, the number of series stays the same."""
    origin.put("/file", b"data")

    def once(name: str) -> None:
        artifact = glare.alice.create("sample_artifact", name=name, string_required="x")
        glare.alice.upload(artifact, f"dict_of_blobs/{name}", b"data")
        glare.alice.locate(artifact, "blob", origin.url("/file"), md5=None)
        glare.alice.download(artifact, f"dict_of_blobs/{name}")
        glare.alice.page("images", f"name={name}")
        glare.alice.delete(artifact)
        assert glare.alice.request("GET", path_of(artifact)).status_code == 404

    once("a")
    numbers(glare)
    before = numbers(glare).keys()
    for number in range(3):
        once(f"n{number}")
    assert numbers(glare).keys() == before
    assert all(re.fullmatch(r"glare_[a-z_]+(\{.*\})?", name) for name in before)
