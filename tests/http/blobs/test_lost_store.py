"""A store whose directory is gone, as when its volume is not mounted."""

from __future__ import annotations

from pathlib import Path

from glare.app import prepare
from support.service import running


def test_without_its_directory_nothing_is_stored_read_or_forgotten(tmp_path: Path) -> None:
    """Uploads and downloads are 503 in a sentence, and a deletion waits; all is well once the directory is back."""
    with running(tmp_path) as glare:
        image, doomed = (glare.alice.create("images", name=name) for name in ("kept", "doomed"))
        for artifact in (image, doomed):
            glare.alice.upload(artifact, "image", b"bytes")
        other = glare.alice.create("images", name="other")
        place, aside = glare.settings.glance_store.filesystem_store_datadir, tmp_path / "aside"
        place.rename(aside)
        place.mkdir()
        answers = [
            glare.alice.download(image, "image"),
            glare.alice.download(image, "image", Range="bytes=1-2"),
            glare.alice.try_upload(other, "image", b"more"),
        ]
        for answer in answers:
            assert answer.status_code == 503
            assert "'file' is not at its place" in answer.json()["error"]["message"]
        assert glare.alice.delete(doomed).status_code == 204
        assert (
            glare.leftovers()["doomed objects"] == 2
        )  # What the failed upload had staged may be there, and is asked for again.
        assert list(place.iterdir()) == []
        place.rmdir()
        aside.rename(place)
        assert glare.alice.download(image, "image").content == b"bytes"
        glare.alice.upload(other, "image", b"more")


def test_a_directory_from_before_the_marker_is_taken_over(tmp_path: Path) -> None:
    """A store whose directory has the blobs of the database and no marker is used as before."""
    with running(tmp_path) as glare:
        image = glare.alice.create("images", name="old")
        glare.alice.upload(image, "image", b"bytes")
        (glare.settings.glance_store.filesystem_store_datadir / "glare-store").unlink()
        prepare(glare.settings)
        assert glare.alice.show(image)["image"]["size"] == 5
    with running(tmp_path) as glare:
        assert glare.alice.download(image, "image").content == b"bytes"
