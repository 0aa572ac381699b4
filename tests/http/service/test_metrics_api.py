"""What Prometheus reads, and who may."""

from __future__ import annotations

import os
import re
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import delete, insert, text, update
from starlette.testclient import TestClient

from glare.db.tables import blobs, jobs, location_hosts
from support.conversation import eventually
from support.origins.origin import Origin
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


def test_work_that_waits_is_counted_and_its_age_told(glare: Glare) -> None:
    """Jobs by kind and state, and how long the first job, host and event that is due has waited."""
    found = numbers(glare)
    assert found['glare_jobs{kind="record",state="waiting"}'] == 0
    assert found["glare_jobs_oldest_seconds"] == found["glare_location_oldest_due_seconds"] == 0
    now = time.time_ns() // 1000
    job = {
        "project": "p", "type_name": "images", "artifact_id": "a", "field": "image", "location_id": "l", "host": "h",
        "payload": b"{}", "tries": 0, "created_at": 0,
    }  # fmt: skip
    rows = [
        job | {"id": "1", "kind": "record", "state": "waiting", "due_at": now - 70_000_000},
        job | {"id": "2", "kind": "record", "state": "waiting", "due_at": now + 10**12},
        job | {"id": "3", "kind": "promote", "state": "running", "due_at": 0},
        job | {"id": "4", "kind": "measure", "state": "done", "due_at": 0},
    ]
    with glare.services.db.write() as connection:
        connection.execute(insert(jobs), rows)
        connection.execute(insert(location_hosts).values(host="h", due_at=now - 50_000_000, failures=0))
    glare.alice.create("images", name="a")
    found = numbers(glare)
    assert found['glare_jobs{kind="record",state="waiting"}'] == 2
    assert found['glare_jobs{kind="promote",state="running"}'] == 1
    assert found['glare_jobs{kind="measure",state="waiting"}'] == 0
    assert 70 <= found["glare_jobs_oldest_seconds"] < 170
    assert 50 <= found["glare_location_oldest_due_seconds"] < 150
    assert 0 < found["glare_outbox_unfanned_oldest_seconds"] < 100
    with glare.services.db.write() as connection:
        connection.execute(delete(jobs))
        connection.execute(delete(location_hosts))


def test_stores_tell_their_space_and_whether_they_answer(glare: Glare) -> None:
    """Free bytes are those of the file system; a store that does not answer is 0 in one gauge, and absent in the
    other.
    """
    place = glare.settings.glance_store.filesystem_store_datadir
    found = numbers(glare)
    assert found['glare_store_up{store="file"}'] == found['glare_store_up{store="database"}'] == 1
    assert found['glare_store_free_bytes{store="file"}'] > 0
    place.rename(place.with_name("aside"))
    found = numbers(glare)
    assert found['glare_store_up{store="file"}'] == 0
    assert 'glare_store_free_bytes{store="file"}' not in found
    place.with_name("aside").rename(place)


def test_process_and_build_are_described(glare: Glare) -> None:
    """Memory, files and start of this process, and what is running."""
    text = glare.client.get("/metrics").text
    assert f'glare_process_resident_bytes{{pid="{os.getpid()}"}}' in text
    assert re.search(r'^glare_build_info\{database="\w+",python="3[^"]*",version="[^"]+"\} 1.0$', text, re.MULTILINE)


def test_numbers_do_not_wait_for_connections_that_requests_hold(tmp_path: Path) -> None:
    """With every connection of the pool in use, gauges and readiness are read all the same: they have one of their
    own.
    """
    text = "[database]\nmax_pool_size = 3\npool_timeout = 0.1\n[api]\nrequest_threads = 1\nlist_threads = 1\n"
    with running(tmp_path, text) as glare, ExitStack() as held:
        for _ in range(3):
            held.enter_context(glare.services.db.read())
        assert numbers(glare)["glare_database_up"] == 1
        assert glare.client.get("/readyz").status_code == 200


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
