"""Comparing a database with its stores: what is found in either direction, and what is no finding."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from glare.app import bare_stores
from glare.db import fsck as rows
from glare.db.fsck import StoredBlob
from glare.db.tables import artifacts, blobs, doomed_objects, stores
from glare.operations.upkeep import backup
from glare.operations.upkeep.backup import Comparison, Finding, Options, Report
from glare.stores.filesystem import MARKER
from support.programs.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS, in_bucket
from support.service import Glare, Json, running
from support.stores import bucket_of, keys_in

KINDS = "[artifact_type:heat_templates]\ndefault_store = database\n"
MIB = 1 << 20
NAMES, BYTES = Options(), Options(read=True)


@pytest.fixture
def glare(tmp_path: Path) -> Iterator[Glare]:
    with running(tmp_path, KINDS) as service:
        yield service


def compare(glare: Glare, options: Options = NAMES, *names: str) -> tuple[list[Finding], Report]:
    """Findings and counts of a comparison, of all stores where none is named."""
    found: list[Finding] = []
    with bare_stores(glare.settings) as (db, known):
        report = Comparison(db, known, options, found.append, lambda _: None).run(names)
    return found, report


def image(glare: Glare, data: bytes) -> Json:
    made = glare.alice.create("images", name=secrets.token_hex(4))
    return glare.alice.upload(made, "image", data)


def template(glare: Glare, data: bytes) -> Json:
    made = glare.alice.create("heat_templates", name=secrets.token_hex(4))
    return glare.alice.upload(made, "template", data)


def object_of(glare: Glare, artifact: Json) -> str:
    with glare.services.db.read() as connection:
        wanted = select(blobs.c.object).where(blobs.c.artifact_id == artifact["id"])
        return str(connection.execute(wanted).scalar_one())


def file_of(glare: Glare, artifact: Json) -> Path:
    name = object_of(glare, artifact)
    [path] = [path for path in glare.objects() if path.name == name]
    return path


def summed(findings: list[Finding]) -> set[tuple[str, str, str | None, str | None]]:
    """Of each finding its kind, store, artifact and field."""
    whose = [(None, None) if each.blob is None else (each.blob.artifact_id, each.blob.slot.path) for each in findings]
    return {(str(each.kind), each.store, *blob) for each, blob in zip(findings, whose, strict=True)}


def test_what_belongs_together_has_no_finding(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blobs of all sizes in all stores, over several pages, agree by names and by bytes, and nothing is written."""
    monkeypatch.setattr(backup, "_PAGE", 2)
    sizes = (0, 1, 17, MIB, MIB + 1)
    for size in sizes:
        image(glare, secrets.token_bytes(size))
    template(glare, b"y" * 5)
    found, report = compare(glare)
    assert (found, report.whole, report.done) == ([], True, True)
    assert {one.name: (one.blobs, one.objects, one.compared, one.read) for one in report.stores} == {
        "file": (5, 5, 5, 0),
        "database": (1, 1, 1, 0),
    }
    found, report = compare(glare, BYTES)
    assert (found, report.whole, report.done) == ([], True, True)
    assert [one.read for one in report.stores] == [sum(sizes), 5]


def test_both_directions_are_told(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost, shorter or nobody's is found among what is sound, with its blob, in files and in the database."""
    monkeypatch.setattr(backup, "_PAGE", 2)
    made = [image(glare, b"%d" % number * 100) for number in range(6)]
    lost, short = made[1], made[4]
    file_of(glare, lost).unlink()
    file_of(glare, short).write_bytes(b"x")
    extra = file_of(glare, made[0]).with_name(f"{object_of(glare, made[0])[:4]}00000000")
    extra.write_bytes(b"nobody's")
    gone = template(glare, b"in the database")
    assert glare.services.stores["database"].delete(object_of(glare, gone))
    found, report = compare(glare)
    assert summed(found) == {
        ("missing", "file", lost["id"], "image"),
        ("differs", "file", short["id"], "image"),
        ("orphan", "file", None, None),
        ("missing", "database", gone["id"], "template"),
    }
    assert [each.object for each in found if each.kind == "orphan"] == [extra.name]
    assert (report.whole, report.done) == (False, True)
    with glare.services.db.read() as connection:
        assert connection.execute(select(blobs.c.damage).where(blobs.c.damage.is_not(None))).all() == []


def test_objects_alone_make_nothing_incomplete(glare: Glare) -> None:
    """A store that is newer than the database has objects of no blob; what the database needs is all there."""
    kept = image(glare, b"kept")
    file_of(glare, kept).with_name(f"{object_of(glare, kept)[:4]}ffffffff").write_bytes(b"newer")
    found, report = compare(glare)
    assert [each.kind for each in found] == ["orphan"]
    assert (report.whole, report.done) == (True, True)


def test_other_bytes_of_the_same_size_are_found_by_reading(glare: Glare) -> None:
    """Names and sizes do not tell one wrong bit; `--bytes` does."""
    made = image(glare, b"the right bytes")
    file_of(glare, made).write_bytes(b"the wrong bytes")
    assert compare(glare)[0] == []
    found, report = compare(glare, BYTES)
    assert summed(found) == {("differs", "file", made["id"], "image")}
    assert not report.whole


def test_what_is_under_way_or_due_for_removal_is_counted_apart(glare: Glare) -> None:
    """Objects of uploads and objects that wait for their removal are no findings."""
    uploading, leaving = image(glare, b"uploading"), image(glare, b"leaving")
    left = object_of(glare, leaving)
    with glare.services.db.write() as connection:
        mine = blobs.c.artifact_id == uploading["id"]
        values = {"attempt_object": blobs.c.object, "attempt_store": "file", "attempt_id": "a" * 32}
        connection.execute(update(blobs).where(mine).values(**values))
        connection.execute(update(blobs).where(mine).values(object=None, store=None))
        waiting = {"store": "file", "object": left, "not_before": 1 << 60, "tries": 0}
        connection.execute(insert(doomed_objects).values(**waiting))
        connection.execute(delete(blobs).where(blobs.c.artifact_id == leaving["id"]))
    found, report = compare(glare)
    assert (found, report.whole) == ([], True)
    assert [(one.under_way, one.due_for_removal) for one in report.stores] == [(1, 1), (0, 0)]


@pytest.mark.parametrize("way", [("attempt", "blob"), ("blob", "doomed"), ("doomed", "blob")], ids="-".join)
@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_object_that_goes_on_while_it_is_asked_for_is_found(glare: Glare, way: tuple[str, str], after: int) -> None:
    """Whichever statement an upload, a deletion or a move comes between, the object is never nobody's."""
    made = image(glare, b"x")
    name = object_of(glare, made)
    with glare.services.db.write() as connection:
        put(connection, name, way[0])
        found = rows.uses(Meddling(connection, after, lambda: put(connection, name, way[1])), "file", [name])
        assert set(found) == {name}
        put(connection, name, "blob")
    assert compare(glare)[0] == []


def put(connection: Connection, name: str, use: str) -> None:
    """Let the one object be there for this and nothing else."""
    connection.execute(delete(doomed_objects))
    nothing = {"object": None, "store": None, "attempt_id": None, "attempt_object": None, "attempt_store": None}
    values = {
        "attempt": {"attempt_id": "a" * 32, "attempt_object": name, "attempt_store": "file"},
        "blob": {"object": name, "store": "file"},
        "doomed": {},
    }[use]
    connection.execute(update(blobs).values(**nothing | values))
    if use == "doomed":
        waiting = {"store": "file", "object": name, "not_before": 1 << 60, "tries": 0}
        connection.execute(insert(doomed_objects).values(**waiting))


class Meddling(Connection):
    """A connection on which something happens after so many statements, as others' transactions do."""

    def __init__(self, connection: Connection, after: int, happen: Callable[[], None]) -> None:
        self._within, self._left, self._happen = connection, after, happen

    def execute(self, *arguments: Any, **options: Any) -> Any:
        found = self._within.execute(*arguments, **options)
        self._left -= 1
        if self._left == 0:
            self._happen()
        return found


def test_another_place_is_told_beside_what_it_lacks(glare: Glare) -> None:
    """A marker that the database does not know is a finding with the remedy, and the place is compared all the same."""
    made = image(glare, b"x")
    (glare.settings.glance_store.filesystem_store_datadir / MARKER).write_text("somebody else's\n")
    file_of(glare, made).unlink()
    found, report = compare(glare)
    assert summed(found) == {("identity", "file", None, None), ("missing", "file", made["id"], "image")}
    assert "glare-server stores adopt file" in found[0].detail
    assert (report.whole, report.done) == (False, True)


def test_a_place_without_a_marker_is_unknown(glare: Glare) -> None:
    """An empty mount point says nothing of the blobs: the count of those that need it is told, and none is missing."""
    image(glare, b"x")
    (glare.settings.glance_store.filesystem_store_datadir / MARKER).unlink()
    found, report = compare(glare)
    assert summed(found) == {("unavailable", "file", None, None)}
    assert found[0].detail.startswith("needed by 1 blob: ")
    assert (report.whole, report.done) == (True, False)


def test_blobs_of_a_store_that_nobody_configured_are_counted(glare: Glare) -> None:
    """A store that was taken out of the configuration while blobs need it is a finding."""
    image(glare, b"x")
    with glare.services.db.write() as connection:
        connection.execute(update(blobs).values(store="former"))
    found, report = compare(glare)
    assert ("unconfigured", "former", None, None) in summed(found)
    assert not report.whole


def test_a_blob_that_goes_while_the_store_is_listed_is_no_finding(
    glare: Glare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion between the page of the database and the look at its object leaves no finding behind."""
    made, kept = image(glare, b"going"), image(glare, b"kept")
    path = file_of(glare, made)
    page = rows.page_by_object

    def read_then_deleted(*arguments: Any) -> list[StoredBlob]:
        found = page(*arguments)
        if path.exists():
            glare.alice.delete(made)
        return found

    monkeypatch.setattr(rows, "page_by_object", read_then_deleted)
    found, report = compare(glare)
    assert (found, report.whole, path.exists()) == ([], True, False)
    assert glare.alice.download(kept, "image").content == b"kept"


def test_a_comparison_that_is_stopped_says_so(glare: Glare) -> None:
    """A comparison that was told to stop has not seen all, and does not claim to have."""
    image(glare, b"x" * 1000)
    stop = threading.Event()
    stop.set()
    with bare_stores(glare.settings) as (db, known):
        report = Comparison(db, known, NAMES, lambda _: None, lambda _: None, stop).run(["file"])
    assert not report.done


@pytest.mark.usefixtures("seaweedfs")
def test_a_bucket_is_compared_too(tmp_path: Path, seaweedfs: SeaweedFS) -> None:
    """Objects of a bucket, small and in parts, agree by name and by bytes; a lost key and a foreign one are found."""
    options = in_bucket(BUCKET, seaweedfs.endpoint, prefix=f"test-{uuid.uuid4().hex[:12]}/")
    text = (
        "[artifact_type:images]\ndefault_store = s3\n"
        f"[s3]\nbucket = {options.bucket}\nprefix = {options.prefix}\nendpoint = {seaweedfs.endpoint}\n"
        f"access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n"
    )
    with running(tmp_path, text) as glare:
        made = [image(glare, secrets.token_bytes(size)) for size in (1, 3000, 9 * MIB)]
        found, report = compare(glare, BYTES, "s3")
        assert (found, report.whole, report.done) == ([], True, True)
        assert [(one.objects, one.read) for one in report.stores] == [(3, 3001 + 9 * MIB)]
        lost = object_of(glare, made[1])
        [key] = [key for key in keys_in(options) if key.endswith(f"/{lost}")]
        bucket_of(options).remove([options.prefix + key])
        found, report = compare(glare, NAMES, "s3")
        assert summed(found) == {("missing", "s3", made[1]["id"], "image")}
        with glare.services.db.write() as connection:
            connection.execute(delete(blobs).where(blobs.c.artifact_id == made[0]["id"]))
            connection.execute(delete(artifacts).where(artifacts.c.id == made[0]["id"]))
            connection.execute(update(stores).where(stores.c.name == "s3").values(identity="another"))
        assert {each.kind for each in compare(glare, NAMES, "s3")[0]} == {"missing", "orphan", "identity"}
