"""Reading artifacts back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, event, insert

from glare.db.keys import slot_id
from glare.db.rows import fetch_artifact, fetch_artifacts
from glare.db.tables import artifacts, blobs
from glare.digest import Digests
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.blob import Attempt, Blob, BlobStatus, External, LocationState, Managed, Slot
from support.catalogue import artifact_row

IDS = [str(uuid.UUID(int=number)) for number in range(4)]
DIGESTS = Digests("1" * 32, "2" * 40, "3" * 64)


def _artifact(number: int, slots: Mapping[Slot, Blob] | None = None) -> Artifact:
    return Artifact(
        id=IDS[number],
        type_name="images",
        name=f"name {number} \U0001f600",
        version="1.0.0-rc.1+b",
        owner="me",
        status=Status.ACTIVE,
        visibility=Visibility.PRIVATE,
        created_at=1,
        updated_at=2,
        activated_at=None,
        values={"tags": ["a"], "metadata": {"k": "v"}, "min_ram": 1, "ratio": 0.5, "description": None},
        blobs=slots or {},
        revision=3,
    )


def _slot(connection: Connection, number: int, slot: Slot, created_at: int, **columns: Any) -> None:
    row = {
        "slot_id": slot_id(IDS[number], slot.field, slot.key),
        "artifact_id": IDS[number],
        "field": slot.field,
        "item_key": slot.key,
        "created_at": created_at,
        "status": "active",
        "external": 0,
    }
    connection.execute(insert(blobs).values(row | columns))


def _document(digests: Digests) -> dict[str, str]:
    return {"md5": digests.md5, "sha1": digests.sha1, "sha256": digests.sha256}


def test_artifact_comes_back_with_its_blobs(connection: Connection) -> None:
    """Managed, external and saving blobs, with and without an attempt, come back as they were stored."""
    image, mirror, folder = Slot("image"), Slot("mirror"), Slot("folder", "k/\U0001f600")
    external = External("http://h/x", True, LocationState.VERIFIED, 5, 6, '"e"', "yesterday", 7, "b" * 32)
    wanted = {
        image: Blob(image, BlobStatus.ACTIVE, "text/plain", 9, DIGESTS, Managed("file", "o")),
        mirror: Blob(mirror, BlobStatus.ACTIVE, None, 9, DIGESTS, external, Attempt("t", 8, 4)),
        folder: Blob(folder, BlobStatus.SAVING, None, None, None, None, Attempt("a", 8, 4)),
    }
    connection.execute(insert(artifacts), artifact_row(_artifact(0)))
    _slot(connection, 0, image, 1, content_type="text/plain", size=9, store="file", object="o", **_document(DIGESTS))
    attempt = {"attempt_heartbeat": 8, "attempt_reserved": 4}
    _slot(
        connection, 0, mirror, 2, size=9, external=1, url="http://h/x", confidential=1, state="verified", proven_at=5,
        seen_at=6, etag='"e"', last_modified="yesterday", generation=7, location_id="b" * 32, attempt_id="t",
        **attempt, **_document(DIGESTS),
    )  # fmt: skip
    _slot(connection, 0, folder, 3, status="saving", attempt_id="a", **attempt)
    found = fetch_artifact(connection, IDS[0])
    assert found == _artifact(0, wanted)
    assert fetch_artifacts(connection, [IDS[0]]) == [found]


def test_artifact_without_blobs_comes_back(connection: Connection) -> None:
    """An artifact without blobs has none, and one that is not there is None."""
    connection.execute(insert(artifacts), artifact_row(_artifact(1)))
    assert fetch_artifact(connection, IDS[1]) == _artifact(1)
    assert fetch_artifact(connection, IDS[2]) is None


def test_folder_is_in_the_order_of_its_slots(connection: Connection) -> None:
    """Blobs come in the order in which their slots were taken, and by key where that is the same."""
    connection.execute(insert(artifacts), artifact_row(_artifact(0)))
    for key, created_at in (("b", 2), ("a", 2), ("z", 1), ("c", 3)):
        _slot(connection, 0, Slot("folder", key), created_at)
    found = fetch_artifact(connection, IDS[0])
    assert found is not None
    assert [slot.key for slot in found.blobs] == ["z", "a", "b", "c"]
    assert [slot.key for slot in fetch_artifacts(connection, [IDS[0]])[0].blobs] == ["z", "a", "b", "c"]


def test_artifacts_come_in_the_order_asked_for(connection: Connection) -> None:
    """Many artifacts come in the order of their ids in the question, in two queries; what is not there is left out."""
    connection.execute(insert(artifacts), [artifact_row(_artifact(number)) for number in (0, 1, 2)])
    for number in (0, 2):
        _slot(connection, number, Slot("image"), 1)
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    found = fetch_artifacts(connection, [IDS[2], IDS[3], IDS[0], IDS[1]])
    event.remove(connection, "before_cursor_execute", note)
    assert [(artifact.id, len(artifact.blobs)) for artifact in found] == [(IDS[2], 1), (IDS[0], 1), (IDS[1], 0)]
    assert len(statements) == 2
    assert fetch_artifacts(connection, []) == []
