"""A blob while it is being stored: what others see of it, and what they may do meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from glare.db.tables import blobs
from support.conversation import Conversation, eventually
from support.origins.hostile import Hostile
from support.origins.origin import Origin
from support.service import LOCATION, Glare, Json, path_of, running


def sample(glare: Glare) -> Json:
    """A drafted artifact of Alice's with blobs and a folder, ready to be activated."""
    return glare.alice.create("sample_artifact", name="sample", string_required="x")


def uploading(glare: Glare, artifact: Json, path: str, length: int | None, *, actor: str = "alice") -> Conversation:
    """An upload whose body a test sends."""
    framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    headers = {"Content-Type": "text/plain", **framing}
    return Conversation(glare, "PUT", f"{path_of(artifact)}/{path}", headers, actor=actor)


def is_saving(glare: Glare, artifact: Json, path: str = "blob") -> bool:
    """Whether the upload has taken its slot."""
    field, _, key = path.partition("/")
    blob = glare.alice.show(artifact)[field]
    blob = blob.get(key) if blob and key else blob
    return bool(blob) and blob["status"] == "saving"


def test_a_blob_is_visible_while_it_is_saving(glare: Glare) -> None:
    """From the start of an upload the blob is shown: saving, without digests, with the reserved size and its URL."""
    artifact = sample(glare)
    with uploading(glare, artifact, "blob", 10) as upload:
        upload.feed(b"01234")
        eventually(lambda: is_saving(glare, artifact))
        assert glare.admin.show(artifact)["blob"] == {
            "url": f"{path_of(artifact)}/blob",
            "status": "saving",
            "external": False,
            "md5": None,
            "sha1": None,
            "sha256": None,
            "size": 10,
            "content_type": "text/plain",
        }
        assert glare.alice.page("sample_artifact")["artifacts"][0]["blob"]["status"] == "saving"
        assert glare.usage("wonderland") == (1, 10)
        upload.end(b"56789")
        assert upload.answer().status == 200
    assert glare.alice.download(artifact, "blob").content == b"0123456789"


FORBIDDEN: dict[str, tuple[Callable[[Glare, Json], int], int]] = {
    "upload": (lambda glare, artifact: glare.alice.try_upload(artifact, "blob", b"x").status_code, 409),
    "upload as admin": (lambda glare, artifact: glare.admin.try_upload(artifact, "blob", b"x").status_code, 409),
    "record a location": (
        lambda glare, artifact: glare.alice.try_locate(artifact, "blob", "http://127.0.0.1/").status_code,
        409,
    ),
    "download": (lambda glare, artifact: glare.alice.download(artifact, "blob").status_code, 409),
    "activate": (lambda glare, artifact: glare.alice.set(artifact, status="active").status_code, 409),
    "delete the artifact": (lambda glare, artifact: glare.alice.delete(artifact).status_code, 409),
    "delete the blob": (
        lambda glare, artifact: glare.alice.request("DELETE", f"{path_of(artifact)}/blob").status_code,
        403,
    ),
}


@pytest.mark.parametrize(("attempt", "status"), FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_nobody_touches_a_saving_blob(glare: Glare, attempt: Callable[[Glare, Json], int], status: int) -> None:
    """What would touch a saving blob, or needs it to be whole, is refused; the upload goes on undisturbed."""
    artifact = sample(glare)
    with uploading(glare, artifact, "blob", 4) as upload:
        eventually(lambda: is_saving(glare, artifact))
        assert attempt(glare, artifact) == status
        upload.end(b"data")
        assert upload.answer().status == 200
    assert glare.alice.download(artifact, "blob").content == b"data"


def test_other_fields_change_while_a_blob_is_saving(glare: Glare) -> None:
    """Other fields and other blobs change meanwhile, and the upload keeps those changes."""
    artifact = sample(glare)
    with uploading(glare, artifact, "blob", 4) as upload:
        eventually(lambda: is_saving(glare, artifact))
        assert glare.alice.set(artifact, description="new", str1="s").status_code == 200
        glare.alice.upload(artifact, "small_blob", b"small")
        upload.end(b"data")
        assert upload.answer().json()["description"] == "new"
    after = glare.alice.show(artifact)
    assert (after["str1"], after["blob"]["size"], after["small_blob"]["size"]) == ("s", 4, 5)


@pytest.mark.parametrize("length", [8, None], ids=["known length", "chunked"])
def test_a_client_that_goes_away_leaves_no_trace(glare: Glare, length: int | None) -> None:
    """A connection that closes in mid-upload: no blob, no bytes, no quota."""
    artifact = sample(glare)
    with uploading(glare, artifact, "blob", length) as upload:
        upload.feed(b"half")
        eventually(lambda: is_saving(glare, artifact))
    assert glare.alice.show(artifact)["blob"] is None
    assert glare.objects() == []
    assert glare.usage("wonderland") == (1, 0)
    assert glare.alice.upload(artifact, "blob", b"again")["blob"]["size"] == 5


def test_the_old_blob_is_readable_while_its_replacement_is_stored(glare: Glare) -> None:
    """During a second upload the first one's bytes are served; if it fails they stay, else they are replaced at
    once.
    """
    artifact = sample(glare)
    old = glare.alice.upload(artifact, "blob", b"old")["blob"]
    for ends_well in (False, True):
        with uploading(glare, artifact, "blob", 5) as upload:
            upload.feed(b"ne")
            eventually(lambda: glare.usage("wonderland") == (1, 5))
            assert glare.alice.show(artifact)["blob"] == old
            assert glare.alice.download(artifact, "blob").content == b"old"
            assert glare.alice.try_upload(artifact, "blob", b"other").status_code == 409
            assert glare.alice.set(artifact, status="active").status_code == 409
            assert glare.alice.delete(artifact).status_code == 409
            if ends_well:
                upload.end(b"wer")
                assert upload.answer().status == 200
    assert glare.alice.download(artifact, "blob").content == b"newer"
    assert glare.usage("wonderland") == (1, 5)


def test_a_location_is_served_while_data_replaces_it(glare: Glare, origin: Origin) -> None:
    """During an upload over an external blob that one is shown and served; it is not deleted, nor recorded anew."""
    origin.put("/file", b"there")
    artifact = sample(glare)
    old = glare.alice.locate(artifact, "blob", origin.url("/file"))["blob"]
    with uploading(glare, artifact, "blob", 4) as upload:
        eventually(lambda: glare.usage("wonderland") == (1, 4))
        assert glare.alice.show(artifact)["blob"] == old
        assert glare.alice.download(artifact, "blob").content == b"there"
        assert glare.alice.request("DELETE", f"{path_of(artifact)}/blob").status_code == 409
        assert glare.alice.try_locate(artifact, "blob", origin.url("/file")).status_code == 409
        upload.end(b"here")
        assert upload.answer().json()["blob"]["external"] is False
    assert glare.alice.download(artifact, "blob").content == b"here"


def test_a_reader_of_the_old_blob_gets_it_whole(glare: Glare) -> None:
    """Whoever reads a blob when it is replaced gets the bytes that were announced to him."""
    image = glare.alice.create("images", name="x")
    old = bytes(range(256)) * 16384
    glare.alice.upload(image, "image", old)
    with Conversation(glare, "GET", f"{path_of(image)}/image", hold_after=1) as download:
        download.end()
        eventually(lambda: download.received > 0)
        glare.alice.upload(image, "image", b"new")
        download.go_on()
        answer = download.answer()
    assert answer.complete
    assert answer.body == old
    assert glare.alice.download(image, "image").content == b"new"


def test_of_uploads_into_one_slot_one_wins(glare: Glare) -> None:
    """Of eight uploads under way into one blob exactly one is stored; the others are 409 at once."""
    artifact = sample(glare)
    with uploading(glare, artifact, "blob", 4) as winner:
        eventually(lambda: is_saving(glare, artifact))
        for _ in range(7):
            with uploading(glare, artifact, "blob", 4) as loser:
                loser.end(b"late")
                assert loser.answer().status == 409
        winner.end(b"mine")
        assert winner.answer().status == 200
    assert glare.alice.download(artifact, "blob").content == b"mine"


def test_uploads_without_lengths_do_not_overfill_a_folder(glare: Glare) -> None:
    """Two uploads that fit each, but not together: whoever ends last is 413 and leaves nothing."""
    artifact = sample(glare)
    with (
        uploading(glare, artifact, "dict_of_blobs/a", None) as first,
        uploading(glare, artifact, "dict_of_blobs/b", None) as second,
    ):
        for key, upload in (("a", first), ("b", second)):
            upload.feed(bytes(1500))
            eventually(partial(is_saving, glare, artifact, f"dict_of_blobs/{key}"))
        second.end()
        assert second.answer().status == 200
        first.end()
        refused = first.answer()
        assert refused.status == 413
        assert "at most 500 bytes" in refused.json()["error"]["message"]
    assert list(glare.alice.show(artifact)["dict_of_blobs"]) == ["b"]


def test_a_location_measured_meanwhile_does_not_overfill_a_folder(glare: Glare, origin: Origin) -> None:
    """A location that is recorded while an upload runs counts: the upload is 413 when it no longer fits."""
    artifact = sample(glare)
    origin.put("/file", bytes(1500))
    with uploading(glare, artifact, "dict_of_blobs/a", None) as upload:
        eventually(lambda: is_saving(glare, artifact, "dict_of_blobs/a"))
        glare.alice.locate(artifact, "dict_of_blobs/b", origin.url("/file"))
        upload.end(bytes(501))
        assert upload.answer().status == 413
    glare.alice.upload(artifact, "dict_of_blobs/a", bytes(500))


def test_a_client_that_stalls_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A body of which nothing arrives for the configured time is 408, and undone."""
    with running(tmp_path_factory.mktemp("stall"), "[uploads]\nstall_timeout = 0.2\n") as glare:
        artifact = sample(glare)
        with uploading(glare, artifact, "blob", 8) as upload:
            upload.feed(b"half")
            answer = upload.answer()
            assert answer.status == 408
            assert "nothing was stored" in answer.json()["error"]["message"]
        assert glare.alice.show(artifact)["blob"] is None
        assert glare.leftovers() == {}


def test_the_artifact_may_not_be_deleted_under_an_upload(glare: Glare) -> None:
    """Deletion waits for uploads: 409 while one runs, 204 once its client has gone."""
    artifact = sample(glare)
    with uploading(glare, artifact, "dict_of_blobs/a", None) as upload:
        upload.feed(b"half")
        eventually(lambda: is_saving(glare, artifact, "dict_of_blobs/a"))
        assert glare.alice.delete(artifact).status_code == 409
        assert glare.admin.delete(artifact).status_code == 409
    assert glare.alice.delete(artifact).status_code == 204


def test_status_changes_wait_for_uploads(glare: Glare) -> None:
    """An active artifact is not deactivated while one of its blobs is stored."""
    artifact = sample(glare)
    glare.alice.activate(artifact)
    with uploading(glare, artifact, "blob", 4) as upload:
        eventually(lambda: is_saving(glare, artifact))
        assert glare.admin.set(artifact, status="deactivated").status_code == 409
        upload.end(b"data")
        assert upload.answer().status == 200
    assert glare.admin.set(artifact, status="deactivated").status_code == 200


def test_a_location_is_visible_while_it_is_measured_and_ends_with_its_client(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """While a slow origin is measured the blob is saving; when the client goes away nothing stays, and at once."""
    with Hostile() as hostile, running(tmp_path_factory.mktemp("slow"), ports=(80, hostile.port)) as glare:
        artifact = sample(glare)
        body = json.dumps({"url": hostile.url("drip_body")}).encode()
        headers = {"Content-Type": LOCATION, "Content-Length": str(len(body))}
        with Conversation(glare, "PUT", f"{path_of(artifact)}/blob", headers) as measuring:
            measuring.end(body)
            eventually(lambda: is_saving(glare, artifact))
            document = glare.alice.show(artifact)["blob"]
            assert (document["md5"], document["content_type"]) == (None, "application/octet-stream"), (
                "as the schema says"
            )
            for attempt, _ in list(FORBIDDEN.values())[:-1]:
                assert attempt(glare, artifact) == 409
            measuring.hang_up()
            eventually(lambda: not is_saving(glare, artifact), patience=3)
        assert glare.alice.show(artifact)["blob"] is None
        assert glare.leftovers() == {}


def test_dead_attempts_are_taken_over(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An upload whose process has died does not block its slot: after the time-out the next one takes it."""
    settings = "[uploads]\nattempt_heartbeat = 10\nattempt_timeout = 21\n"
    with running(tmp_path_factory.mktemp("dead"), settings) as glare:
        artifact = sample(glare)
        with uploading(glare, artifact, "blob", 8) as dead:
            dead.feed(b"half")
            eventually(lambda: is_saving(glare, artifact))
            age_attempts(glare, 20)
            assert glare.alice.try_upload(artifact, "blob", b"new").status_code == 409
            age_attempts(glare, 2)
            assert glare.alice.download(artifact, "blob").status_code == 409, "there is still nothing to read"
            assert glare.alice.upload(artifact, "blob", b"new")["blob"]["size"] == 3
            dead.end(b"half")
            late = dead.answer()
            assert late.status == 409
            assert "given up" in late.json()["error"]["message"]
        assert glare.alice.download(artifact, "blob").content == b"new"
        assert glare.usage("wonderland") == (1, 3)
        assert glare.leftovers() == {}


def age_attempts(glare: Glare, seconds: int) -> None:
    """Make every attempt's last heartbeat older."""
    column = blobs.c.attempt_heartbeat
    with glare.services.db.write() as connection:
        connection.execute(blobs.update().where(column.is_not(None)).values({column: column - seconds * 1_000_000}))
