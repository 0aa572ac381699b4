"""Checking stored bytes: what is found, marked, reported and repaired, and how an interrupted check goes on."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import delete, select, update

from glare.db.tables import blobs, fsck_runs, stored_chunks
from glare.domain.blob import Managed
from glare.errors import Conflict, NotFound, Unavailable
from glare.operations.services import Services
from glare.operations.upkeep.fsck import Check, Finding, Options, Progress, Summary, Throttle
from glare.stores.filesystem import MARKER
from support.service import Glare, Json, running

MIB = 1 << 20
KINDS = "[artifact_type:heat_templates]\ndefault_store = database\n"
EVERYTHING = Options(rate=0, orphan_age=0)


@pytest.fixture
def glare(tmp_path: Path) -> Iterator[Glare]:
    with running(tmp_path, KINDS) as service:
        yield service


def check(services: Services, options: Options = EVERYTHING, *stores: str) -> tuple[list[Finding], Summary]:
    """Findings and counts of a whole check, of all stores where none is named."""
    found: list[Finding] = []
    summary = Check(services, options, found.append, lambda _: None).run(stores or list(services.stores))
    return found, summary


def image(glare: Glare, data: bytes) -> Json:
    """An active image with this data."""
    made = glare.alice.create("images", name=secrets.token_hex(4), disk_format="raw", container_format="bare")
    glare.alice.upload(made, "image", data)
    return glare.alice.activate(made)


def template(glare: Glare, data: bytes) -> Json:
    """An active template, whose data is in the database."""
    made = glare.alice.create("heat_templates", name=secrets.token_hex(4))
    glare.alice.upload(made, "template", data)
    return glare.alice.activate(made)


def file_of(glare: Glare, artifact: Json) -> Path:
    """The file that has an artifact's data."""
    with glare.services.db.read() as connection:
        name = connection.execute(select(blobs.c.object).where(blobs.c.artifact_id == artifact["id"])).scalar_one()
    [path] = [path for path in glare.objects() if path.name == name]
    return path


def test_what_is_as_recorded_is_left_alone(glare: Glare) -> None:
    """Sound blobs of every size and store give no finding; nothing of the check is left, and nothing changes."""
    made = [image(glare, data) for data in (b"", b"x", secrets.token_bytes(2 * MIB + 1))] + [
        template(glare, b"y" * MIB)
    ]
    before = [glare.alice.show(artifact) for artifact in made]
    found, summary = check(glare.services)
    assert (found, summary.sound) == ([], True)
    assert summary.counts == {"blobs": 4, "bytes": 3 * MIB + 2, "objects": 4}
    assert [glare.alice.show(artifact) for artifact in made] == before
    with glare.services.db.read() as connection:
        assert connection.execute(select(fsck_runs)).all() == []


def test_a_changed_byte_is_found_marked_and_never_served(glare: Glare) -> None:
    """A file with one other bit of the same size: the block is named, downloads of all kinds are refused, others go
    on.
    """
    data = secrets.token_bytes(3 * MIB + 5)
    bad, good = image(glare, data), image(glare, b"sound")
    path = file_of(glare, bad)
    raw = bytearray(data)
    raw[2 * MIB + 17] ^= 1
    path.write_bytes(raw)
    found, summary = check(glare.services)
    [finding] = found
    assert (finding.kind, finding.blob, summary.sound) == ("differs", f"images/{bad['id']}/image", False)
    assert finding.location == Managed("file", path.name)
    assert f"within bytes {2 * MIB} to {3 * MIB - 1}" in finding.detail
    for headers in ({}, {"Range": "bytes=0-9"}, {"If_None_Match": '"x"'}):
        answer = glare.alice.download(bad, "image", **headers)
        assert answer.status_code == 500
        assert answer.headers["x-glare-error-code"] == "BlobDamaged"
        assert "'image' are not those that were recorded" in answer.json()["error"]["message"]
    assert glare.alice.request("HEAD", f"/artifacts/images/{bad['id']}/image").status_code == 500
    assert glare.alice.download(good, "image").content == b"sound"
    assert glare.alice.show(bad)["image"]["status"] == "active"


def test_what_is_restored_is_served_again(glare: Glare) -> None:
    """Once an operator has put the right bytes back, the next check takes the mark away."""
    made = image(glare, b"the right bytes")
    path = file_of(glare, made)
    path.write_bytes(b"the wrong bytes")
    check(glare.services)
    assert [finding.kind for finding in check(glare.services)[0]] == ["differs"]
    path.write_bytes(b"the right bytes")
    assert glare.alice.download(made, "image").status_code == 500
    found, summary = check(glare.services)
    assert [finding.kind for finding in found] == ["recovered"]
    assert summary.sound
    assert glare.alice.download(made, "image").content == b"the right bytes"
    assert check(glare.services)[0] == []


def test_a_missing_object_is_404_for_head_too(glare: Glare) -> None:
    """A lost file is found and marked; HEAD, which reads no byte, no longer says that all is well."""
    made = image(glare, b"lost")
    path = file_of(glare, made)
    path.unlink()
    assert glare.alice.request("HEAD", f"/artifacts/images/{made['id']}/image").status_code == 200
    [finding], _ = check(glare.services)
    assert (finding.kind, finding.blob) == ("missing", f"images/{made['id']}/image")
    assert glare.alice.request("HEAD", f"/artifacts/images/{made['id']}/image").status_code == 404
    answer = glare.alice.download(made, "image")
    assert answer.status_code == 404
    assert "are lost" in answer.json()["error"]["message"]


def test_a_shorter_file_is_found_by_the_download_itself(glare: Glare) -> None:
    """A file that was cut off is refused before the first byte, before any check has seen it."""
    made = image(glare, secrets.token_bytes(MIB))
    path = file_of(glare, made)
    path.write_bytes(path.read_bytes()[:-1])
    assert glare.alice.download(made, "image").status_code == 500
    [finding], _ = check(glare.services)
    assert finding.kind == "differs"
    assert f"it has {MIB - 1} bytes, and {MIB} were recorded" in finding.detail


def test_bytes_in_the_database_are_checked_too(glare: Glare) -> None:
    """A chunk with another byte differs, and one that is gone is missing."""
    changed, lost = template(glare, b"a" * (MIB + 3)), template(glare, b"b" * (MIB + 3))
    with glare.services.db.write() as connection:
        tail = stored_chunks.c.sequence == 1
        connection.execute(update(stored_chunks).where(tail, stored_chunks.c.data == b"aaa").values(data=b"aXa"))
        connection.execute(delete(stored_chunks).where(tail, stored_chunks.c.data == b"bbb"))
    found, _ = check(glare.services)
    assert {finding.blob: finding.kind for finding in found} == {
        f"heat_templates/{changed['id']}/template": "differs",
        f"heat_templates/{lost['id']}/template": "missing",
    }
    assert glare.alice.download(changed, "template").status_code == 500
    assert glare.alice.download(lost, "template").status_code == 404


def test_what_a_check_marks_is_told(glare: Glare) -> None:
    """Marks are in the audit log, done by the service, are events for subscribers, and are counted for metrics; each
    once.
    """
    made = image(glare, b"bytes")
    path = file_of(glare, made)
    path.write_bytes(b"other")
    check(glare.services)
    check(glare.services)
    gauge = "glare_damaged_blobs 1.0"
    assert gauge in glare.stranger.request("GET", "/metrics").text
    path.write_bytes(b"bytes")
    check(glare.services)
    assert gauge not in glare.stranger.request("GET", "/metrics").text
    entries = glare.admin.request("GET", f"/audit?artifact={made['id']}").json()["audit"]
    assert [(entry["action"], entry["target"], entry["user"]) for entry in entries[:2]] == [
        ("blob_recovered", "image", None),
        ("blob_damaged", "image", None),
    ]
    assert entries[1]["detail"]["object"] == path.name
    assert glare.events()[-2:] == ["blob_damaged", "blob_recovered"]


def test_a_new_upload_takes_the_mark_away(glare: Glare) -> None:
    """A draft's damaged blob is as good as new once it is uploaded again."""
    made = glare.alice.create("images", name="draft", disk_format="raw", container_format="bare")
    glare.alice.upload(made, "image", b"first")
    file_of(glare, made).write_bytes(b"wrong")
    check(glare.services)
    assert glare.alice.download(made, "image").status_code == 500
    glare.alice.upload(made, "image", b"second")
    assert glare.alice.download(made, "image").content == b"second"
    assert check(glare.services)[0] == []


def test_a_mark_never_hits_what_has_taken_its_place(glare: Glare) -> None:
    """A blob that is replaced, or deleted, while its old object is read is neither marked nor reported."""
    replaced = glare.alice.create("images", name="replaced", disk_format="raw", container_format="bare")
    deleted = glare.alice.create("images", name="deleted", disk_format="raw", container_format="bare")
    for artifact in (replaced, deleted):
        glare.alice.upload(artifact, "image", b"before")
        file_of(glare, artifact).write_bytes(b"broken")
    store = glare.services.stores["file"]
    opened = store.open
    seen: list[str] = []

    def open_and_change(name: str, offset: int = 0, length: int | None = None) -> object:
        reader = opened(name, offset, length)
        if not seen:
            glare.alice.upload(replaced, "image", b"after")
            assert glare.alice.delete(deleted).status_code == 204
        seen.append(name)
        return reader

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(store, "open", open_and_change)
        found, _ = check(glare.services, EVERYTHING, "file")
    assert seen
    assert found == []
    assert glare.alice.download(replaced, "image").content == b"after"


def test_objects_without_a_blob_are_found_and_removed_on_demand(glare: Glare) -> None:
    """An orphan is reported once it is old enough, and removed only when that is asked for; all else stays."""
    kept = [image(glare, b"kept"), template(glare, b"kept too")]
    for store in glare.services.stores.values():
        with store.create("0123456789abcdef") as writer:
            writer.write(b"nobody's")
            writer.commit()
    assert check(glare.services, Options(rate=0, orphan_age=3600))[0] == []
    found, summary = check(glare.services)
    assert [(finding.kind, finding.location, finding.blob) for finding in found] == [
        ("orphan", Managed(name, "0123456789abcdef"), None) for name in glare.services.stores
    ]
    assert "8 bytes" in found[0].detail
    assert not summary.sound
    assert len(check(glare.services)[0]) == 2
    found, summary = check(glare.services, replace(EVERYTHING, remove_orphans=True))
    assert len(found) == 2
    assert summary.sound
    assert check(glare.services)[0] == []
    assert glare.leftovers() == {}
    assert [glare.alice.download(kept[0], "image").content, glare.alice.download(kept[1], "template").content] == [
        b"kept",
        b"kept too",
    ]


def test_an_upload_under_way_is_no_orphan(glare: Glare) -> None:
    """What an attempt has staged is not reported, and not removed, before it is published."""
    made = glare.alice.create("images", name="slow", disk_format="raw", container_format="bare")
    store = glare.services.stores["file"]
    found: list[Finding] = []
    put = store.create

    def create_and_check(name: str, expected_size: int | None = None) -> object:
        writer = put(name, expected_size)
        commit = writer.commit

        def commit_and_check() -> None:
            commit()
            found.extend(check(glare.services, replace(EVERYTHING, remove_orphans=True))[0])

        writer.commit = commit_and_check  # type: ignore[method-assign]  # this one writer is watched
        return writer

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(store, "create", create_and_check)
        glare.alice.upload(made, "image", b"arrives")
    assert found == []
    assert glare.alice.download(made, "image").content == b"arrives"


def test_a_store_that_is_not_there_marks_nothing(glare: Glare, tmp_path: Path) -> None:
    """Where the directory is not mounted the check fails, before it starts or on its way, and blames no blob."""
    made = [image(glare, bytes([number])) for number in range(3)]
    place = glare.settings.glance_store.filesystem_store_datadir
    place.rename(tmp_path / "aside")
    with pytest.raises(Unavailable, match="not at its place"):
        check(glare.services, EVERYTHING, "file")
    (tmp_path / "aside").rename(place)

    class Taken(threading.Event):
        def is_set(self) -> bool:
            (place / MARKER).unlink(missing_ok=True)
            return False

    lost = Check(glare.services, EVERYTHING, lambda _: None, lambda _: None, Taken())
    identifier = (place / MARKER).read_text()
    with pytest.raises(Unavailable, match="not at its place"):
        lost.run(["file"])
    (place / MARKER).write_text(identifier)
    assert [glare.alice.download(artifact, "image").status_code for artifact in made] == [200] * 3


def test_a_store_that_takes_nothing_is_checked(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is full, or on a read-only file system, is read like any other."""
    made = image(glare, b"right")
    for fields in ({"f_flag": os.ST_RDONLY}, {"f_bavail": 0}):
        state = SimpleNamespace(**({"f_flag": 0, "f_frsize": 4096, "f_bavail": 1 << 30} | fields))
        monkeypatch.setattr("glare.stores.room.os.statvfs", lambda _, state=state: state)
        _, summary = check(glare.services, EVERYTHING, "file")
        assert summary.sound
    monkeypatch.undo()
    assert glare.alice.download(made, "image").content == b"right"


def test_a_file_that_cannot_be_read_is_marked_until_it_can(glare: Glare) -> None:
    """Where the store works and one object cannot be read, the blob is reported and refused until it can."""
    made = image(glare, b"behind a bad sector")
    path = file_of(glare, made)
    aside = path.rename(path.with_name("aside"))
    path.mkdir()
    [finding], summary = check(glare.services, EVERYTHING, "file")
    assert (finding.kind, summary.sound) == ("unreadable", False)
    assert glare.alice.download(made, "image").status_code == 500
    path.rmdir()
    aside.rename(path)
    [finding], summary = check(glare.services, EVERYTHING, "file")
    assert (finding.kind, summary.sound) == ("recovered", True)
    assert glare.alice.download(made, "image").content == b"behind a bad sector"


class StopAfter(threading.Event):
    """Tells a check to stop once it has asked so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_a_stopped_check_is_gone_on_with(glare: Glare) -> None:
    """However often a check is stopped, each blob is read once, and each finding counts once, until it is through."""
    made = [image(glare, b"sound %d" % number) for number in range(5)]
    file_of(glare, made[2]).write_bytes(b"wrong %d" % 2)
    read: list[str] = []
    store = glare.services.stores["file"]
    opened = store.open

    def noted(name: str, offset: int = 0, length: int | None = None) -> object:
        if not offset and length is None:
            read.append(name)
        return opened(name, offset, length)

    found: list[Finding] = []
    reported: list[Progress] = []
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(store, "open", noted)
        summary = Summary(done=False)
        while not summary.done:
            assert not summary.sound
            summary = Check(glare.services, EVERYTHING, found.append, reported.append, StopAfter(2)).run(["file"])
    assert summary.counts == {"blobs": 5, "bytes": 35, "objects": 5, "differs": 1}
    assert [finding.kind for finding in found] == ["differs"]
    assert len(set(read)) == 5
    assert len(read) <= 5 + 10  # The one that a stop came into is read again.
    assert (reported[-1].blobs, reported[-1].all_blobs, reported[-1].all_bytes) == (5, 5, 35)


def test_one_check_of_a_store_at_a_time(glare: Glare) -> None:
    """A second check is refused while the first is alive; a minute after a kill the next one goes on where it was."""
    for number in range(3):
        image(glare, b"%d" % number)

    class Killed(BaseException):
        pass

    class Kill(threading.Event):
        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            if self.asked == 2:
                raise Killed
            return False

    with pytest.raises(Killed):
        Check(glare.services, EVERYTHING, lambda _: None, lambda _: None, Kill()).run(["file"])
    with pytest.raises(Conflict, match="Another check of store 'file'"):
        check(glare.services, EVERYTHING, "file")
    assert check(glare.services, EVERYTHING, "database")[1].done
    now = glare.services.clock()
    later = replace(glare.services, clock=lambda: now + 61_000_000)
    assert check(later, EVERYTHING, "file")[1].counts == {"blobs": 3, "bytes": 3, "objects": 3}


def test_a_restarted_check_begins_anew(glare: Glare) -> None:
    """With `restart` what an interrupted check had done and counted is forgotten."""
    for number in range(3):
        image(glare, b"%d" % number)
    stopped = Check(glare.services, EVERYTHING, lambda _: None, lambda _: None, StopAfter(2)).run(["file"])
    assert not stopped.done
    assert 0 < stopped.counts["blobs"] < 3
    _, summary = check(glare.services, replace(EVERYTHING, restart=True), "file")
    assert summary.counts == {"blobs": 3, "bytes": 3, "objects": 3}


def test_an_unknown_store_is_named(glare: Glare) -> None:
    """The refusal says which stores there are."""
    with pytest.raises(NotFound, match="no store 'flie'; the stores are file, database"):
        check(glare.services, EVERYTHING, "flie")


class Clock(threading.Event):
    """An event whose waits move a clock."""

    now = 100.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0
        return False


def test_the_rate_is_kept() -> None:
    """So many bytes take so much time, and a pause is not caught up with beyond half a second."""
    clock = Clock()
    throttle = Throttle(1000, clock, lambda: clock.now)
    for _ in range(10):
        throttle.spend(500)
    assert clock.now == pytest.approx(105.0, abs=0.6)
    clock.now += 1000
    begun = clock.now
    for _ in range(10):
        throttle.spend(500)
    assert clock.now - begun == pytest.approx(4.5, abs=0.1)
    free = Throttle(0, clock, lambda: clock.now)
    begun = clock.now
    free.spend(1 << 40)
    assert clock.now == begun
