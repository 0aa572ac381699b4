"""What members have copies of follows the artifact, whichever release changes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from glare.db import migrate
from glare.db.artifacts import insert_artifact, lock, touch, touch_any, update_artifact
from glare.db.engine import Database
from glare.db.lists import members
from glare.db.lists.read import list_page
from glare.db.tables import artifact_members, artifacts
from glare.documents.members import MemberStatus
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.compile import compile_type
from glare.domain.member import Member
from glare.domain.microversion import SHARING
from glare.domain.query import parse_query
from glare.domain.visibility import ListScope
from glare.types.images import Image
from support.catalogue import artifact_row, member_row
from support.databases import KIND, new_database

IMAGES: Final = compile_type(Image)
SCOPE: Final = ListScope.of_project("me")
COPIES: Final = ("artifact_status", "artifact_updated_at", "artifact_activated_at")


def _artifact(number: int) -> Artifact:
    return Artifact(
        str(uuid.UUID(int=number)), "images", f"image-{number}", "1.0.0", "them", Status.ACTIVE, Visibility.SHARED,
        number, 10 + number, 5, {}, {}, 1,
    )  # fmt: skip


def _share(connection: Connection, artifact: Artifact) -> None:
    insert_artifact(connection, artifact, [])
    assert members.add(connection, artifact, Member(artifact.id, "me", MemberStatus.ACCEPTED, 1, 1))


def _share_as_before(connection: Connection, artifact: Artifact) -> None:
    """As a node does that knows of no copies."""
    insert_artifact(connection, artifact, [])
    row = member_row(artifact, "me", MemberStatus.ACCEPTED)
    connection.execute(insert(artifact_members).values({key: row[key] for key in row if key not in COPIES}).inline())


def _copies(connection: Connection, artifact: Artifact) -> tuple[Any, ...]:
    columns = [artifact_members.c[name] for name in COPIES]
    return tuple(connection.execute(select(*columns).where(artifact_members.c.artifact_id == artifact.id)).one())


def _names(connection: Connection, text_of: str) -> list[str]:
    """What is listed, by pages of one."""
    found: list[str] = []
    marker = None
    while True:
        pairs = [tuple(pair.split("=", 1)) for pair in text_of.split("&")]
        query = parse_query(IMAGES.face(SHARING), [(name, value) for name, value in pairs])
        page = list_page(connection, replace(query, marker=marker, limit=1), SCOPE, [IMAGES])
        if not page.artifacts:
            return found
        found.append(page.artifacts[0].name)
        marker = page.artifacts[0].id


def test_each_change_of_the_artifact_is_copied(connection: Connection) -> None:
    """A change of its fields, of its status, and of its blobs, in the same transaction."""
    artifact = _artifact(1)
    _share(connection, artifact)
    assert _copies(connection, artifact) == ("active", 11, 5)
    after = replace(artifact, status=Status.DEACTIVATED, updated_at=20, revision=2)
    update_artifact(connection, artifact, after, None)
    assert _copies(connection, artifact) == ("deactivated", 20, 5)
    again = replace(after, status=Status.ACTIVE, updated_at=30, activated_at=30, revision=3)
    update_artifact(connection, after, again, None)
    assert _copies(connection, artifact) == ("active", 30, 30)
    touch(connection, again, 40)
    assert _copies(connection, artifact) == ("active", 40, 30)
    lock(connection, artifact.id)
    touch_any(connection, artifact.id, 50)
    assert _copies(connection, artifact) == ("active", 50, 30)


def test_no_copy_of_what_the_artifact_was(connection: Connection) -> None:
    """The database refuses a member with copies of an artifact that has changed since it was read."""
    artifact = _artifact(1)
    insert_artifact(connection, artifact, [])
    stale = replace(artifact, updated_at=9)
    with pytest.raises(IntegrityError), connection.begin_nested():
        members.add(connection, stale, Member(artifact.id, "me", MemberStatus.ACCEPTED, 1, 1))


def test_the_end_of_sharing_ends_copies(connection: Connection) -> None:
    """Made private, the artifact has no members; removed by whom it may be, none either."""
    artifact, other = _artifact(1), _artifact(2)
    for one in (artifact, other):
        _share(connection, one)
    update_artifact(connection, artifact, replace(artifact, visibility=Visibility.PRIVATE, revision=2), None)
    connection.execute(text("DELETE FROM artifacts WHERE name = 'image-2'"))
    assert connection.execute(select(artifact_members.c.project)).all() == []


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("sort=updated_at:desc", ["image-1", "image-4", "image-3", "image-2"]),
        ("sort=updated_at:asc", ["image-2", "image-3", "image-4", "image-1"]),
        ("sort=activated_at:asc", ["image-4", "image-3", "image-2", "image-1"]),
        ("sort=activated_at:desc", ["image-1", "image-4", "image-3", "image-2"]),
        ("sort=status:asc,name:asc", ["image-1", "image-2", "image-4", "image-3"]),
        ("status=active", ["image-4", "image-2", "image-1"]),
        ("status=deactivated", ["image-3"]),
    ],
)
def test_what_an_older_node_writes_is_in_its_place(connection: Connection, query: str, wanted: list[str]) -> None:
    """An older node adds two of the members, and changes an artifact of theirs and one of a newer node."""
    for number in (1, 4):
        _share(connection, _artifact(number))
    for number in (2, 3):
        _share_as_before(connection, _artifact(number))
    change = "UPDATE artifacts SET status = :status, updated_at = :at, activated_at = :activated, revision = 2"
    for number, status, at, activated in ((1, "active", 99, 99), (3, "deactivated", 13, 5)):
        values = {"status": status, "at": at, "activated": activated, "name": f"image-{number}"}
        connection.execute(text(f"{change} WHERE name = :name"), values)
    assert _names(connection, query) == wanted


@pytest.fixture
def upgraded(tmp_path: Path) -> Iterator[tuple[str, Database]]:
    """A database that was upgraded while it had members."""
    url = new_database(KIND, tmp_path)
    migrate.upgrade(url, "0025")
    old = Database(url)
    with old.write() as connection:
        connection.execute(insert(artifacts).values(artifact_row(_artifact(1))).inline())
        row = member_row(_artifact(1), "me", MemberStatus.ACCEPTED)
        connection.execute(insert(artifact_members).values({key: row[key] for key in row if key not in COPIES}))
    old.dispose()
    migrate.upgrade(url)
    database = Database(url)
    yield url, database
    database.dispose()


def test_an_upgrade_copies_what_is_there(upgraded: tuple[str, Database]) -> None:
    """Members that were there have copies, which follow the artifact from then on; going back leaves the members."""
    url, database = upgraded
    with database.write() as connection:
        assert _copies(connection, _artifact(1)) == ("active", 11, 5)
        connection.execute(text("UPDATE artifacts SET updated_at = 77"))
        assert _copies(connection, _artifact(1)) == ("active", 77, 5)
    database.dispose()
    migrate.downgrade(url, "0025")
    with database.read() as connection:
        assert connection.execute(select(artifact_members.c.project, artifact_members.c.name)).all() == [
            ("me", "image-1")
        ]
    database.dispose()
    migrate.upgrade(url)
    assert migrate.check(url).ready
    with database.read() as connection:
        assert _copies(connection, _artifact(1)) == ("active", 77, 5)
