"""What stores keep is checked on its way out: damage, other sources of the same bytes, blobs that change while they are
read.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import delete, select, text, update

from glare.db.tables import blobs, content_blocks, contents, doomed_objects, stored_chunks, stored_objects
from glare.errors import Unavailable
from glare.operations.upkeep.sweep import sweep
from glare.stores.base import Reader, Store
from glare.types.images import Image
from support.conversation import Answer, Conversation, eventually
from support.runs.clock import Clock
from support.service import Glare, Json, path_of, running

MIB = 1 << 20
DATA = bytes(range(256)) * 4096 + bytes(reversed(range(256))) * 4096 + b"the end" * 1000
"""Two whole blocks and a short one."""

IN_DATABASE = "[artifact_type:images]\ndefault_store = database\n"
SPANS = [None, (0, 9), (MIB - 5, MIB + 5), (10, 2 * MIB + 100), (2 * MIB + 1, 2 * MIB + 2)]


@pytest.fixture(params=["file", "database"])
def glare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Glare]:
    """A service that keeps images in either store."""
    with running(tmp_path, IN_DATABASE if request.param == "database" else "") as service:
        yield service


def image(glare: Glare, data: bytes = DATA, actor: str = "alice") -> Json:
    """An active image with these bytes."""
    owner = getattr(glare, actor)
    made = owner.create("images", name=secrets.token_hex(4), disk_format="raw", container_format="bare")
    owner.upload(made, "image", data)
    return cast(Json, owner.activate(made))


def object_of(glare: Glare, artifact: Json) -> tuple[str, str]:
    """Store and name of an image's object."""
    with glare.services.db.read() as connection:
        found = select(blobs.c.store, blobs.c.object).where(blobs.c.artifact_id == artifact["id"])
        row = connection.execute(found).one()
    return row.store, row.object


def damage_of(glare: Glare, artifact: Json) -> str | None:
    with glare.services.db.read() as connection:
        row = connection.execute(select(blobs.c.damage).where(blobs.c.artifact_id == artifact["id"])).one()
    return cast("str | None", row.damage)


def flip(glare: Glare, artifact: Json, at: int) -> None:
    """Change one bit of an image's stored bytes behind the service's back."""
    store, name = object_of(glare, artifact)
    if store == "file":
        [path] = [path for path in glare.objects() if path.name == name]
        raw = bytearray(path.read_bytes())
        raw[at] ^= 4
        path.write_bytes(raw)
        return
    with glare.services.db.write() as connection:
        object_id = connection.execute(select(stored_objects.c.id).where(stored_objects.c.object == name)).scalar_one()
        mine = (stored_chunks.c.object_id == object_id) & (stored_chunks.c.sequence == at // MIB)
        raw = bytearray(connection.execute(select(stored_chunks.c.data).where(mine)).scalar_one())
        raw[at % MIB] ^= 4
        connection.execute(update(stored_chunks).where(mine).values(data=bytes(raw)))


def get(
    glare: Glare,
    artifact: Json,
    span: tuple[int, int] | None = None,
    *,
    actor: str = "alice",
    sends_files: bool = True,
) -> Answer:
    """What a client receives, whether or not it is broken off; of a server that could send files by itself."""
    headers = {"Range": f"bytes={span[0]}-{span[1]}"} if span else {}
    path = f"{path_of(artifact)}/image"
    request = Conversation(glare, "GET", path, headers, actor=actor)
    with request.with_files() if sends_files else request as download:
        download.end()
        return download.answer()


@pytest.mark.parametrize("at", [0, MIB, 2 * MIB + 6999])
def test_no_wrong_bit_leaves_any_store(glare: Glare, at: int) -> None:
    """One bit anywhere: what is sent is right, a bad first block is a clean 500, a later one breaks the download
    off.
    """
    for span in SPANS:
        data = secrets.token_bytes(8) + DATA[8:]  # Which no other image has.
        made = image(glare, data)
        flip(glare, made, at)
        first, last = span or (0, len(data) - 1)
        bad = at // MIB
        answer = get(glare, made, span)
        if not first // MIB <= bad <= last // MIB:
            assert (answer.status, answer.complete, answer.body == data[first : last + 1]) == (206, True, True)
            assert damage_of(glare, made) is None
            continue
        assert damage_of(glare, made) == "differs"
        if first // MIB == bad or (span is not None and last - first < 65536):
            assert (answer.status, answer.headers["x-glare-error-code"]) == (500, "BlobDamaged")
        else:
            assert not answer.complete
            assert answer.body == data[first : bad * MIB]


def test_what_a_reader_finds_is_told(glare: Glare) -> None:
    """The object is marked once, in the row, the audit log, an event, and metrics; later readers are refused at
    once.
    """
    made = image(glare)
    flip(glare, made, 7)
    assert get(glare, made).status == 500
    for _ in range(2):
        assert get(glare, made).status == 500
        assert get(glare, made, (2 * MIB, 2 * MIB + 1)).status == 500
    entries = glare.admin.request("GET", f"/audit?artifact={made['id']}&action=blob_damaged").json()["audit"]
    assert [(entry["target"], entry["user"]) for entry in entries] == [("image", None)]
    assert "block 0" in entries[0]["detail"]["found"]
    assert glare.events().count("blob_damaged") == 1
    numbers = glare.stranger.request("GET", "/metrics").text
    store, _ = object_of(glare, made)
    assert f'glare_stored_bytes_failures_total{{reason="differs",store="{store}"}} 1.0' in numbers
    assert "glare_damaged_blobs 1.0" in numbers


@pytest.mark.parametrize("at", [5, MIB + 5, 2 * MIB + 5])
def test_a_copy_takes_over(glare: Glare, at: int) -> None:
    """Where another artifact that the caller may read has the same bytes, the caller notices nothing, now and
    afterwards.
    """
    for span in SPANS:
        data = secrets.token_bytes(4) + DATA[4:]
        made, _ = image(glare, data), image(glare, data)
        flip(glare, made, at)
        first, last = span or (0, len(data) - 1)
        for _ in range(2):
            answer = get(glare, made, span)
            assert (answer.status, answer.complete) == (206 if span else 200, True)
            assert answer.body == data[first : last + 1]
        assert damage_of(glare, made) == ("differs" if first // MIB <= at // MIB <= last // MIB else None)


def test_a_copy_takes_over_for_lost_bytes(glare: Glare) -> None:
    """An object that is gone is delivered by another artifact's; it is counted, and not marked: another node may have
    it.
    """
    made = image(glare)
    image(glare)
    store, name = object_of(glare, made)
    glare.services.stores[store].delete(name)
    assert get(glare, made).body == DATA
    assert get(glare, made, (5, 9)).body == DATA[5:10]
    assert damage_of(glare, made) is None
    assert f'reason="missing",store="{store}"' in glare.stranger.request("GET", "/metrics").text


def test_copies_of_others_are_no_copies(glare: Glare) -> None:
    """What the caller may not read does not help, so that success tells nobody what others have; what is public
    does.
    """
    made = image(glare)
    theirs = image(glare, actor="bob")
    flip(glare, made, 5)
    assert [get(glare, made).status for _ in range(2)] == [500, 500]
    assert glare.admin.publish(theirs)["visibility"] == "public"
    assert [get(glare, made).body == DATA for _ in range(2)] == [True, True]


def test_copies_that_are_damaged_at_different_blocks_are_one_whole(glare: Glare) -> None:
    """Each object gives the blocks that are right, also those after a block of it that was not."""
    made = [image(glare) for _ in range(3)]
    for block, one in enumerate(made):
        flip(glare, one, block * MIB + 3)
    answer = get(glare, made[0])
    assert (answer.status, answer.complete, answer.body == DATA) == (200, True, True)


def test_what_is_marked_is_asked_last(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once an object is known to be damaged, its copy is read alone."""
    made, copy = image(glare), image(glare)
    flip(glare, made, 5)
    assert get(glare, made).complete
    store, name = object_of(glare, copy)
    opened = watched(glare, store, monkeypatch)
    assert get(glare, made).body == DATA
    assert set(opened) == {name}


def watched(glare: Glare, store: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the objects that are opened from now on."""
    opened: list[str] = []
    original = glare.services.stores[store].open

    def open_and_note(name: str, offset: int = 0, length: int | None = None) -> Reader:
        opened.append(name)
        return original(name, offset, length)

    monkeypatch.setattr(glare.services.stores[store], "open", open_and_note)
    return opened


def test_a_fault_on_the_way_is_no_damage(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are wrong once and right when they are read again are served, and nothing is marked."""
    made = image(glare)
    original, faults = Reader.read, iter([1, 1])

    def read(reader: Reader, n: int) -> bytes:
        data = original(reader, n)
        return bytes([data[0] ^ next(faults)]) + data[1:] if data and reader.size > MIB and next(faults, 0) else data

    monkeypatch.setattr(Reader, "read", read)
    assert get(glare, made).body == DATA
    assert damage_of(glare, made) is None


@pytest.mark.parametrize("span", [None, (MIB + 5, MIB + 9)])
@pytest.mark.parametrize("lost", ["all", "half"])
def test_blocks_that_nobody_recorded_are_recorded(glare: Glare, span: tuple[int, int] | None, lost: str) -> None:
    """Without digests of blocks the whole object is compared with its sha256, and then its blocks are known again."""
    made = image(glare)
    sha256 = hashlib.sha256(DATA).hexdigest()
    with glare.services.db.write() as connection:
        before = connection.execute(select(content_blocks.c.digests)).scalar_one()
        connection.execute(delete(content_blocks))
        if lost == "all":
            connection.execute(delete(contents))
    first, last = span or (0, len(DATA) - 1)
    assert get(glare, made, span).body == DATA[first : last + 1]
    with glare.services.db.read() as connection:
        rows = connection.execute(select(content_blocks.c.sha256, content_blocks.c.digests)).all()
    assert [tuple(row) for row in rows] == [(sha256, before)]


def test_without_recorded_blocks_no_wrong_bit_leaves_either(glare: Glare) -> None:
    """A range of right bytes out of a wrong whole is refused, where nothing says that just these are right."""
    made = image(glare)
    flip(glare, made, 2 * MIB + 5)
    with glare.services.db.write() as connection:
        connection.execute(delete(content_blocks))
        connection.execute(delete(contents))
    assert get(glare, made, (0, 9)).status == 500
    assert damage_of(glare, made) == "differs"
    with glare.services.db.read() as connection:
        assert connection.execute(select(content_blocks.c.digests)).all() == []


class Upper:
    """A stream in capital letters."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        return cast(bytes, self._stream.read(size)).upper()


def test_what_a_type_rewrites_was_checked(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """A type's download hook is given right bytes only, and a damaged first block is a clean 500 there too."""
    spec = glare.services.types.get("images")
    object.__setattr__(spec, "hooks", replace(spec.hooks, download=True))  # Of this service alone.
    monkeypatch.setattr(Image, "download", lambda self, artifact, field, key, stream: Upper(stream))
    made = image(glare, b"a text" * 300_000)
    answer = get(glare, made)
    assert (answer.status, answer.body) == (200, b"A TEXT" * 300_000)
    flip(glare, made, MIB + 5)
    answer = get(glare, made)
    assert not answer.complete
    assert b"A TEXT" * 300_000 != answer.body == (b"A TEXT" * 300_000)[: len(answer.body)]
    assert damage_of(glare, made) == "differs"
    assert get(glare, made).status == 500


def test_a_database_that_fails_for_a_moment_breaks_off_no_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the removal of what is read cannot be put off now, the reader goes on."""
    with running(tmp_path, DELAYED) as glare:
        clock = Clock(glare)
        made = draft(glare, DATA * 3)

        def failing(*_: object) -> None:
            raise Unavailable

        with Conversation(glare, "GET", f"{path_of(made)}/image", hold_after=1) as download:
            download.end()
            eventually(lambda: download.received)
            monkeypatch.setattr("glare.db.blobs.hold", failing)
            clock.forward(50)
            download.go_on()
            assert download.answer().body == DATA * 3


def test_small_blobs_are_checked(glare: Glare) -> None:
    """What is read and sent at once is compared too, whole or in part."""
    made = image(glare, b"a small one")
    assert (get(glare, made).body, get(glare, made, (2, 6)).body) == (b"a small one", b"small")
    flip(glare, made, 10)
    assert [get(glare, made, span).status for span in ((0, 1), None)] == [500, 500]


def test_whole_files_of_a_store_that_is_trusted_are_sent_by_the_server(tmp_path: Path) -> None:
    """With `[store] unchecked_files` the server gets the path of a whole file; ranges are checked all the same, and so
    is the rest without it.
    """

    def sends(glare: Glare, made: Json) -> bool:
        with Conversation(glare, "GET", f"{path_of(made)}/image").with_files() as download:
            download.end()
            download.wait()
            return any(message["type"] == "http.response.pathsend" for message in download._sent)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with running(tmp_path / "a", "[store]\nunchecked_files = file\n") as glare:
        made = image(glare)
        assert sends(glare, made)
        flip(glare, made, 5)
        assert sends(glare, made)
        assert get(glare, made, (0, 3)).status == 500
        assert get(glare, made).status == 500  # It is marked by now.
    with running(tmp_path / "b") as glare:
        assert not sends(glare, image(glare))


def draft(glare: Glare, data: bytes) -> Json:
    made = glare.alice.create("images", name=secrets.token_hex(4), disk_format="raw", container_format="bare")
    return glare.alice.upload(made, "image", data)


def before_the_next_open(glare: Glare, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """Do something between the look at a row and the look at its bytes: as the store is asked next."""
    stores = cast(dict[str, Store], glare.services.stores)
    for name, store in stores.items():
        for method in ("open", "size"):
            original = getattr(store, method)

            def first_act(*args: Any, original: Any = original) -> Any:
                monkeypatch.undo()
                act()
                return original(*args)

            monkeypatch.setattr(stores[name], method, first_act)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("ranged", [False, True])
def test_a_blob_that_is_replaced_before_it_is_opened_is_the_new_one(
    glare: Glare, monkeypatch: pytest.MonkeyPatch, large: bool, ranged: bool
) -> None:
    """A reader who has seen the old row gets the new bytes, with the headers of the new bytes, never 404."""
    old, new = (DATA, DATA[::-1] + b"more") if large else (b"the old one", b"the newer one")
    made = draft(glare, old)
    before_the_next_open(glare, monkeypatch, lambda: glare.alice.upload(made, "image", new))
    span = (1, len(old) - 2) if ranged else None
    answer = get(glare, made, span)
    assert answer.status == (206 if ranged else 200)
    assert answer.headers["etag"] == f'"{hashlib.sha256(new).hexdigest()}"'
    assert answer.body == (new[1 : len(old) - 1] if ranged else new)
    assert int(answer.headers["content-length"]) == len(answer.body)


def test_a_blob_that_is_gone_before_it_is_opened_is_gone(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of what somebody deletes hears that it is not there."""
    made = draft(glare, DATA)
    before_the_next_open(glare, monkeypatch, lambda: glare.alice.delete(made))
    assert get(glare, made).status == 404


DELAYED = "[store]\nremoval_delay = 60\n"


@pytest.mark.parametrize("store", ["file", "database"])
def test_a_download_that_has_begun_ends_with_its_bytes(tmp_path: Path, store: str) -> None:
    """A blob that is replaced while it is read is read to its end, however long that takes; then the old object
    goes.
    """
    with running(tmp_path, (IN_DATABASE if store == "database" else "") + DELAYED) as glare:
        data = DATA * 3
        clock = Clock(glare)
        made = draft(glare, data)
        path = f"{path_of(made)}/image"
        with Conversation(glare, "GET", path, hold_after=1) as download:
            download.end()
            eventually(lambda: download.received)
            glare.alice.upload(made, "image", b"the new one")
            clock.forward(30)
            sweep(glare.services)
            download.go_on()
            assert download.answer().body == data
        assert get(glare, made).body == b"the new one"
        clock.forward(200)
        sweep(glare.services)
        assert glare.leftovers() == {}


def test_a_long_download_prolongs_what_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While bytes are taken of an object that is let go of, its removal is put off again and again."""
    with running(tmp_path, IN_DATABASE + DELAYED) as glare:
        data = DATA * 3
        clock = Clock(glare)
        made = draft(glare, data)
        original = Reader.read

        def slowly(reader: Reader, n: int) -> bytes:
            clock.forward(25)
            sweep(glare.services)
            return original(reader, n)

        path = f"{path_of(made)}/image"
        with Conversation(glare, "GET", path, hold_after=1) as download:
            download.end()
            eventually(lambda: download.received)
            glare.alice.upload(made, "image", b"the new one")
            monkeypatch.setattr(Reader, "read", slowly)
            download.go_on()
            assert download.answer().body == data
        monkeypatch.undo()
        with glare.services.db.read() as connection:
            assert connection.execute(select(doomed_objects.c.object)).all() != []
        clock.forward(200)
        sweep(glare.services)
        assert glare.leftovers() == {}


@pytest.mark.parametrize("store", ["file", "database"])
def test_a_deleted_artifact_is_read_to_the_end(tmp_path: Path, store: str) -> None:
    """The bytes of an artifact that is deleted while it is read stay for its readers."""
    with running(tmp_path, (IN_DATABASE if store == "database" else "") + DELAYED) as glare:
        made = draft(glare, DATA * 3)
        with Conversation(glare, "GET", f"{path_of(made)}/image", hold_after=1) as download:
            download.end()
            eventually(lambda: download.received)
            assert glare.alice.delete(made).status_code == 204
            sweep(glare.services)
            download.go_on()
            assert download.answer().body == DATA * 3
        assert get(glare, made).status == 404
        with glare.services.db.write() as connection:
            connection.execute(text("UPDATE doomed_objects SET not_before = 0"))
        sweep(glare.services)
        assert glare.leftovers() == {}
