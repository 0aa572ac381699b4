"""What a process that was paused longer than its attempt lives can still do when it goes on: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from glare.db.engine import Undone
from glare.db.tables import blobs
from support.conversation import Conversation, eventually
from support.service import Glare, Json, path_of, running

IMAGE = {"container_format": "bare", "disk_format": "raw"}


@pytest.fixture(scope="module")
def glare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """A service whose attempts beat once only, so that a test decides how old they are."""
    settings = "[uploads]\nattempt_heartbeat = 10\nattempt_timeout = 21\n"
    with running(tmp_path_factory.mktemp("dead"), settings) as service:
        yield service
        assert service.leftovers() == {}


def paused_upload(glare: Glare, artifact: Json, blob: str = "image") -> Conversation:
    """An upload of which everybody else must think that it is dead."""
    headers = {"Content-Type": "text/plain", "Content-Length": "8"}
    return Conversation(glare, "PUT", f"{path_of(artifact)}/{blob}", headers)


def let_it_die(glare: Glare) -> None:
    """Make every attempt's last heartbeat older than an attempt lives."""
    heartbeat = blobs.c.attempt_heartbeat

    def age() -> bool:
        with glare.services.db.write() as connection:
            old = blobs.update().where(heartbeat.is_not(None)).values(attempt_heartbeat=heartbeat - 22_000_000)
            return bool(connection.execute(old).rowcount)

    eventually(age)


def test_an_active_artifact_does_not_take_the_bytes_of_a_paused_upload(glare: Glare) -> None:
    """An artifact that was activated while a replacing upload seemed dead keeps its bytes when that upload goes on."""
    artifact = glare.alice.create("images", name="replaced", **IMAGE)
    glare.alice.upload(artifact, "image", b"old")
    with paused_upload(glare, artifact) as paused:
        paused.feed(b"half")
        let_it_die(glare)
        assert glare.alice.activate(artifact)["image"]["size"] == 3
        paused.end(b"half")
        assert paused.answer().status == 409
    assert glare.alice.download(artifact, "image").content == b"old"
    assert glare.alice.show(artifact)["image"]["content_type"] == "application/octet-stream"
    glare.alice.delete(artifact)


@pytest.mark.parametrize("by", ["another upload", "an update"])
def test_a_dead_upload_counts_once(glare: Glare, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """However often the transaction that ends it has to be done again."""
    artifact = glare.alice.create("images", name=by, **IMAGE)
    database, ended = glare.services.db, list[str]()
    write = database.write
    undone = iter([True, True, True])

    @contextmanager
    def write_in_vain() -> Iterator[Connection]:
        with write() as connection:
            yield connection
            if next(undone, False):
                raise Undone("Others were faster.")

    with paused_upload(glare, artifact) as paused:
        paused.feed(b"half")
        let_it_die(glare)
        monkeypatch.setattr(glare.services.metrics, "attempt_ended", ended.append)
        monkeypatch.setattr(database, "write", write_in_vain)
        if by == "another upload":
            glare.alice.upload(artifact, "image", b"new")
        else:
            glare.alice.set(artifact, description="new")
        assert next(undone, None) is None
        assert ended.count("dead") == 1
        paused.end(b"half")
        assert paused.answer().status == 409
    assert ended.count("dead") == 1
    glare.alice.delete(artifact)


def test_a_dead_upload_is_no_data(glare: Glare) -> None:
    """A required blob of which there is only a dead upload is missing when the artifact is to be activated."""
    artifact = glare.alice.create("tosca_templates", name="empty", template_format="x")
    with paused_upload(glare, artifact, "template") as paused:
        paused.feed(b"half")
        let_it_die(glare)
        refused = glare.alice.set(artifact, status="active")
        assert refused.status_code == 403
        assert "'template' is required" in refused.json()["error"]["message"]
        paused.end(b"half")
        assert paused.answer().status == 409
    assert glare.alice.show(artifact)["status"] == "drafted"
    assert glare.alice.show(artifact)["template"] is None
    glare.alice.delete(artifact)


def test_a_deleted_artifact_takes_a_dead_upload_along(glare: Glare) -> None:
    """An artifact with a dead upload can be deleted, and the upload that goes on afterwards leaves nothing."""
    artifact = glare.alice.create("images", name="deleted", **IMAGE)
    with paused_upload(glare, artifact) as paused:
        paused.feed(b"half")
        let_it_die(glare)
        assert glare.alice.delete(artifact).status_code == 204
        paused.end(b"half")
        assert paused.answer().status == 409
    assert glare.usage("wonderland") == (0, 0)
