"""Archives that a type unpacks into a folder: all of it, or nothing."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from glare.operations.blobs import unpack as unpacking
from glare.operations.slots.staged_data import StagedData
from glare.stores.base import Writer
from support.conversation import Conversation, eventually
from support.origins.origin import Origin
from support.runs.truth import recover
from support.sample_types import Refusing
from support.service import BYTES, Glare, Json, path_of, running
from support.zips import LOCAL, packed, patched

pytestmark = pytest.mark.sqlite  # What is sent is the same on each database.

FILES = {"aaa.txt": b"first", "folder1/bbb.txt": b"second" * 1000, "folder1/folder2/ccc.txt": b""}
ZIP, CRATE = "unpacking_artifact", "crate_artifact"


@pytest.fixture
def artifact(glare: Glare) -> Json:
    """A drafted artifact of the type that unpacks its `zip` into `content`."""
    return glare.alice.create(ZIP, name="unpacked")


@pytest.fixture
def crate(glare: Glare) -> Json:
    """A drafted artifact of the type that unpacks in other ways."""
    return glare.alice.create(CRATE, name="crate")


def stored(glare: Glare, artifact: Json, folder: str = "content") -> dict[str, bytes]:
    """The bytes of everything in a folder, downloaded."""
    document = glare.alice.show(artifact)[folder]
    assert all(blob["status"] == "active" for blob in document.values())
    return {key: glare.alice.download(artifact, f"{folder}/{key}").content for key in document}


def refusal(glare: Glare, artifact: Json, path: str, data: Any, status: int, **options: Any) -> str:
    """The message of an upload that is refused, after a look that nothing has changed."""
    before = glare.alice.show(artifact), glare.usage("wonderland"), glare.objects(), glare.events()
    answer = glare.alice.try_upload(artifact, path, data, **options)
    assert answer.status_code == status, answer.text
    after = glare.alice.show(artifact), glare.usage("wonderland"), glare.objects(), glare.events()
    assert {**after[0], "updated_at": None} == {**before[0], "updated_at": None}
    assert after[1:] == before[1:]
    assert glare.leftovers() == {}
    return str(answer.json()["error"]["message"])


def test_an_archive_and_its_members_become_visible_together(glare: Glare, artifact: Json) -> None:
    """An archive is stored with its members under their paths, as one change with one event, and counted in the
    quota.
    """
    archive = packed(FILES)
    events = len(glare.events())
    document = glare.alice.upload(artifact, "zip", archive)
    assert document["zip"]["size"] == len(archive)
    assert {key: blob["size"] for key, blob in document["content"].items()} == {k: len(v) for k, v in FILES.items()}
    assert {blob["content_type"] for blob in document["content"].values()} == {BYTES}
    assert glare.alice.show(artifact) == document
    assert stored(glare, artifact) == FILES
    assert glare.alice.download(artifact, "zip").content == archive
    assert glare.usage("wonderland") == (1, len(archive) + sum(map(len, FILES.values())))
    assert len(glare.events()) == events + 1
    assert glare.alice.delete(artifact).status_code == 204
    assert glare.usage("wonderland") == (0, 0)


def test_a_chunked_archive_is_unpacked(glare: Glare, artifact: Json) -> None:
    """An archive of no announced length is unpacked as any other."""
    archive = packed(FILES)
    glare.alice.upload(artifact, "zip", (archive[at : at + 10] for at in range(0, len(archive), 10)))
    assert stored(glare, artifact) == FILES


def test_a_second_archive_replaces_the_folder(glare: Glare, artifact: Json) -> None:
    """After another archive the folder holds what that one has, and the bytes of the first one are gone."""
    glare.alice.upload(artifact, "zip", packed(FILES))
    glare.alice.upload(artifact, "zip", packed({"aaa.txt": b"new", "ddd": b"4"}))
    assert stored(glare, artifact) == {"aaa.txt": b"new", "ddd": b"4"}
    assert len(glare.objects()) == 3
    glare.alice.upload(artifact, "zip", packed({}))
    assert stored(glare, artifact) == {}


def test_a_refused_archive_leaves_the_former_one(glare: Glare, artifact: Json) -> None:
    """What is no archive, or one that lies, is 400, and the former archive and its members are as they were."""
    glare.alice.upload(artifact, "zip", packed(FILES))
    assert "no zip archive" in refusal(glare, artifact, "zip", b"no archive", 400)
    assert "'../x'" in refusal(glare, artifact, "zip", packed({"a": b"1", "../x": b"2"}), 400)
    liar = patched(LOCAL, 14, b"\0\0\0\0", nth=2)(packed({"aaa.txt": b"1", "b": b"2", "c": b"3"}))
    assert "member 'c' is described differently" in refusal(glare, artifact, "zip", liar, 400)
    assert stored(glare, artifact) == FILES


def test_limits_of_the_contract(glare: Glare, artifact: Json) -> None:
    """An archive over 100000 bytes is 413; one of more than 255 members 400; the folder is for its type only."""
    assert "at most 100000 bytes" in refusal(glare, artifact, "zip", b"x" * 100_001, 413)
    many = packed({f"f{number}": b"" for number in range(256)})
    assert "may hold 255 blobs, and would hold 256" in refusal(glare, artifact, "zip", many, 400)
    assert glare.alice.try_upload(artifact, "content/x", b"x").status_code == 403
    glare.alice.upload(artifact, "zip", packed({f"f{number}": b"" for number in range(255)}))
    assert len(glare.alice.show(artifact)["content"]) == 255


def test_an_active_artifact_is_not_unpacked_into(glare: Glare, crate: Json, artifact: Json) -> None:
    """Once the artifact is active, no archive comes in, neither through an immutable field nor into an immutable
    folder.
    """
    glare.alice.upload(artifact, "zip", packed(FILES))
    for one, path, field in ((artifact, "zip", "zip"), (crate, "box", "files")):
        glare.alice.activate(one)
        assert f"field '{field}' is immutable" in refusal(glare, one, path, packed({"a": b"1"}), 403)
    assert stored(glare, artifact) == FILES


def test_members_beside_others(glare: Glare, crate: Json) -> None:
    """A type may keep the members only, beside what the folder has; a member replaces the blob of its key."""
    glare.alice.upload(crate, "files/mine", b"mine")
    glare.alice.upload(crate, "files/old", b"old" * 100)
    document = glare.alice.upload(crate, "box", packed({"new": b"new", "old": b"newer"}))
    assert document["box"] is None
    assert document["files"]["new"]["content_type"] == "text/plain"
    assert stored(glare, crate, "files") == {"mine": b"mine", "old": b"newer", "new": b"new"}
    assert glare.usage("wonderland") == (1, 4 + 5 + 3)
    assert len(glare.objects()) == 3


def test_a_member_may_replace_an_external_blob(glare: Glare, crate: Json, origin: Origin) -> None:
    """A member with the key of an external blob takes its place, as an upload would."""
    origin.put("/file", b"external")
    glare.alice.locate(crate, "files/a", origin.url("/file"))
    glare.alice.upload(crate, "box", packed({"a": b"1"}))
    assert stored(glare, crate, "files") == {"a": b"1"}


def test_limits_of_the_folder(glare: Glare, crate: Json) -> None:
    """Number, size and sum of the blobs, and the length of keys, are those of the folder, with what it has already."""
    glare.alice.upload(crate, "files/mine", b"x" * 900)
    four = dict.fromkeys("abcd", b"1")
    assert "would hold 6" in refusal(glare, crate, "box", packed({**four, "e": b"1"}), 400)
    assert "'files/a' may have at most 1000" in refusal(glare, crate, "box", packed({"a": bytes(1001)}), 413)
    over = {"a": bytes(1000), "b": bytes(101)}
    assert "may have 2000 bytes, and would have 2001" in refusal(glare, crate, "box", packed(over), 413)
    assert f"'{'k' * 21}'" in refusal(glare, crate, "box", packed({"k" * 21: b""}), 400)
    glare.alice.upload(crate, "box", packed({"a": bytes(1000), "b": bytes(100)}))
    glare.alice.upload(crate, "box", packed({**four, "mine": b"other"}))
    assert stored(glare, crate, "files") == {**four, "mine": b"other"}


def test_limits_that_a_type_sets(glare: Glare, crate: Json) -> None:
    """A type tightens the operator's limits for its own archives."""
    assert "may have 3" in refusal(glare, crate, "tight", packed(dict.fromkeys("abcd", b"")), 400)
    zeros = packed({"zeros": bytes(1_100_000)})
    assert "more than 50 times" in refusal(glare, crate, "tight", zeros, 413)
    plain = packed({name: bytes(1_000_001) for name in "ab"}, method=zipfile.ZIP_STORED)
    assert "may unpack to 2000000" in refusal(glare, crate, "tight", plain, 413)


@pytest.fixture
def narrow(tmp_path: Any) -> Iterator[Glare]:
    """A service whose operator allows little."""
    limits = "[unpacking]\nmax_members = 4\nmax_unpacked_size = 10000\nmax_ratio = 2\n"
    with running(tmp_path, f"[DEFAULT]\nmax_uploaded_data = 9000\n{limits}") as service:
        yield service
        assert service.leftovers() == {}


def test_limits_that_the_operator_sets(narrow: Glare) -> None:
    """The operator's limits hold for every type, for its own hooks too; and so does the quota, members and all."""
    artifact = narrow.alice.create(ZIP, name="narrow")
    assert "may have 4" in refusal(narrow, artifact, "zip", packed(dict.fromkeys("abcde", b"")), 400)
    assert "may unpack to 10000" in refusal(narrow, artifact, "zip", packed({"a": bytes(10_001)}), 413)
    assert "does not fit into the quota" in refusal(narrow, artifact, "zip", packed({"a": bytes(9000)}), 413)
    archive = packed({"a": bytes(8000)})
    narrow.alice.upload(artifact, "zip", archive)
    assert narrow.usage("wonderland") == (1, 8000 + len(archive))
    crate = narrow.alice.create(CRATE, name="narrow")
    assert "more than 4 members" in refusal(narrow, crate, "lines", b"1 2 3 4 5", 400)


def test_a_hook_of_its_own(glare: Glare, crate: Json) -> None:
    """A hook may find members in any data and need not know their sizes; quota and limits hold as they are stored."""
    glare.alice.upload(crate, "lines", b"one two three")
    assert stored(glare, crate, "files") == {"0": b"one", "1": b"two", "2": b"three"}
    assert glare.usage("wonderland") == (1, 13 + 11)
    for folder in (b"x" * 1001, b"x" * 990 + b" " + b"y" * 1000 + b" " + b"z" * 100):
        assert "the data is larger" in refusal(glare, crate, "lines", folder, 413)


def test_a_hook_that_fails(glare: Glare, crate: Json) -> None:
    """Errors of a hook that lists or reads members are answered as any hook's, and leave nothing; all streams are
    closed.
    """
    closed = Refusing.closed
    assert "write another one" in refusal(glare, crate, "lines", b"one refuse refuse", 400)
    assert Refusing.closed == closed + 2
    refusal(glare, crate, "lines", b"one fail", 500)
    assert "name a folder of the type" in refusal(glare, crate, "wrong", b"x", 500)


def test_digests_of_an_archive_are_claims(glare: Glare, artifact: Json) -> None:
    """A digest that a client sends is compared with the archive as it sent it."""
    refused = refusal(glare, artifact, "zip", packed(FILES), 400, headers={"Content-MD5": "0" * 32})
    assert "not the claimed" in refused


def test_a_store_that_fails_half_way(glare: Glare, artifact: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the store fails at the last member nothing is left of the others."""
    store = glare.services.stores["file"]
    create, calls = type(store).create, []

    def failing(self: Any, name: str, expected_size: int | None = None) -> Any:
        calls.append(name)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        return create(self, name, expected_size)

    monkeypatch.setattr(type(store), "create", failing)
    refusal(glare, artifact, "zip", packed(FILES), 500)
    assert len(calls) == 4


@pytest.fixture
def held(glare: Glare, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Event, Event]]:
    """Stops the first unpacking when its archive is stored and nothing of it read: the first event tells, the second
    ends it.
    """
    arrived, go_on = Event(), Event()
    opened = StagedData.open

    def slowly(self: StagedData, offset: int, length: int) -> Any:
        arrived.set()
        assert go_on.wait(10)
        return opened(self, offset, length)

    monkeypatch.setattr(StagedData, "open", slowly)
    yield arrived, go_on
    go_on.set()


def test_nothing_is_visible_before_all_is(glare: Glare, artifact: Json, held: tuple[Event, Event]) -> None:
    """While an archive is unpacked the former content is shown, another archive is 409, and so is activation."""
    arrived, go_on = held
    with ThreadPoolExecutor(1) as pool:
        running_upload = pool.submit(glare.alice.try_upload, artifact, "zip", packed(FILES))
        assert arrived.wait(10)
        document = glare.alice.show(artifact)
        assert (document["zip"]["status"], document["content"]) == ("saving", {})
        assert glare.alice.try_upload(artifact, "zip", packed({})).status_code == 409
        assert glare.alice.set(artifact, status="active").status_code == 409
        assert glare.alice.delete(artifact).status_code == 409
        go_on.set()
        assert running_upload.result().status_code == 200
    assert stored(glare, artifact) == FILES


def test_an_upload_holds_its_slot_against_a_member(glare: Glare, crate: Json) -> None:
    """An archive with a member whose slot another upload holds is 409; members of other slots do not disturb it."""
    headers = {"Content-Type": BYTES, "Content-Length": "4"}
    with Conversation(glare, "PUT", f"{path_of(crate)}/files/a", headers) as slow:
        slow.feed(b"da")
        eventually(lambda: "a" in glare.alice.show(crate)["files"])
        answer = glare.alice.try_upload(crate, "box", packed({"a": b"1", "b": b"2"}))
        assert (answer.status_code, "files/a" in answer.text) == (409, True)
        assert set(glare.alice.show(crate)["files"]) == {"a"}
        glare.alice.upload(crate, "box", packed({"b": b"2"}))
        slow.end(b"ta")
        assert slow.answer().status == 200
    assert stored(glare, crate, "files") == {"a": b"data", "b": b"2"}


def test_an_archive_that_replaces_a_folder_wants_it_idle(glare: Glare, crate: Json) -> None:
    """An archive that is to be all of a folder is 409 while something is uploaded into it."""
    headers = {"Content-Type": BYTES, "Content-Length": "4"}
    with Conversation(glare, "PUT", f"{path_of(crate)}/many/a", headers) as slow:
        slow.feed(b"da")
        eventually(lambda: "a" in glare.alice.show(crate)["many"])
        assert glare.alice.try_upload(crate, "big", packed({"b": b"2"})).status_code == 409
        slow.end(b"ta")
        assert slow.answer().status == 200
    glare.alice.upload(crate, "big", packed({"b": b"2"}))
    assert stored(glare, crate, "many") == {"b": b"2"}


def test_concurrent_archives_into_one_folder(glare: Glare, crate: Json) -> None:
    """Archives from several fields at once: each is there as a whole or was refused, and the folder is never over its
    limits.
    """
    archives = {"big": {"a": b"b" * 1000, "b": b"b"}, "tight": {"a": b"t" * 2000, "t": b"t"}}
    everything = [{}, *archives.values()]
    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            answers = list(
                pool.map(lambda one: glare.alice.try_upload(crate, one[0], packed(one[1])), archives.items())
            )
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert stored(glare, crate, "many") in everything
        assert glare.leftovers() == {}
    assert stored(glare, crate, "many")


def test_many_members_take_flat_memory(glare: Glare, crate: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """No piece of a member is larger than a block, however large the member is and however it is packed."""
    largest = []
    write = Writer.write

    def watched(self: Writer, data: bytes) -> None:
        largest.append(len(data))
        write(self, data)

    monkeypatch.setattr(Writer, "write", watched)
    files = {"a": b"0123456789" * 900_000, "b": bytes(1_000_000)}
    glare.alice.upload(crate, "big", packed(files, method=zipfile.ZIP_STORED))
    assert max(largest) <= 1 << 20
    assert stored(glare, crate, "many") == files


def test_a_paused_unpacking_that_was_given_up(glare: Glare, artifact: Json, held: tuple[Event, Event]) -> None:
    """An unpacking that the sweep has given up is 409 when it goes on, and leaves nothing."""
    arrived, go_on = held
    with ThreadPoolExecutor(1) as pool:
        running_upload = pool.submit(glare.alice.try_upload, artifact, "zip", packed(FILES))
        assert arrived.wait(10)
        recover(glare.services)
        go_on.set()
        assert running_upload.result().status_code == 409
    assert glare.alice.show(artifact)["content"] == {}
    assert glare.objects() == []


def test_members_that_were_given_up(glare: Glare, artifact: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unpacking of which the sweep has given up the attempts at its last byte shows none of them, and leaves
    nothing.
    """

    def given_up(services: Any, *args: Any, **options: Any) -> Any:
        recover(glare.services)
        return publish(services, *args, **options)

    publish = unpacking._publish
    monkeypatch.setattr(unpacking, "_publish", given_up)
    assert "given up" in refusal(glare, artifact, "zip", packed(FILES), 409)


def test_the_folder_is_full_in_the_end(glare: Glare, crate: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others stored in the folder meanwhile counts when the members are to be shown; too much in all is 413."""
    publish = unpacking._publish
    with Conversation(glare, "PUT", f"{path_of(crate)}/files/other", {"Content-Type": BYTES}) as other:
        eventually(lambda: "other" in glare.alice.show(crate)["files"])

        def late(*args: Any, **options: Any) -> Any:
            other.end(b"x" * 1000)
            assert other.answer().status == 200
            return publish(*args, **options)

        monkeypatch.setattr(unpacking, "_publish", late)
        answer = glare.alice.try_upload(crate, "lines", b"x" * 600 + b" " + b"y" * 600)
    assert answer.status_code == 413
    assert "would have 2200" in answer.text
    assert stored(glare, crate, "files") == {"other": b"x" * 1000}
