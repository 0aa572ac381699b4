"""The local file store: the suite of every store, and what is special to files."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from glare.errors import (
    Conflict,
    GlareError,
    NotFound,
    StoreFailed,
    StoreFull,
    StoreMistaken,
    StoreReadOnly,
    Unavailable,
)
from glare.stores.base import Store, StoreCall
from glare.stores.conformance import StoreConformance
from glare.stores.contract import ObjectFailed
from glare.stores.filesystem import MARKER, STEP, FilesystemDriver

NAME = "0123456789abcdef0123456789abcdef"
MIB = 1 << 20


def make(directory: Path, reserve: int = 0) -> Store:
    store = Store(FilesystemDriver(directory, name="local", reserve=reserve))
    store.initialise()
    return store


def put(store: Store, name: str, data: bytes, expected: int | None = None) -> None:
    with store.create(name, expected) as writer:
        writer.write(data)
        writer.commit()


def files(directory: Path) -> list[str]:
    """The files below a directory, without the marker."""
    found = (path for path in directory.rglob("*") if path.is_file() and path.name != MARKER)
    return sorted(str(path.relative_to(directory)) for path in found)


class Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


def write_for_ever(sink: Sink) -> None:
    """Until it raises."""
    while True:
        sink.write(bytes(4096))


class TestFilesystem(StoreConformance):
    def make_store(self, tmp_path: Path) -> Store:
        return make(tmp_path / "store")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        if os.environ.get("GLARE_TEST_REQUIRE") == "all":
            pytest.fail(f"a file system could not be mounted: {mounted.stderr.strip()}")
        pytest.skip(f"this machine lets the tests mount no file system: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_said_and_leaves_nothing(small_disk: Path) -> None:
    """When the disk fills up in the middle, the upload is refused as full, its space is free again, and a small one
    fits.
    """
    store = make(small_disk / "store")
    store.check()
    before = store.free_space()
    with store.create(NAME) as writer, pytest.raises(StoreFull, match="'local' is full"):
        write_for_ever(writer)
    assert files(small_disk) == []
    assert store.free_space() == before
    put(store, NAME, b"small")
    assert files(small_disk) == [f"store/objects/01/23/{NAME}"]


def test_a_disk_too_full_to_begin_is_said(small_disk: Path) -> None:
    """With not one byte free, creating is refused before anything is written."""
    store = make(small_disk / "store")
    store.check()
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as out, pytest.raises(OSError, match="No space"):
        write_for_ever(out)
    with pytest.raises(StoreFull):
        store.create(NAME)
    assert files(small_disk) == ["filler"]


def test_a_known_size_that_does_not_fit_is_refused_at_once(small_disk: Path) -> None:
    """A declared size beyond the free space is refused before a byte is taken."""
    store = make(small_disk / "store")
    with pytest.raises(StoreFull, match=r"26214400 more do not fit"):
        store.create(NAME, 25 * MIB)
    assert files(small_disk) == []


def test_the_reserve_is_kept_free(small_disk: Path) -> None:
    """Free space down to the reserve is used and no more, and the refusal names the option and its value."""
    reserve = 23 * MIB
    store = make(small_disk / "store", reserve=reserve)
    store.check()
    free = store.free_space()
    assert free is not None
    assert 0 < free <= MIB
    with pytest.raises(StoreFull, match=rf"{reserve} of them in reserve \(\[store\] free_space_reserve\)"):
        store.create(NAME, free + 1)
    put(store, NAME, bytes(free // 2), free // 2)


def test_the_reserve_is_kept_while_an_upload_of_unknown_size_grows(small_disk: Path) -> None:
    """A stream without a declared length is stopped at the reserve, before the disk is full, and leaves nothing."""
    store = make(small_disk / "store", reserve=12 * MIB)
    with store.create(NAME) as writer, pytest.raises(StoreFull, match="in reserve"):
        write_for_ever(writer)
    assert writer.size < STEP
    assert files(small_disk) == []


def test_a_limit_on_file_sizes_is_said(tmp_path: Path) -> None:
    """A process that may not write files so large says that the store does not take them, and leaves nothing."""
    script = (
        "import resource, sys, pathlib\n"
        "from glare.stores.base import Store\n"
        "from glare.stores.filesystem import FilesystemDriver\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\n"
        "store = Store(FilesystemDriver(pathlib.Path(sys.argv[1]), name='local'))\n"
        "store.initialise()\n"
        "try:\n"
        "    with store.create('0123456789abcdef') as writer:\n"
        "        writer.write(bytes(200000))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("StoreFull Store 'local' takes no object this large")
    assert files(tmp_path) == []


def test_a_crash_leaves_only_a_temporary_that_the_sweep_removes(tmp_path: Path) -> None:
    """A writer whose process is killed leaves no object; its temporary goes once it is old enough, and not before."""
    script = (
        "import os, signal, sys, pathlib\n"
        "from glare.stores.base import Store\n"
        "from glare.stores.filesystem import FilesystemDriver\n"
        "store = Store(FilesystemDriver(pathlib.Path(sys.argv[1]), name='local'))\n"
        "store.initialise()\n"
        "writer = store.create('0123456789abcdef')\n"
        "writer.write(b'half')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    store = make(tmp_path)
    [left] = files(tmp_path)
    assert left.startswith("temporaries/0123456789abcdef.")
    with pytest.raises(NotFound):
        store.size("0123456789abcdef")
    assert store.sweep_temporaries(3600) == 0
    long_ago = time.time() - 7200
    os.utime(tmp_path / left, (long_ago, long_ago))
    assert store.sweep_temporaries(3600) == 1
    assert files(tmp_path) == []


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    """Processes that begin with no directory at all store their objects, and one of two with the same name wins."""
    script = (
        "import sys, pathlib, time\n"
        "from glare.errors import Conflict\n"
        "from glare.stores.base import Store\n"
        "from glare.stores.filesystem import FilesystemDriver\n"
        "store = Store(FilesystemDriver(pathlib.Path(sys.argv[1]), name='local'))\n"
        "sys.stdin.readline()\n"
        "store.initialise()\n"
        "for name in [sys.argv[2] * 16 + f'{n:04x}' for n in range(20)] + ['feedfeedfeed']:\n"
        "    try:\n"
        "        with store.create(name) as writer:\n"
        "            writer.write(sys.argv[2].encode() * 1000)\n"
        "            writer.commit()\n"
        "    except Conflict:\n"
        "        print('lost')\n"
    )
    directory = tmp_path / "deep" / "store"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(directory), digit],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for digit in "0a5"
    ]
    ends = [process.communicate("go\n", timeout=60) for process in running]
    assert [error for _, error in ends] == ["", "", ""]
    assert sorted(out for out, _ in ends) == ["", "lost\n", "lost\n"]
    assert len(files(directory)) == 61
    assert make(directory).sweep_temporaries(0) == 0


def test_files_are_for_the_service_alone(tmp_path: Path) -> None:
    """Objects may hold secrets: only the user of the service may read files and enter directories."""
    store = make(tmp_path / "store")
    put(store, NAME, b"secret")
    for path in [tmp_path / "store", *(tmp_path / "store").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_an_object_deleted_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    """A download that has begun is not cut by a deletion."""
    store = make(tmp_path)
    data = secrets.token_bytes(3 * MIB)
    put(store, NAME, data)
    with store.open(NAME) as reader:
        first = reader.read(10)
        assert store.delete(NAME)
        rest = b"".join(iter(lambda: reader.read(MIB), b""))
    assert first + rest == data


def test_a_place_that_cannot_be_used_is_refused_by_the_check(tmp_path: Path) -> None:
    """A directory that is a file cannot be initialised; one that became a file fails the check."""
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(Unavailable, match=r"cannot write and link files in .*/file"):
        make(tmp_path / "file")
    store = make(tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "away")
    (tmp_path / "store").write_text("no directory")
    with pytest.raises(Unavailable, match="is not at its place"):
        store.check()


def every_call(store: Store) -> list[Callable[[], object]]:
    """All that a store can be asked, once it is initialised."""
    return [
        store.check,
        store.free_space,
        lambda: store.create(NAME),
        *(partial(call, NAME) for call in (store.open, store.size, store.path, store.delete)),
    ]


def test_a_directory_that_vanished_is_not_made_again(tmp_path: Path) -> None:
    """Without its directory, or with an empty one as below an unmounted volume, a store refuses all and makes nothing.

    Once the directory is back, so is the store.
    """
    store, place = make(tmp_path / "store"), tmp_path / "store"
    put(store, NAME, b"one")
    place.rename(tmp_path / "away")
    for _ in range(2):
        for call in every_call(store):
            with pytest.raises(Unavailable, match="has no marker"):
                call()
        assert not place.exists() or list(place.iterdir()) == []
        place.mkdir(exist_ok=True)
    place.rmdir()
    (tmp_path / "away").rename(place)
    store.check()
    assert store.size(NAME) == 3


def test_a_directory_that_vanishes_in_the_middle_of_an_upload_is_said(tmp_path: Path) -> None:
    """An upload that has begun is refused at its commit as one that begins later."""
    store = make(tmp_path / "store")
    with store.create(NAME) as writer:
        writer.write(b"one")
        (tmp_path / "store").rename(tmp_path / "away")
        with pytest.raises(Unavailable, match="has no marker"):
            writer.commit()


def test_the_directory_of_another_store_is_refused(tmp_path: Path) -> None:
    """A directory that another one has taken the place of is not used, though it is a store's."""
    store, place = make(tmp_path / "store"), tmp_path / "store"
    put(store, NAME, b"one")
    put(make(tmp_path / "other"), NAME, b"two")
    place.rename(tmp_path / "away")
    (tmp_path / "other").rename(place)
    for call in every_call(store):
        with pytest.raises(Unavailable, match="another store's marker"):
            call()


def test_a_store_with_objects_is_initialised_nowhere_else(tmp_path: Path) -> None:
    """An empty or missing directory is made a store's where no object is known; where some are, it is refused and
    left.
    """
    missing, empty = FilesystemDriver(tmp_path / "missing", name="local"), FilesystemDriver(tmp_path, name="local")
    for driver in (missing, empty):
        with pytest.raises(Unavailable, match="Mount the volume"):
            Store(driver).initialise([NAME])
    assert list(tmp_path.iterdir()) == []
    for driver in (missing, empty):
        Store(driver).initialise()
        Store(driver).check()


def test_a_directory_from_before_the_marker_is_known_by_its_objects(tmp_path: Path) -> None:
    """A directory without a marker that has one of the known objects gets a marker, and keeps its objects."""
    put(make(tmp_path), NAME, b"old")
    (tmp_path / MARKER).unlink()
    store = Store(FilesystemDriver(tmp_path, name="local"))
    store.initialise(["fedcba9876543210", NAME])
    assert store.size(NAME) == 3
    marker = (tmp_path / MARKER).read_text()
    store.initialise([])
    assert (tmp_path / MARKER).read_text() == marker
    (tmp_path / MARKER).unlink()
    store.initialise([NAME], "what-the-database-knows")
    assert store.identity() == "what-the-database-knows"


def test_a_store_that_the_database_knows_is_made_nowhere_else(tmp_path: Path) -> None:
    """Also one without any blob: an empty directory is none that was used before."""
    store = Store(FilesystemDriver(tmp_path / "empty", name="local"))
    with pytest.raises(Unavailable, match=r"was used before.*glare-server stores adopt local"):
        store.initialise([], "known")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        (b"plain-1\n", "plain-1"),
        (b"  two words\n", "sha256:" + hashlib.sha256(b"two words").hexdigest()),
        (b"\xff" * 300, "sha256:" + hashlib.sha256(b"\xff" * 300).hexdigest()),
        (b"", "sha256:" + hashlib.sha256(b"").hexdigest()),
    ],
)
def test_a_marker_made_by_hand_is_an_identity(tmp_path: Path, text: bytes, identity: str) -> None:
    """Whatever a person has written into the marker tells this directory from others."""
    (tmp_path / MARKER).write_bytes(text)
    assert Store(FilesystemDriver(tmp_path, name="local")).identity() == identity


def test_another_store_than_the_database_knows_is_not_worked_with(tmp_path: Path) -> None:
    """Nothing is read, written, listed, swept or removed in a directory with another identity than the recorded one."""
    make(tmp_path)
    driver = FilesystemDriver(tmp_path, name="local", recorded=lambda: "another")
    store = Store(driver)
    for call in (
        store.check,
        lambda: store.create(NAME),
        lambda: store.open(NAME),
        lambda: store.size(NAME),
        lambda: store.path(NAME),
        lambda: store.delete(NAME),
        store.free_space,
        lambda: list(store.entries()),
        lambda: store.sweep_temporaries(0),
    ):
        with pytest.raises(StoreMistaken, match="another store's marker"):
            call()


def test_the_database_is_asked_again_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process believes the recorded identity for a minute; then it notices that the store was given another place."""
    make(tmp_path)
    known = [Store(FilesystemDriver(tmp_path, name="local")).identity()]
    asked: list[None] = []

    def recorded() -> str | None:
        asked.append(None)
        return known[0]

    now = [100.0]
    monkeypatch.setattr("glare.stores.filesystem.time.monotonic", lambda: now[0])
    store = Store(FilesystemDriver(tmp_path, name="local", recorded=recorded))
    for _ in range(3):
        store.free_space()
    assert len(asked) == 1
    known[0] = "another"
    store.free_space()
    now[0] += 61
    with pytest.raises(StoreMistaken):
        store.free_space()
    (tmp_path / MARKER).write_text("another\n")
    store.free_space()


class BrokenDriver(FilesystemDriver):
    """Says what a broken disk says."""

    number = errno.EIO

    def size(self, object_name: str) -> int:
        raise OSError(self.number, os.strerror(self.number), f"/somewhere/{object_name}")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.ENOENT, NotFound),
        (errno.EEXIST, Conflict),
        (errno.EROFS, StoreReadOnly),
        (errno.EACCES, StoreFailed),
        (errno.EPERM, StoreFailed),
        (errno.EMFILE, StoreFailed),
        (errno.ENFILE, StoreFailed),
        (errno.ENOMEM, StoreFailed),
        (errno.ESTALE, StoreFailed),
        (errno.ETIMEDOUT, StoreFailed),
        (errno.ENODEV, StoreFailed),
        (errno.EIO, ObjectFailed),
        (errno.ENOTDIR, ObjectFailed),
    ],
)
def test_errors_of_the_system_get_a_name_and_keep_their_path(
    tmp_path: Path, number: int, expected: type[GlareError]
) -> None:
    """An error of the operating system becomes one of Glare's, whose sentence names the store and no path."""
    driver = BrokenDriver(tmp_path, name="broken")
    driver.number = number
    calls: list[StoreCall] = []
    with pytest.raises(GlareError) as raised:
        Store(driver, calls.append).size(NAME)
    assert type(raised.value) is expected
    assert "'broken'" in raised.value.message
    assert "/somewhere" not in raised.value.message
    assert [(call.action, call.object, call.failed) for call in calls] == [("size", NAME, expected.code)]


def test_every_call_is_reported_once(tmp_path: Path) -> None:
    """An observer hears of a write, a read and a deletion once each, with the bytes that went through."""
    calls: list[StoreCall] = []
    make(tmp_path)
    store = Store(FilesystemDriver(tmp_path, name="local"), calls.append)
    put(store, NAME, b"12345")
    with store.open(NAME, 1) as reader:
        reader.read(100)
    store.delete(NAME)
    assert [(call.action, call.bytes, call.failed) for call in calls] == [
        ("write", 5, None),
        ("read", 4, None),
        ("delete", 0, None),
    ]


def test_an_upload_can_be_cancelled_from_its_thread_while_others_run(tmp_path: Path) -> None:
    """Cancelled and committed writers in threads leave exactly the committed objects."""
    store = make(tmp_path)

    def write(number: int) -> None:
        with store.create(f"{number:08x}") as writer:
            writer.write(bytes(1000))
            if number % 2:
                writer.commit()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Path(name).name for name in files(tmp_path)] == [f"{number:08x}" for number in range(1, 20, 2)]


def test_bytes_that_are_missing_are_told_to_the_operator(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The client of a lost object gets a 404; the log says which file is missing."""
    with pytest.raises(NotFound):
        make(tmp_path).open(NAME, 0, None)
    assert NAME in caplog.text


def test_only_objects_are_listed(tmp_path: Path) -> None:
    """Files of other names or in other places, directories, and what a file system keeps there are none of the
    store's.
    """
    store = make(tmp_path / "store")
    put(store, NAME, b"object")
    objects = tmp_path / "store" / "objects"
    (objects / "01" / "23" / "notes.txt").write_text("an administrator's")
    (objects / "01" / "23" / "fedcba9876543210").write_text("in the wrong place")
    (objects / "01" / "23" / "0123456700").mkdir()
    (objects / "01" / "stray").write_text("no directory")
    (objects / "lost+found").mkdir()
    assert [entry.name for entry in store.entries()] == [NAME]


def test_a_list_that_is_left_early_is_no_error(tmp_path: Path) -> None:
    """Whoever has seen enough of a list is not counted as a failure of the store; a store that fails meanwhile is."""
    calls: list[StoreCall] = []
    store = Store(FilesystemDriver(tmp_path / "store", name="local"), calls.append)
    store.initialise()
    for name in ("0123456789", "0123456780"):
        put(store, name, b"x")
    calls.clear()
    entries = store.entries()
    assert next(entries).name == "0123456780"
    entries.close()
    assert [(call.action, call.failed) for call in calls] == [("list", None)]
    (tmp_path / "store" / MARKER).unlink()
    with pytest.raises(Unavailable):
        list(store.entries())
    assert calls[-1].failed == "Unavailable"
