"""What one project, or one request, may take of a process."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from support.conversation import Conversation, eventually
from support.origins.origin import Origin
from support.service import BYTES, Glare, Json, path_of, running

pytestmark = pytest.mark.sqlite  # What a request says reaches no database.


def stalled(glare: Glare, artifact: Json, key: str, actor: str = "alice") -> Conversation:
    """An upload that sends nothing."""
    path = f"{path_of(artifact)}/dict_of_blobs/{key}"
    return Conversation(glare, "PUT", path, {"Content-Type": BYTES, "Content-Length": "4"}, actor=actor)


def test_one_project_leaves_room_for_the_others(tmp_path: Path) -> None:
    """A project's uploads beyond its share are 429; another project's are taken until the process is full, then 503."""
    with running(
        tmp_path, "[uploads]\nmax_concurrent = 3\nmax_concurrent_per_project = 2\nmax_waiting_per_project = 0\n"
    ) as glare:
        mine = glare.alice.create("sample_artifact", name="a", string_required="x")
        theirs = glare.bob.create("sample_artifact", name="b", string_required="x")
        with ExitStack() as stack:
            held = [stack.enter_context(stalled(glare, mine, str(number))) for number in range(2)]
            eventually(lambda: len(glare.alice.show(mine)["dict_of_blobs"]) == 2)
            assert glare.alice.try_upload(mine, "dict_of_blobs/more", b"data").status_code == 429
            glare.bob.upload(theirs, "dict_of_blobs/one", b"data")
            other = stack.enter_context(stalled(glare, theirs, "two", "bob"))
            eventually(lambda: len(glare.bob.show(theirs)["dict_of_blobs"]) == 2)
            assert glare.bob.try_upload(theirs, "dict_of_blobs/more", b"data").status_code == 503
            for upload in (*held, other):
                upload.end(b"data")
                assert upload.answer().status == 200
        glare.alice.upload(mine, "dict_of_blobs/more", b"data")
        assert glare.leftovers() == {}


def test_patch_has_a_bounded_number_of_operations(tmp_path: Path) -> None:
    """A patch with more operations than the setting allows is refused whole, and the refusal names the setting."""
    with running(tmp_path, "[api]\nmax_patch_operations = 3\n") as glare:
        artifact = glare.alice.create("images", name="a")
        operation = {"op": "add", "path": "/tags/-", "value": "x"}
        assert glare.alice.patch(artifact, *[operation] * 3).status_code == 200
        refused = glare.alice.patch(artifact, *[{**operation, "value": "y"}] * 4)
        assert refused.status_code == 400
        assert "[api] max_patch_operations" in refused.json()["error"]["message"]
        assert glare.alice.show(artifact)["tags"] == ["x"]


def test_measurement_ends_where_the_window_does(tmp_path: Path, origin: Origin) -> None:
    """A body larger than what the project's window has left is 429 before it is read, and afterwards nothing more is
    measured.
    """
    origin.put("/small", bytes(600))
    with running(tmp_path, "project_bytes = 1000\n", ports=(origin.port,)) as glare:
        artifact = glare.alice.create("sample_artifact", name="a", string_required="x")
        glare.alice.locate(artifact, "blob", origin.url("/small"))
        refused = glare.alice.try_locate(artifact, "dict_of_blobs/large", origin.url("/small"))
        assert refused.status_code == 429
        assert "400 bytes more" in refused.json()["error"]["message"]
        assert list(glare.alice.show(artifact)["dict_of_blobs"]) == []
        assert glare.leftovers() == {}
