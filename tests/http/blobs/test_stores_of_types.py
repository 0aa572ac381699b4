"""Blobs in the database: which store a type has, what follows when that changes, and every way to read them."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from sqlalchemy import select

from glare.db.tables import blobs
from glare.settings import SettingsError
from support.service import BYTES, Glare, Json, configuration, running
from support.zips import packed

IN_DATABASE = "[artifact_type:images]\ndefault_store = database\n"
MIB = 1 << 20


def stores(glare: Glare) -> set[str]:
    """The stores that blobs are in."""
    with glare.services.db.read() as connection:
        return set(connection.execute(select(blobs.c.store).where(blobs.c.store.is_not(None))).scalars())


def active(glare: Glare, data: bytes, type_name: str = "images") -> Json:
    """An active artifact with this blob."""
    options = {"disk_format": "raw", "container_format": "bare"} if type_name == "images" else {}
    artifact = glare.alice.create(type_name, name=secrets.token_hex(4), **options)
    glare.alice.upload(artifact, "image" if type_name == "images" else "template", data)
    return glare.alice.activate(artifact)


def test_each_type_has_its_store(tmp_path: Path) -> None:
    """One type's blobs go to the database, the others' to files; all behave alike and leave nothing when deleted."""
    with running(tmp_path, IN_DATABASE) as glare:
        data = secrets.token_bytes(2 * MIB + 77)
        image = active(glare, data)
        assert glare.objects() == []
        assert stores(glare) == {"database"}
        template = active(glare, b"heat_template_version: 2016-10-14", "heat_templates")
        assert len(glare.objects()) == 1
        assert stores(glare) == {"database", "file"}
        assert glare.alice.download(image, "image").content == data
        assert glare.usage("wonderland")[1] == len(data) + 33
        for artifact in (image, template):
            assert glare.alice.delete(artifact).status_code == 204
        assert glare.leftovers() == {}
        assert glare.usage("wonderland") == (0, 0)


def test_blobs_in_the_database_have_all_that_files_have(tmp_path: Path) -> None:
    """Ranges, HEAD, digests and conditions are the same, whatever the store."""
    data = secrets.token_bytes(3 * MIB + 5)
    answers = []
    for name, text in (("files", ""), ("database", IN_DATABASE)):
        directory = tmp_path / name
        directory.mkdir()
        with running(directory, text) as glare:
            image = active(glare, data)
            spans = ["bytes=0-0", f"bytes={MIB - 3}-{MIB + 3}", "bytes=-7", f"bytes=5-{2 * MIB}", "bytes=99999999-"]
            got = [glare.alice.download(image, "image", Range=span) for span in spans]
            got.append(glare.alice.download(image, "image"))
            got.append(glare.alice.request("HEAD", f"/artifacts/images/{image['id']}/image"))
            got.append(glare.alice.download(image, "image", If_None_Match=got[-1].headers["etag"]))
            answers.append(
                [
                    (
                        answer.status_code,
                        answer.content if answer.status_code < 400 else "",
                        {
                            header: value
                            for header, value in answer.headers.items()
                            # The id of the request is another each time, as is that of the artifact, which is in the
                            # name.
                            if header not in ("x-openstack-request-id", "content-disposition")
                            and (answer.status_code < 400 or header == "content-range")
                        },
                    )
                    for answer in got
                ]
            )
    assert answers[0] == answers[1]
    assert [status for status, *_ in answers[0]] == [206, 206, 206, 206, 416, 200, 200, 304]


def test_changing_the_store_leaves_old_blobs_readable(tmp_path: Path) -> None:
    """New blobs go to the new store; old ones are read, replaced and deleted where they are."""
    first, second, third = (secrets.token_bytes(MIB + 9) for _ in range(3))
    with running(tmp_path) as glare:
        old = active(glare, first)
        waiting = glare.alice.create("images", name="waiting", disk_format="raw", container_format="bare")
        glare.alice.upload(waiting, "image", b"to be replaced")
    with running(tmp_path, IN_DATABASE) as glare:
        new = active(glare, second)
        assert glare.alice.download(old, "image").content == first
        glare.alice.upload(waiting, "image", third)
        assert len(glare.objects()) == 1
        assert glare.leftovers() == {}
    with running(tmp_path) as glare:
        assert glare.alice.download(old, "image").content == first
        assert glare.alice.download(new, "image").content == second
        assert glare.alice.download(waiting, "image").content == third
        assert stores(glare) == {"file", "database"}
        for artifact in (old, new, waiting):
            assert glare.alice.delete(artifact).status_code == 204
        assert glare.leftovers() == {}


def test_a_failed_upload_leaves_no_chunk(tmp_path: Path) -> None:
    """A wrong claim and a limit that is passed late undo what is in the database already."""
    with running(
        tmp_path, "[glance_store]\ndefault_store = database\n[artifact_type:images]\nmax_uploaded_data = 3000000\n"
    ) as glare:
        image = glare.alice.create("images", name="refused")
        refused = glare.alice.try_upload(image, "image", bytes(2 * MIB), headers={"Content-MD5": "0" * 32})
        assert refused.status_code == 400
        assert glare.leftovers() == {}
        chunked = glare.alice.try_upload(image, "image", iter([bytes(MIB)] * 4))
        assert chunked.status_code == 413
        assert glare.leftovers() == {}
        assert glare.usage("wonderland") == (1, 0)


def test_an_archive_is_unpacked_within_the_database(tmp_path: Path) -> None:
    """The archive is read by ranges from the database, and its members go there too."""
    with running(tmp_path, "[glance_store]\ndefault_store = database\n") as glare:
        members = {"a.txt": b"alpha", "folder/b.bin": secrets.token_bytes(70_000)}
        package = glare.alice.create("unpacking_artifact", name="package")
        data = packed(members)
        response = glare.alice.try_upload(package, "zip", data, headers={"Content-Type": BYTES})
        assert response.status_code == 200, response.text
        for key, content in members.items():
            assert glare.alice.download(package, f"content/{key}").content == content
        assert glare.alice.download(package, "zip").content == data
        assert stores(glare) == {"database"}
        assert glare.alice.delete(package).status_code == 204
        assert glare.leftovers() == {}


def test_an_unknown_store_is_refused_at_start(tmp_path: Path) -> None:
    """The message names the option, the value and what may stand there."""
    with pytest.raises(SettingsError, match=r"artifact_type:images\] default_store is 'databse'.*database"):
        configuration(tmp_path, "[artifact_type:images]\ndefault_store = databse\n")
