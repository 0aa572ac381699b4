"""The patrol: what it finds, marks, repairs and records, and how a round is interrupted, gone on with and shared
between nodes.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from glare.db.tables import blobs, content_blocks, contents, patrols, stored_chunks, stored_objects
from glare.operations.upkeep.patrol import patrol
from glare.operations.upkeep.sweep import sweep
from glare.stores.base import Reader
from support.conversation import eventually
from support.runs.clock import Clock
from support.service import Glare, Json, running

MIB = 1 << 20
DAY = 86400.0
KINDS = "[artifact_type:heat_templates]\ndefault_store = database\n[patrol]\nrate = 0\n"


@pytest.fixture
def glare(tmp_path: Path) -> Iterator[Glare]:
    with running(tmp_path, KINDS) as service:
        yield service


def walk(glare: Glare) -> None:
    """A whole round through all stores, as if the last one were long ago."""
    with glare.services.db.write() as connection:
        connection.execute(delete(patrols))
    patrol(glare.services, threading.Event())


def stored(glare: Glare, data: bytes, kind: str = "images", actor: str = "alice") -> Json:
    """An active artifact whose data is in the file store, or, for a template, in the database."""
    owner = getattr(glare, actor)
    options = {"disk_format": "raw", "container_format": "bare"} if kind == "images" else {}
    made = owner.create(kind, name=secrets.token_hex(4), **options)
    owner.upload(made, path(made), data)
    activated: Json = owner.activate(made)
    return activated


def path(artifact: Json) -> str:
    return "image" if artifact["type_name"] == "images" else "template"


def row(glare: Glare, artifact: Json) -> tuple[str, str, str | None]:
    """Store, object and mark of an artifact's blob."""
    with glare.services.db.read() as connection:
        found = select(blobs.c.store, blobs.c.object, blobs.c.damage).where(blobs.c.artifact_id == artifact["id"])
        one = connection.execute(found).one()
    return one.store, one.object, one.damage


def flip(glare: Glare, artifact: Json, at: int) -> None:
    store, name, _ = row(glare, artifact)
    if store == "file":
        [file] = [file for file in glare.objects() if file.name == name]
        raw = bytearray(file.read_bytes())
        raw[at] ^= 1
        file.write_bytes(raw)
        return
    with glare.services.db.write() as connection:
        object_id = connection.execute(select(stored_objects.c.id).where(stored_objects.c.object == name)).scalar_one()
        mine = (stored_chunks.c.object_id == object_id) & (stored_chunks.c.sequence == at // MIB)
        raw = bytearray(connection.execute(select(stored_chunks.c.data).where(mine)).scalar_one())
        raw[at % MIB] ^= 1
        connection.execute(update(stored_chunks).where(mine).values(data=bytes(raw)))


def counts(glare: Glare) -> dict[str, float]:
    """Blobs that the patrol has read, by store and outcome."""
    lines = glare.stranger.request("GET", "/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("glare_patrolled_blobs_total{")]
    return {line.split("{")[1].split("}")[0]: float(line.rsplit(" ", 1)[1]) for line in found}


@pytest.mark.parametrize("kind", ["images", "heat_templates"])
@pytest.mark.parametrize("at", [3, 2 * MIB + 1])
def test_damage_is_found_before_a_reader_comes(glare: Glare, kind: str, at: int) -> None:
    """A flipped bit is marked and reported, once; what is right stays as it is; restored bytes take the mark away."""
    bad, good = stored(glare, secrets.token_bytes(2 * MIB + 7), kind), stored(glare, b"right", kind)
    flip(glare, bad, at)
    for _ in range(2):
        walk(glare)
    assert (row(glare, bad)[2], row(glare, good)[2]) == ("differs", None)
    assert glare.alice.download(bad, path(bad)).status_code == 500
    assert glare.events().count("blob_damaged") == 1
    store = row(glare, bad)[0]
    assert counts(glare) == {
        f'outcome="differs",store="{store}"': 2.0,
        f'outcome="equal",store="{store}"': 2.0,
    }
    flip(glare, bad, at)
    walk(glare)
    assert row(glare, bad)[2] is None
    assert glare.events()[-1] == "blob_recovered"
    assert glare.alice.download(bad, path(bad)).status_code == 200


@pytest.mark.parametrize("kind", ["images", "heat_templates"])
@pytest.mark.parametrize("how", ["differs", "missing"])
def test_damage_is_repaired_from_an_equal_blob(glare: Glare, kind: str, how: str) -> None:
    """The bytes of an equal blob, be it a stranger's private one, are copied into an object of its own; nothing of the
    old one is left.
    """
    data = secrets.token_bytes(2 * MIB + 7)
    bad, other = stored(glare, data, kind), stored(glare, data, kind, actor="bob")
    store, name, _ = row(glare, bad)
    if how == "differs":
        flip(glare, bad, MIB + 5)
    else:
        glare.services.stores[store].delete(name)
    walk(glare)
    after = row(glare, bad)
    assert (after[0], after[2]) == (store, None)
    assert after[1] not in (name, row(glare, other)[1])
    for actor, artifact in ((glare.alice, bad), (glare.bob, other)):
        assert actor.download(artifact, path(artifact)).content == data
    assert glare.events()[-2:] == ["blob_damaged", "blob_recovered"]
    entries = glare.admin.request("GET", f"/audit?artifact={bad['id']}").json()["audit"]
    assert entries[0]["detail"]["object"] == after[1]
    assert "repaired" in entries[0]["detail"]["found"]
    assert glare.bob.request("GET", f"/artifacts/{kind}/{bad['id']}").status_code == 404
    sweep(glare.services)
    assert glare.leftovers() == {}
    walk(glare)
    assert row(glare, bad) == after


def test_a_source_that_is_damaged_too_repairs_nothing_wrong(glare: Glare) -> None:
    """Two that are damaged at the same block stay damaged, until a third one with right bytes is there."""
    data = secrets.token_bytes(2 * MIB)
    same = [stored(glare, data) for _ in range(2)]
    for one in same:
        flip(glare, one, 5)
    walk(glare)
    assert [row(glare, one)[2] for one in same] == ["differs", "differs"]
    third = stored(glare, data)
    walk(glare)
    assert [row(glare, one)[2] for one in (*same, third)] == [None, None, None]
    sweep(replace(glare.services, clock=lambda: glare.services.clock() + 7200 * 1_000_000))
    assert glare.leftovers() == {}


def test_missing_block_digests_are_recorded(glare: Glare) -> None:
    """A content of whose blocks nothing is known is read whole, and then they are known."""
    made = stored(glare, secrets.token_bytes(2 * MIB + 1))
    with glare.services.db.write() as connection:
        before = connection.execute(select(content_blocks.c.digests)).scalar_one()
        connection.execute(delete(content_blocks))
        connection.execute(delete(contents))
    walk(glare)
    with glare.services.db.read() as connection:
        assert connection.execute(select(content_blocks.c.digests)).scalar_one() == before
    assert row(glare, made)[2] is None


def test_wrong_block_digests_are_mended(glare: Glare) -> None:
    """Where the whole has its sha256, it is the record of its blocks that is wrong: nothing is marked, and downloads
    work again.
    """
    made = stored(glare, secrets.token_bytes(2 * MIB + 1))
    with glare.services.db.write() as connection:
        before = connection.execute(select(content_blocks.c.digests)).scalar_one()
        connection.execute(update(content_blocks).values(digests=bytes(32) + before[32:]))
    walk(glare)
    with glare.services.db.read() as connection:
        assert connection.execute(select(content_blocks.c.digests)).scalar_one() == before
    assert row(glare, made)[2] is None
    assert glare.alice.download(made, "image").status_code == 200


class AfterReads(threading.Event):
    """Tells the patrol to stop once it has asked so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_a_round_goes_on_at_the_block_where_it_stopped(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is stopped, each block is read once in a round."""
    sizes = (5 * MIB, 3 * MIB + 1, 7)
    for size in sizes:
        stored(glare, secrets.token_bytes(size))
    read: list[int] = []
    original = Reader.read

    def note(reader: Reader, n: int) -> bytes:
        data = original(reader, n)
        read.append(len(data))
        return data

    monkeypatch.setattr(Reader, "read", note)
    for _ in range(40):
        patrol(glare.services, AfterReads(2))
    with glare.services.db.read() as connection:
        rows = connection.execute(select(patrols.c.finished_at)).scalars().all()
    assert len(rows) == 2
    assert None not in rows
    # What was read when it was told to stop is read again: its block counts only once it was compared.
    assert sum(sizes) <= sum(read) <= sum(sizes) + 10 * MIB
    assert counts(glare)['outcome="equal",store="file"'] == 3.0


def test_one_that_raises_does_not_stop_those_behind_it(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw is reported and counted; the others are read, and the round ends."""
    made = [stored(glare, secrets.token_bytes(9)) for _ in range(3)]
    with glare.services.db.read() as connection:
        first = connection.execute(select(blobs.c.object).order_by(blobs.c.slot_id).limit(1)).scalar_one()
    store = glare.services.stores["file"]
    original = store.size

    def size(name: str) -> int:
        if name == first:
            raise ValueError("a defect")
        return original(name)

    monkeypatch.setattr(store, "size", size)
    patrol(glare.services, threading.Event())
    assert counts(glare) == {'outcome="unreadable",store="file"': 1.0, 'outcome="equal",store="file"': 2.0}
    assert [row(glare, one)[2] for one in made] == [None, None, None]
    with glare.services.db.read() as connection:
        assert connection.execute(select(patrols.c.finished_at)).scalars().all().count(None) == 0
    assert 'glare_work_put_off_total{work="patrol"} 1.0' in glare.stranger.request("GET", "/metrics").text


def test_a_round_belongs_to_one_node(glare: Glare) -> None:
    """While a node holds the lease nobody else reads; what a dead one has left is gone on with after a minute."""
    clock = Clock(glare)
    stored(glare, b"bytes")
    with glare.services.db.write() as connection:
        for store in ("file", "database"):
            held = {"holder": "a" * 32, "held_until": clock.micros + 60_000_000, "started_at": clock.micros}
            connection.execute(patrols.insert().values(store=store, position="", block=0, counts=b"{}", **held))
    patrol(glare.services, threading.Event())
    assert counts(glare) == {}
    clock.forward(61)
    patrol(glare.services, threading.Event())
    assert counts(glare) == {'outcome="equal",store="file"': 1.0}


def test_rounds_keep_their_interval(glare: Glare) -> None:
    """The next round begins the interval after the beginning of the last, and not before."""
    clock = Clock(glare)
    stored(glare, b"bytes")
    seen = []
    for wait in (0, DAY, 28 * DAY, 2 * DAY):
        clock.forward(wait)
        patrol(glare.services, threading.Event())
        seen.append(counts(glare)['outcome="equal",store="file"'])
    assert seen == [1.0, 1.0, 1.0, 2.0]


def test_a_store_that_is_not_there_marks_nothing(glare: Glare, tmp_path: Path) -> None:
    """Where the directory is not mounted the round waits, and goes on once it is back."""
    made = stored(glare, b"bytes")
    place, aside = glare.settings.glance_store.filesystem_store_datadir, tmp_path / "aside"
    place.rename(aside)
    place.mkdir()
    patrol(glare.services, threading.Event())
    assert row(glare, made)[2] is None
    place.rmdir()
    aside.rename(place)
    patrol(glare.services, threading.Event())
    assert counts(glare) == {'outcome="equal",store="file"': 1.0}


def test_what_is_replaced_while_it_is_read_is_not_marked(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that goes while the patrol looks at it says nothing about the one in its place."""
    made = glare.alice.create("images", name="draft")
    glare.alice.upload(made, "image", b"before")
    store = glare.services.stores["file"]
    original = store.size

    def size(name: str) -> int:
        monkeypatch.undo()
        glare.alice.upload(made, "image", b"after")
        return original(name)

    monkeypatch.setattr(store, "size", size)
    patrol(glare.services, threading.Event())
    assert row(glare, made)[2] is None
    assert "blob_damaged" not in glare.events()


def test_it_runs_by_default(tmp_path: Path) -> None:
    """A service with background work marks what is damaged without being told to look."""
    with running(tmp_path) as glare:
        made = stored(glare, secrets.token_bytes(100))
        flip(glare, made, 5)
    with running(tmp_path, worker=True) as glare:
        eventually(lambda: row(glare, made)[2] == "differs")


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    """With an interval of 0 nothing is read."""
    with running(tmp_path, "[patrol]\ninterval = 0\n") as glare:
        stored(glare, b"bytes")
        patrol(glare.services, threading.Event())
        assert counts(glare) == {}
