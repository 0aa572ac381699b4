"""Moving blobs from one store to another: what moves, what stays and why, and what happens beside it."""

from __future__ import annotations

import errno
import os
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import select

from glare.app import build_services, close
from glare.db.rows import fetch_artifact
from glare.db.stores import Chosen
from glare.db.tables import blobs, doomed_objects
from glare.domain.actor import Actor
from glare.errors import InvalidParameterValue, NotFound, StoreFull, Unavailable
from glare.operations.artifacts.delete import remove
from glare.operations.services import Services
from glare.operations.upkeep.move import Finding, Move, Pace, Progress, Summary, Wish
from glare.operations.upkeep.sweep import sweep
from glare.stores.base import Reader, Writer
from support.origins.egress import resolve
from support.service import Glare, Json, running

MIB = 1 << 20
HOUR = 3600 * 1_000_000
TEXT = (
    "[artifact_type:heat_templates]\ndefault_store = database\n"
    "[store:second]\ndriver = file\ndirectory = {directory}/second\n"
)
DRAINED = "[store:file]\nread_only = true\n[glance_store]\ndefault_store = second\n"
ROOT = Actor("root", None, frozenset())
FREELY = Pace(0, 4)


@pytest.fixture
def glare(tmp_path: Path) -> Iterator[Glare]:
    with running(tmp_path, TEXT.format(directory=tmp_path)) as service:
        yield service


def moved(
    services: Services,
    source: str = "file",
    target: str = "second",
    *,
    pace: Pace = FREELY,
    stop: threading.Event | None = None,
    **chosen: Any,
) -> tuple[Summary, list[Finding]]:
    """Move what is chosen; what came of it, and what was found."""
    found: list[Finding] = []
    drain = chosen.pop("drain", False)
    wish = Wish(Chosen(source, **chosen), target, ROOT, drain=drain)
    summary = Move(services, wish, pace, found.append, lambda _: None, stop or threading.Event()).run()
    return summary, found


def stored(glare: Glare, data: bytes, kind: str = "images", actor: str = "alice") -> Json:
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


def objects(glare: Glare, store: str) -> set[str]:
    return {entry.name for entry in glare.services.stores[store].entries()}


def needed(glare: Glare, store: str) -> set[str]:
    """The objects of a store that rows name."""
    with glare.services.db.read() as connection:
        return set(connection.execute(select(blobs.c.object).where(blobs.c.store == store)).scalars())


def leftovers(glare: Glare) -> dict[str, Any]:
    """What stores have that no blob needs, or lack, once what is doomed is removed; empty when all is well."""
    sweep(replace(glare.services, clock=lambda: glare.services.clock() + 2 * HOUR))
    with glare.services.db.read() as connection:
        doomed = connection.execute(select(doomed_objects.c.object)).scalars().all()
    names = ("file", "second", "database")
    found: dict[str, Any] = {f"in {name}": objects(glare, name) ^ needed(glare, name) for name in names}
    return {what: value for what, value in {**found, "doomed": doomed}.items() if value}


def file_of(glare: Glare, artifact: Json) -> Path:
    _, name, _ = row(glare, artifact)
    [found] = [one for one in glare.settings.server.state_dir.parent.rglob(name) if one.is_file()]
    return found


@pytest.mark.parametrize(("source", "target"), [("file", "second"), ("file", "database"), ("database", "second")])
def test_all_blobs_move_and_stay_what_they_are(glare: Glare, source: str, target: str) -> None:
    """Empty, small and large ones are in the other store afterwards, with the same bytes, headers, quota and events."""
    kind = "heat_templates" if source == "database" else "images"
    data = [b"", b"x", *(secrets.token_bytes(size) for size in (MIB, 9 * MIB + 3)), b"x"]
    made = [stored(glare, one, kind) for one in data]
    before = [(glare.alice.show(one), dict(glare.alice.download(one, path(one)).headers)) for one in made]
    events, usage = glare.events(), glare.usage("wonderland")
    summary, found = moved(glare.services, source, target)
    assert (summary.done, summary.counts, summary.left, found) == (True, {"moved": 5}, 0, [])
    assert {row(glare, one)[0] for one in made} == {target}
    after = [glare.alice.download(one, path(one)) for one in made]
    assert [answer.content for answer in after] == data
    fleeting = "x-openstack-request-id"
    for (shown, headers), one, answer in zip(before, made, after, strict=True):
        assert glare.alice.show(one) == shown
        assert {**answer.headers, fleeting: ""} == {**headers, fleeting: ""}
    assert (glare.events(), glare.usage("wonderland")) == (events, usage)
    assert leftovers(glare) == {}
    assert moved(glare.services, source, target)[0].counts == {}


def test_a_type_or_a_project_moves_alone(glare: Glare) -> None:
    """Only blobs of the named type, or of the named project's artifacts, are moved."""
    mine, theirs = stored(glare, b"of alice"), stored(glare, b"of bob", actor="bob")
    other = glare.bob.create("murano_packages", name="other")
    glare.bob.upload(other, "package", b"a package")
    assert moved(glare.services, project="builders", type_name="images")[0].counts == {"moved": 1}
    assert [row(glare, one)[0] for one in (mine, theirs, other)] == ["file", "second", "file"]
    assert moved(glare.services, project="builders")[0].counts == {"moved": 1}
    assert [row(glare, one)[0] for one in (mine, theirs, other)] == ["file", "second", "second"]
    assert moved(glare.services, type_name="images")[0].counts == {"moved": 1}
    assert row(glare, mine)[0] == "second"


def test_who_moved_what_is_in_the_audit_log(glare: Glare) -> None:
    """Beginning and end of a move are recorded, with who did it and the counts."""
    stored(glare, b"12345")
    moved(glare.services)
    found = glare.admin.request("GET", "/audit?action=store_move").json()["audit"]
    assert [(one["user"], one["target"]) for one in found] == [("root", "file")] * 2
    ended, begun = (one["detail"] for one in found)
    assert (begun["state"], begun["to"]) == ("begun", "second")
    assert (ended["state"], ended["moved"], ended["bytes"]) == ("ended", 1, 5)


@pytest.mark.parametrize("kind", ["images", "heat_templates"])
def test_a_reader_under_way_keeps_its_bytes(tmp_path: Path, kind: str) -> None:
    """A download that began before the move ends with the bytes that it began with, though the object has moved."""
    text = TEXT.format(directory=tmp_path) + "[store]\nremoval_delay = 60\n"
    data = secrets.token_bytes(5 * MIB + 1)
    with running(tmp_path, text) as glare:
        made = stored(glare, data, kind)
        source, name, _ = row(glare, made)
        with glare.services.stores[source].open(name) as reader:
            first = reader.read(MIB)
            assert moved(glare.services, source, "second")[0].counts == {"moved": 1}
            sweep(glare.services)
            rest = b"".join(iter(partial(reader.read, MIB), b""))
        assert first + rest == data
        assert row(glare, made)[0] == "second"
        assert objects(glare, source) == {name}
        assert glare.alice.download(made, path(made)).content == data
        later = replace(glare.services, clock=lambda: glare.services.clock() + 61_000_000)
        sweep(later)
        assert objects(glare, source) == set()


class Midway:
    """Does something once, when the first block of a copy is about to be written to a store."""

    def __init__(self, store: str, work: Callable[[], object]) -> None:
        self.store = store
        self.work: Callable[[], object] | None = work

    def __enter__(self) -> None:
        write = Writer.write

        def writing(writer: Writer, data: bytes) -> None:
            work = self.work
            if work is not None and vars(writer)["_call"].__self__.name == self.store:
                self.work = None
                work()
            write(writer, data)

        self._patch = patch.object(Writer, "write", writing)
        self._patch.start()

    def __exit__(self, *_: object) -> None:
        self._patch.stop()
        assert self.work is None


def test_an_upload_that_comes_in_between_wins(glare: Glare) -> None:
    """A blob that is replaced or deleted while it is copied is what the caller has made of it; the copy goes."""
    waiting = glare.alice.create("images", name="waiting", disk_format="raw", container_format="bare")
    glare.alice.upload(waiting, "image", b"old bytes")
    with Midway("second", lambda: glare.alice.upload(waiting, "image", b"new bytes")):
        assert moved(glare.services)[0].counts == {"changed": 1}
    assert row(glare, waiting)[0] == "file"
    assert glare.alice.download(waiting, "image").content == b"new bytes"
    assert objects(glare, "second") == set()
    with Midway("second", lambda: glare.alice.delete(waiting)):
        assert moved(glare.services)[0].counts == {"changed": 1}
    assert leftovers(glare) == {}
    assert objects(glare, "second") == set()


def test_what_moved_since_it_was_read_is_deleted_where_it_is(glare: Glare) -> None:
    """Whoever deletes an artifact that was read before its blob moved removes the new object, and leaves none."""
    made = stored(glare, b"moved between reading and deleting")
    with glare.services.db.read() as connection:
        artifact = fetch_artifact(connection, made["id"])
    assert artifact is not None
    assert moved(glare.services)[0].counts == {"moved": 1}
    remove(glare.services, None, artifact)
    assert leftovers(glare) == {}
    assert objects(glare, "second") == set()
    assert glare.usage("wonderland") == (0, 0)


@pytest.mark.parametrize("at", [0, 2 * MIB + 5])
@pytest.mark.parametrize("target", ["second", "database"])
def test_a_wrong_byte_is_never_copied_as_good(glare: Glare, at: int, target: str) -> None:
    """It is reported and marked, once, and stays where it is; others move; put right, it moves and its mark goes."""
    data = secrets.token_bytes(3 * MIB)
    bad, good = stored(glare, data), stored(glare, b"right")
    file = file_of(glare, bad)
    raw = bytearray(data)
    raw[at] ^= 1
    file.write_bytes(raw)
    summary, [finding] = moved(glare.services, target=target)
    assert summary.counts == {"moved": 1, "differs": 1}
    assert (finding.kind, finding.blob) == ("differs", f"images/{bad['id']}/image")
    assert "its sha256 is" in finding.detail
    assert (row(glare, bad)[0], row(glare, bad)[2], row(glare, good)[0]) == ("file", "differs", target)
    assert glare.alice.download(bad, "image").status_code == 500
    assert glare.events().count("blob_damaged") == 1
    assert objects(glare, target) == {row(glare, good)[1]}
    assert moved(glare.services, target=target)[0].counts == {"differs": 1}
    assert glare.events().count("blob_damaged") == 1
    file.write_bytes(data)
    assert moved(glare.services, target=target)[0].counts == {"moved": 1}
    assert row(glare, bad)[::2] == (target, None)
    assert glare.events()[-1] == "blob_recovered"
    assert glare.alice.download(bad, "image").content == data
    assert leftovers(glare) == {}


@pytest.mark.parametrize("cut", [-1, 1])
def test_another_length_is_damage_too(glare: Glare, cut: int) -> None:
    """An object that is shorter or longer than recorded is not copied."""
    bad = stored(glare, b"twelve bytes")
    file_of(glare, bad).write_bytes(b"twelve bytes"[:cut] if cut < 0 else b"twelve bytes!")
    summary, [finding] = moved(glare.services)
    assert (summary.counts, row(glare, bad)[2]) == ({"differs": 1}, "differs")
    assert "12" in finding.detail
    assert objects(glare, "second") == set()


def test_what_is_missing_is_reported(glare: Glare) -> None:
    """An object that the source has lost is marked, and the rest moves."""
    lost, kept = stored(glare, b"lost"), stored(glare, b"kept")
    file_of(glare, lost).unlink()
    summary, [finding] = moved(glare.services)
    assert summary.counts == {"moved": 1, "missing": 1}
    assert (finding.kind, row(glare, lost)[2], row(glare, kept)[0]) == ("missing", "missing", "second")


def test_damage_is_repaired_into_the_target(glare: Glare) -> None:
    """Where another blob has the same bytes, these go to the target in the place of the damaged ones."""
    data = secrets.token_bytes(2 * MIB + 9)
    bad, equal = stored(glare, data), stored(glare, data, actor="bob")
    file_of(glare, bad).write_bytes(bytes(len(data)))
    summary, found = moved(glare.services, project="wonderland")
    assert summary.counts == {"repaired": 1}
    assert [finding.kind for finding in found] == ["repaired"]
    assert (row(glare, bad)[0], row(glare, bad)[2], row(glare, equal)[0]) == ("second", None, "file")
    assert glare.alice.download(bad, "image").content == data
    assert leftovers(glare) == {}


class Failing:
    """A store whose calls of one kind fail after the first few."""

    def __init__(self, cls: type[Reader | Writer], name: str, store: str, after: int, number: int) -> None:
        self._left = after
        original = getattr(cls, name)

        def call(one: Any, *arguments: Any) -> Any:
            if vars(one)["_call"].__self__.name == store:
                self._left -= 1
                if self._left < 0:
                    driver = vars(one)["_driver"]
                    with patch.object(type(driver), name, side_effect=OSError(number, os.strerror(number))):
                        return original(one, *arguments)
            return original(one, *arguments)

        self._patch = patch.object(cls, name, call)

    def __enter__(self) -> None:
        self._patch.start()

    def __exit__(self, *_: object) -> None:
        self._patch.stop()


def test_a_target_that_fills_ends_the_move_and_keeps_what_was_done(glare: Glare) -> None:
    """Where the target is full the move ends with that error; nothing is lost, and the next one goes on."""
    data = [secrets.token_bytes(size) for size in (10, 20, 9 * MIB, 9 * MIB)]
    made = [stored(glare, one) for one in data]
    with Failing(Writer, "write", "second", 6, errno.ENOSPC), pytest.raises(StoreFull):
        moved(replace(glare.services, chance=lambda: 0.0), pace=Pace(0, 1))
    assert Counter(row(glare, one)[0] for one in made) == {"second": 2, "file": 2}
    assert objects(glare, "second") == needed(glare, "second")
    assert [glare.alice.download(one, "image").content for one in made] == data
    assert moved(glare.services)[0].counts == {"moved": 2}
    assert leftovers(glare) == {}


def test_a_source_that_is_away_blames_no_blob(glare: Glare) -> None:
    """Where the source is not at its place any more nothing is marked, and the move ends with that error."""
    made = [stored(glare, secrets.token_bytes(10)) for _ in range(3)]
    directory = glare.settings.glance_store.filesystem_store_datadir
    directory.rename(directory.with_name("away"))
    with pytest.raises(Unavailable):
        moved(glare.services)
    directory.with_name("away").rename(directory)
    assert [row(glare, one)[::2] for one in made] == [("file", None)] * 3
    assert moved(glare.services)[0].counts == {"moved": 3}


def test_one_object_that_cannot_be_read_holds_up_no_other(glare: Glare) -> None:
    """A bad sector under one object marks that one; the others move."""
    made = [stored(glare, secrets.token_bytes(10)) for _ in range(4)]
    bad = row(glare, made[0])[1]
    read = Reader.read

    def reading(reader: Reader, n: int) -> bytes:
        if vars(reader)["_object"] == bad:
            with patch.object(type(vars(reader)["_driver"]), "read", side_effect=OSError(errno.EIO, "bad sector")):
                return read(reader, n)
        return read(reader, n)

    with patch.object(Reader, "read", reading):
        summary, [finding] = moved(glare.services, pace=Pace(0, 1))
    assert summary.counts == {"moved": 3, "unreadable": 1}
    assert (finding.kind, finding.location.object) == ("unreadable", bad)
    assert row(glare, made[0])[2] == "unreadable"


def test_two_at_once_share_the_work(tmp_path: Path) -> None:
    """Two nodes that move the same store at once: each blob is in the target once, and nothing else is there."""
    with running(tmp_path, TEXT.format(directory=tmp_path)) as glare:
        data = {number: secrets.token_bytes(50 + number) for number in range(60)}
        made = {number: stored(glare, one) for number, one in data.items()}
        other = build_services(glare.settings, resolve=resolve)
        ready = threading.Barrier(2)
        summaries: list[Summary] = []

        def work(services: Services) -> None:
            ready.wait()
            summaries.append(moved(replace(services, chance=lambda: 0.5), pace=Pace(0, 2))[0])

        threads = [threading.Thread(target=work, args=(services,)) for services in (glare.services, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        close(other)
        assert len(summaries) == 2
        assert sum(one.counts.get("moved", 0) for one in summaries) == 60
        assert {row(glare, one)[0] for one in made.values()} == {"second"}
        assert all(glare.alice.download(made[number], "image").content == one for number, one in data.items())
        assert leftovers(glare) == {}


class AfterBlocks(threading.Event):
    """Tells to stop once it was asked so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_what_was_stopped_goes_on(glare: Glare) -> None:
    """However often it is stopped, it ends with everything moved, and has left nothing of what it broke off."""
    made = [stored(glare, secrets.token_bytes(3 * MIB)) for _ in range(4)]
    stopped = 0
    while not (summary := moved(glare.services, pace=Pace(0, 1), stop=AfterBlocks(9))[0]).done:
        stopped += 1
        assert summary.left == 4 - len(objects(glare, "second"))
        assert objects(glare, "second") == needed(glare, "second")
    assert stopped
    assert {row(glare, one)[0] for one in made} == {"second"}
    assert leftovers(glare) == {}


class NoWait(threading.Event):
    """Notes how long somebody wants to wait, and does not let them."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.longest = max(self.longest, timeout or 0.0)
        return False


def test_the_rate_bounds_what_is_read(glare: Glare) -> None:
    """At 1 KiB a second 4 MiB take more than an hour; of all threads together, not of each."""
    for _ in range(4):
        stored(glare, secrets.token_bytes(MIB))
    stop = NoWait()
    assert moved(glare.services, pace=Pace(1024, 4), stop=stop)[0].counts == {"moved": 4}
    assert 3600 < stop.longest <= 4096


def test_progress_is_told_to_the_end(glare: Glare) -> None:
    """The last that is told is that all is done, of what there was."""
    for _ in range(3):
        stored(glare, b"12345")
    told: list[Progress] = []
    wish = Wish(Chosen("file"), "second", ROOT)
    Move(glare.services, wish, FREELY, lambda _: None, told.append, threading.Event()).run()
    assert told[-1] == Progress(3, 15, 3, 15)


def test_a_drained_store_may_leave_the_configuration(tmp_path: Path) -> None:
    """A store that takes no more is emptied, whatever comes meanwhile, and the service starts without it."""
    text = TEXT.format(directory=tmp_path)
    with running(tmp_path, text) as glare:
        first = stored(glare, b"there from the beginning")
        with glare.services.db.read() as connection:
            assert connection.execute(select(blobs.c.store)).scalars().all() == ["file"]
    with running(tmp_path, text + "[store:file]\nread_only = true\n[artifact_type:images]\ndefault_store = second\n"
                 "[glance_store]\ndefault_store = database\n") as glare:  # fmt: skip
        late: list[Json] = []
        open_still = replace(glare.services.rules.placing, read_only=frozenset(), types={"": ("file",)})
        before = glare.services.rules

        def an_older_node() -> None:
            object.__setattr__(before, "placing", open_still)
            late.append(stored(glare, b"of a node that was not restarted yet"))

        placing = before.placing
        with Midway("second", an_older_node):
            summary, _ = moved(glare.services, drain=True)
        object.__setattr__(before, "placing", placing)
        assert (summary.counts, summary.left, summary.uploads) == ({"moved": 2}, 0, 0)
        assert {row(glare, one)[0] for one in (first, *late)} == {"second"}
        assert leftovers(glare) == {}


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    """Unknown stores, one onto itself, a target that takes nothing, and a drain of one that does."""
    text = TEXT.format(directory=tmp_path) + "[store:database]\nread_only = true\n"
    with running(tmp_path, text.replace("[artifact_type:heat_templates]\ndefault_store = database\n", "")) as glare:
        for wish, error, said in (
            (("nowhere", "second"), NotFound, "the stores are file, database, second"),
            (("file", "nowhere"), NotFound, "There is no store 'nowhere'"),
            (("file", "file"), InvalidParameterValue, "to itself"),
            (("file", "database"), InvalidParameterValue, r"takes no new bytes .\[store:database\] read_only"),
        ):
            with pytest.raises(error, match=said):
                moved(glare.services, *wish)
        with pytest.raises(InvalidParameterValue, match=r"set read_only = true in \[store:file\]"):
            moved(glare.services, drain=True)


def test_readers_and_writers_notice_nothing(tmp_path: Path) -> None:
    """While everything goes to the other store and back, downloads are whole, and uploads and deletions work."""
    text = TEXT.format(directory=tmp_path) + "[store]\nremoval_delay = 60\n"
    with running(tmp_path, text) as glare:
        data = {number: secrets.token_bytes(40_000 + number) for number in range(12)}
        made = {number: stored(glare, one) for number, one in data.items()}
        ended = threading.Event()
        wrong: list[object] = []

        def read() -> None:
            while not ended.is_set():
                for number, one in made.items():
                    answer = glare.alice.download(one, "image")
                    if answer.content != data[number]:
                        wrong.append((answer.status_code, answer.text[:200]))

        def write() -> None:
            while not ended.is_set():
                one = stored(glare, b"comes and goes")
                if glare.alice.download(one, "image").content != b"comes and goes":
                    wrong.append(one)
                if glare.alice.delete(one).status_code != 204:
                    wrong.append(one)

        threads = [threading.Thread(target=read), threading.Thread(target=write)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(4):
                moved(glare.services)
                moved(glare.services, "second", "file")
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert {row(glare, one)[0] for one in made.values()} == {"file"}
        assert leftovers(glare) == {}


def test_a_repair_does_not_write_to_a_store_that_takes_nothing(tmp_path: Path) -> None:
    """Where the damaged blob's own store is read-only, its repaired bytes go where new ones go."""
    text = TEXT.format(directory=tmp_path)
    data = secrets.token_bytes(MIB + 1)
    with running(tmp_path, text) as glare:
        bad, equal = stored(glare, data), stored(glare, data)
        file_of(glare, bad).write_bytes(bytes(len(data)))
    with running(tmp_path, f"{text}{DRAINED}[patrol]\nrate = 0\n") as glare:
        from glare.operations.upkeep.patrol import patrol

        patrol(glare.services, threading.Event())
        assert (row(glare, bad)[0], row(glare, bad)[2], row(glare, equal)[0]) == ("second", None, "file")
