"""Objects that their store cannot read, and records of blocks that are wrong: what is blamed, marked and repaired."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import delete, select, update

from glare.db.rows import fetch_artifact
from glare.db.tables import blobs, content_blocks, patrols
from glare.operations.blobs.own_bytes import OwnBytes
from glare.operations.reading.checked_blocks import CheckedBlocks
from glare.operations.upkeep.fsck import Check, Finding, Options
from glare.operations.upkeep.patrol import patrol
from support.conversation import Answer, Conversation
from support.origins.crooked import Crooked, honest
from support.service import LOCATION, Glare, Json, path_of, running

MIB = 1 << 20
DATA = secrets.token_bytes(2 * MIB + 7)
IN_DATABASE = "[artifact_type:images]\ndefault_store = database\n"
V2 = {"OpenStack-API-Version": "artifact 1.2"}


@pytest.fixture
def glare(tmp_path: Path) -> Iterator[Glare]:
    with running(tmp_path, "[patrol]\nrate = 0\n") as service:
        yield service


def image(glare: Glare, data: bytes = DATA, actor: str = "alice") -> Json:
    """An active image with these bytes."""
    owner = getattr(glare, actor)
    made = owner.create("images", name=secrets.token_hex(4), disk_format="raw", container_format="bare")
    owner.upload(made, "image", data)
    return cast(Json, owner.activate(made))


def row(glare: Glare, artifact: Json) -> Any:
    with glare.services.db.read() as connection:
        wanted = select(blobs.c.store, blobs.c.object, blobs.c.damage).where(
            blobs.c.artifact_id == artifact["id"], blobs.c.object.is_not(None)
        )
        return connection.execute(wanted).one()


def walk(glare: Glare) -> None:
    """A whole round of the patrol, as if the last one were long ago."""
    with glare.services.db.write() as connection:
        connection.execute(delete(patrols))
    patrol(glare.services, threading.Event())


class BadSector:
    """A reader that meets an error of the medium."""

    def read(self, n: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/srv/somewhere/else")

    def close(self) -> None:
        pass


@contextmanager
def failing(glare: Glare, is_bad: Callable[[str], bool], how: str = "read", times: int = 1 << 30) -> Iterator[None]:
    """The file store, whose medium fails under some objects, `times` times in all."""
    driver = vars(glare.services.stores["file"])["_driver"]
    left = [times]
    original = getattr(driver, "open" if how == "read" else how)

    def call(name: str, *rest: Any) -> Any:
        if is_bad(name) and left[0]:
            left[0] -= 1
            if how == "read":
                return BadSector()
            raise OSError(errno.EIO, os.strerror(errno.EIO), "/srv/somewhere/else")
        return original(name, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "open" if how == "read" else how, call)
        yield


def ready(glare: Glare) -> tuple[int, list[str]]:
    answer = glare.stranger.request("GET", "/readyz")
    return answer.status_code, list(answer.json().get("problems", ()))


def found_by_fsck(glare: Glare) -> list[Finding]:
    found: list[Finding] = []
    Check(glare.services, Options(0, 3600.0, restart=True), found.append, lambda _: None).run(["file"])
    return found


@pytest.mark.parametrize("how", ["read", "open", "size"])
def test_the_patrol_marks_what_cannot_be_read_and_repairs_it(glare: Glare, how: str) -> None:
    """One object under which the disk fails is marked and reported, and gets the bytes of an equal blob; another node's
    reader is served again.
    """
    bad, equal, other = image(glare), image(glare, actor="bob"), image(glare, b"something else")
    name = row(glare, bad).object
    with failing(glare, lambda one: one == name, how):
        walk(glare)
        assert row(glare, bad).damage is None
        assert row(glare, bad).object not in (name, row(glare, equal).object)
        assert glare.alice.download(bad, "image").content == DATA
    assert glare.events()[-2:] == ["blob_damaged", "blob_recovered"]
    entries = glare.admin.request("GET", f"/audit?artifact={bad['id']}&action=blob_damaged").json()["audit"]
    assert [entry["detail"]["damage"] for entry in entries] == ["unreadable"]
    assert "Input/output error" in entries[0]["detail"]["found"]
    assert row(glare, other).damage is None


def test_without_an_equal_blob_it_is_marked_and_refused_until_it_is_read_again(glare: Glare) -> None:
    """Nothing is served of it, with a sentence that says so; once the disk reads it, the next round takes the mark
    away.
    """
    bad, other = image(glare), image(glare, b"something else")
    name = row(glare, bad).object
    with failing(glare, lambda one: one == name):
        walk(glare)
        assert row(glare, bad).damage == "unreadable"
    answer = glare.alice.download(bad, "image")
    assert (answer.status_code, answer.headers["x-glare-error-code"]) == (500, "BlobDamaged")
    assert "cannot be read" in answer.json()["error"]["message"]
    assert glare.alice.download(other, "image").content == b"something else"
    walk(glare)
    assert row(glare, bad).damage is None
    assert glare.alice.download(bad, "image").content == DATA


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_read_the_second_time_is_sound(glare: Glare, times: int) -> None:
    """An error that passes is none of the object's, in a round, a check or a download: only the second one in a row
    counts.
    """
    made = image(glare)
    for look in (walk, found_by_fsck, lambda service: service.alice.download(made, "image")):
        with failing(glare, lambda _: True, times=1):
            look(glare)
        assert row(glare, made).damage is None
    assert "blob_damaged" not in glare.events()


def test_a_store_that_reads_nothing_marks_nothing(glare: Glare) -> None:
    """Where the disk fails under all objects, none of them is blamed: the round waits, and a check ends with the
    reason.
    """
    made = [image(glare, secrets.token_bytes(9)) for _ in range(3)]
    with failing(glare, lambda _: True):
        walk(glare)
        answers = [glare.alice.download(one, "image").status_code for one in made]
        assert ready(glare) == (503, ["store file"])
    assert answers == [503, 503, 503]
    assert ready(glare) == (200, [])
    assert [row(glare, one).damage for one in made] == [None, None, None]
    walk(glare)
    assert (
        'glare_patrolled_blobs_total{outcome="equal",store="file"} 3.0'
        in glare.stranger.request("GET", "/metrics").text
    )


@pytest.mark.parametrize(
    "number", [errno.EROFS, errno.ENOSPC, errno.EIO, errno.EACCES], ids=errno.errorcode.__getitem__
)
def test_a_round_goes_by_whether_the_store_can_be_read(
    glare: Glare, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes no data is read like any other; one that cannot be used is left to the next time, and the
    other stores have their round.
    """
    made = image(glare)
    glare.services.stores["file"].check()
    driver = vars(glare.services.stores["file"])["_driver"]

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(driver, "check", fail)
    walk(glare)
    with glare.services.db.read() as connection:
        rounds = {one.store: one.finished_at for one in connection.execute(select(patrols))}
    assert (rounds["file"] is not None) == (number in (errno.EROFS, errno.ENOSPC))
    assert rounds["database"] is not None
    assert row(glare, made).damage is None


@pytest.mark.parametrize("call", ["glare.stores.filesystem.os.link", "glare.stores.filesystem.Path.read_bytes"])
def test_a_disk_that_fails_makes_the_node_not_ready(glare: Glare, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a store's own files cannot be read or written any more, /readyz is 503 and names the store."""
    assert ready(glare) == (200, [])

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(call, fail)
    assert ready(glare) == (503, ["store file"])
    monkeypatch.undo()
    assert ready(glare) == (200, [])


def test_one_bad_object_leaves_the_node_ready(glare: Glare) -> None:
    """However often an object is asked for that cannot be read, its node is ready."""
    bad, _ = image(glare), image(glare, b"something else")
    name = row(glare, bad).object
    with failing(glare, lambda one: one == name):
        assert [glare.alice.download(bad, "image").status_code for _ in range(5)] == [500] * 5
        assert ready(glare) == (200, [])


def test_fsck_marks_what_alone_cannot_be_read(glare: Glare) -> None:
    """A check by hand finds the same, and takes the mark away as well."""
    bad, _ = image(glare), image(glare, b"something else")
    name = row(glare, bad).object
    with failing(glare, lambda one: one == name):
        assert [finding.kind for finding in found_by_fsck(glare)] == ["unreadable"]
        assert row(glare, bad).damage == "unreadable"
    assert [finding.kind for finding in found_by_fsck(glare)] == ["recovered"]
    assert row(glare, bad).damage is None


@pytest.mark.parametrize("copies", [0, 1])
def test_a_reader_goes_on_at_the_next_equal_blob(glare: Glare, copies: int) -> None:
    """An object under which the disk fails is marked by who wanted to read it; an equal blob delivers."""
    bad = image(glare)
    name = row(glare, bad).object
    for _ in range(copies):
        image(glare)
    image(glare, b"something else")
    with failing(glare, lambda one: one == name):
        answers = [glare.alice.download(bad, "image") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200 if copies else 500] * 2
    assert all(answer.content == DATA for answer in answers) == bool(copies)
    assert row(glare, bad).damage == "unreadable"
    numbers = glare.stranger.request("GET", "/metrics").text
    assert 'glare_stored_bytes_failures_total{reason="unreadable",store="file"} 1.0' in numbers


SHA256 = hashlib.sha256(DATA).hexdigest()
_DIGESTS = select(content_blocks.c.digests).where(content_blocks.c.sha256 == SHA256)


def spoil_record(glare: Glare) -> bytes:
    """Damage the row of block digests; returns what it was."""
    with glare.services.db.write() as connection:
        before = connection.execute(_DIGESTS).scalar_one()
        connection.execute(
            update(content_blocks).where(content_blocks.c.sha256 == SHA256).values(digests=bytes(32) + before[32:])
        )
    return bytes(before)


def recorded(glare: Glare) -> bytes:
    with glare.services.db.read() as connection:
        return bytes(connection.execute(_DIGESTS).scalar_one())


def get(glare: Glare, artifact: Json, path: str = "image") -> Answer:
    with Conversation(glare, "GET", f"{path_of(artifact)}/{path}", V2) as download:
        download.end()
        return download.answer()


@pytest.mark.parametrize("store", ["file", "database"])
@pytest.mark.parametrize("copies", [0, 1])
def test_a_wrong_record_of_blocks_condemns_no_bytes(tmp_path: Path, store: str, copies: int) -> None:
    """Bytes that are right as a whole are served although their record contradicts them, and it is the record that is
    put right.
    """
    with running(tmp_path, IN_DATABASE if store == "database" else "") as glare:
        made = [image(glare) for _ in range(copies + 1)]
        before = spoil_record(glare)
        answer = get(glare, made[0])
        assert (answer.status, answer.complete, answer.body == DATA) == (200, True, True)
        assert [row(glare, one).damage for one in made] == [None] * len(made)
        assert recorded(glare) == before
        assert "blob_damaged" not in glare.events()


def test_bytes_and_record_that_are_both_wrong_are_told_apart(glare: Glare) -> None:
    """Of two equal blobs the damaged one is marked and the right one served, also where the record is wrong too."""
    bad, good = image(glare), image(glare)
    path = next(file for file in glare.objects() if file.name == row(glare, bad).object)
    path.write_bytes(DATA[:5] + bytes([DATA[5] ^ 1]) + DATA[6:])
    before = spoil_record(glare)
    assert get(glare, bad).body == DATA
    assert [row(glare, one).damage for one in (bad, good)] == ["differs", None]
    assert recorded(glare) == before


def test_a_reader_that_leaves_ends_the_proof(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object is read whole for as long as somebody waits for it; who leaves marks nothing."""
    made = image(glare)
    spoil_record(glare)
    read: list[int] = []

    original = OwnBytes._require_wanted

    def leave(own: OwnBytes, size: int) -> None:
        read.append(size)
        if len(read) == 3:  # Twice the block, then the first one of the whole.
            own.cancel()
        original(own, size)

    monkeypatch.setattr(OwnBytes, "_require_wanted", leave)
    with Conversation(glare, "GET", f"{path_of(made)}/image") as download:
        download.end()
        download.wait()
    assert len(read) == 3
    assert row(glare, made).damage is None
    monkeypatch.undo()
    assert get(glare, made).body == DATA


def replicas(glare: Glare, origin: Crooked) -> Json:
    """An active image with one replica that is stored, and one at an origin."""
    made = glare.alice.create("images", name=secrets.token_hex(4), disk_format="raw", container_format="bare")
    path = f"{path_of(made)}/locations"
    body = json.dumps({"url": origin.url}).encode()
    answer = glare.alice.request("PUT", f"{path}/outside", content=body, headers={"Content-Type": LOCATION, **V2})
    assert answer.status_code == 200, answer.text
    octets = {"Content-Type": "application/octet-stream", **V2}
    assert glare.alice.request("PUT", f"{path}/stored", content=DATA, headers=octets).status_code == 200
    return glare.alice.activate(made)


@pytest.mark.parametrize("fault", ["record", "bytes", "medium", "on the way"])
def test_a_stored_replica_of_an_origin_is_judged_with_care(tmp_path: Path, fault: str) -> None:
    """Where an origin does not deliver, its stored replica does: a wrong record, and a fault that passes, condemn
    nothing.
    """
    with Crooked(honest(DATA)) as origin, running(tmp_path, ports=(80, 443, origin.port)) as glare:
        made = replicas(glare, origin)
        image(glare, b"something else")
        name = row(glare, made).object
        path = next(file for file in glare.objects() if file.name == name)
        before = recorded(glare)
        if fault == "record":
            spoil_record(glare)
        elif fault == "bytes":
            path.write_bytes(DATA[:5] + bytes([DATA[5] ^ 1]) + DATA[6:])
        bad = {"medium": 1 << 30, "on the way": 1}.get(fault, 0)
        with failing(glare, lambda one: one == name, times=bad):
            answer = get(glare, made, "locations/outside")
            assert (answer.status, answer.body == DATA) == (200, True)
            with glare.services.db.read() as connection:
                artifact = fetch_artifact(connection, made["id"])
            assert artifact is not None
            stored = [blob for blob in artifact.blobs.values() if not blob.external]
            outside = [blob for blob in artifact.blobs.values() if blob.external]
            blocks = CheckedBlocks(glare.services, [*stored, *outside], 0, 2)
            blocks.charged = False
            got = b"".join(blocks.read(number) for number in range(3))
            blocks.close()
        assert got == DATA
        expected = {"bytes": "differs", "medium": "unreadable"}.get(fault)
        assert row(glare, made).damage == expected
        assert recorded(glare) == before


@pytest.mark.sqlite
def test_a_damage_of_a_later_release_is_some_damage(glare: Glare) -> None:
    """Two releases run beside each other during an upgrade: a word that this one does not know fails no list."""
    made = image(glare)
    with glare.services.db.write() as connection:
        connection.execute(update(blobs).values(damage="eaten"))
    assert [one["id"] for one in glare.alice.page("images")["artifacts"]] == [made["id"]]
    refused = glare.alice.request("GET", f"{path_of(made)}/image")
    assert (refused.status_code, refused.headers["X-Glare-Error-Code"]) == (500, "BlobDamaged")
