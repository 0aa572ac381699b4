"""On every database the branch of what is shared with a project walks an index of its members, and sorts nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import Connection, Select, insert, text

from glare.db.engine import Database
from glare.db.lists.pages import Part, page_statement
from glare.db.lists.read import find_marker, list_page, plan
from glare.db.tables import artifact_members
from glare.documents.members import MemberStatus
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.compile import compile_type
from glare.domain.microversion import SHARING
from glare.domain.query import ListQuery, parse_query
from glare.domain.visibility import ListScope
from glare.types.images import Image
from support.catalogue import member_row, store
from support.databases import KIND, database_of

IMAGES: Final = compile_type(Image)
SCOPE: Final = ListScope.of_project("me")
MANY: Final = 3000
TIES: Final = MANY // 40
"""More than have the same name, or the same version."""

SHAPES: Final = ("", "name=image-7", "sort=name:asc", "owner=them-1", "version=1.7.0", "sort=version:asc", "tags=t")
CHANGEABLE: Final = ("status=active", "sort=status:asc", "sort=updated_at:desc", "sort=activated_at:desc")
OWN: Final = ("", "sort=name:asc", "sort=name:asc,version:asc", "sort=version:asc", "sort=status:asc", "sort=owner:asc",
              "sort=updated_at:desc")  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Thousands that are shared, half of them with the project, and as many of its own, some of which it shares; the
    optimizers of servers know them.
    """
    database = Database(database_of(tmp_path_factory.mktemp("shared")))
    stored = [_artifact(number) for number in range(MANY)]
    with database.write() as connection:
        for first in range(0, MANY, 500):
            some = stored[first : first + 500]
            store(connection, IMAGES, some)
            rows = [
                member_row(artifact, "me" if number % 2 else "somebody", MemberStatus.ACCEPTED)
                for number, artifact in enumerate(some)
            ]
            connection.execute(insert(artifact_members), rows)
        store(connection, IMAGES, [_own(number) for number in range(MANY, 2 * MANY)])
    analyze = {"postgresql": "ANALYZE", "mariadb": "ANALYZE TABLE artifacts, artifact_members"}.get(KIND)
    if analyze:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(analyze)).close()
    with database.read() as connection:
        yield connection
    database.dispose()


def _artifact(number: int) -> Artifact:
    return Artifact(
        str(uuid.UUID(int=number)), "images", f"image-{number % 50}", f"1.{number // 50}.0", f"them-{number % 3}",
        Status.ACTIVE, Visibility.SHARED, 1_000_000 * number, 1_000_000 * number, 1 + number // 2,
        {"tags": ["t"]}, {}, 1,
    )  # fmt: skip


def _own(number: int) -> Artifact:
    visibility = Visibility.PRIVATE if number % 30 else Visibility.SHARED
    return replace(_artifact(number), owner="me", visibility=visibility, created_at=number)


def _query(shape: str, marker: str | None = None) -> ListQuery:
    parsed = parse_query(IMAGES.face(SHARING), parse_qsl(shape, keep_blank_values=True))
    return replace(parsed, marker=marker)


@pytest.mark.parametrize("paging", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_branch_walks_its_index(filled: Connection, shape: str, paging: bool) -> None:
    """As EXPLAIN of the database has it."""
    _EXPLAINED[KIND](filled, _statement(filled, shape, Part.SHARED, paging=paging), "artifact_members")


@pytest.mark.parametrize("paging", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("shape", CHANGEABLE)
def test_what_may_change_is_walked_too(filled: Connection, shape: str, paging: bool) -> None:
    """Members have copies of it, in indexes."""
    _EXPLAINED[KIND](filled, _statement(filled, shape, Part.COPIED, paging=paging), "artifact_members")


@pytest.mark.parametrize("paging", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("shape", OWN)
def test_what_the_project_shares_is_walked(filled: Connection, shape: str, paging: bool) -> None:
    """Among thousands of its own that it does not share."""
    statement = _statement(filled, f"visibility=shared&{shape}".rstrip("&"), Part.OWN, paging=paging)
    _EXPLAINED[KIND](filled, statement, "artifacts")


def _statement(connection: Connection, shape: str, part: Part, *, paging: bool) -> Select[Any]:
    """The page's statement with one of its branches, and after a marker with all chunks of it."""
    query = _query(shape)
    if paging:
        query = replace(query, marker=list_page(connection, query, SCOPE, [IMAGES]).artifacts[-1].id)
    marker = find_marker(connection, query, SCOPE, [IMAGES])
    listing = plan(connection, query, SCOPE, [IMAGES])
    whole = Part.SHARED if part is Part.COPIED else part
    branches = [replace(branch, part=part) for branch in listing.branches if branch.part is whole]
    assert branches
    return page_statement(replace(listing, branches=branches[:1]), marker)


def _compiled(connection: Connection, statement: Any) -> str:
    compiled = statement.compile(connection.engine, compile_kwargs={"literal_binds": True})
    return str(compiled).replace("%%", "%")


_INDEXES: Final = {"artifact_members": "ix_artifact_members_", "artifacts": "ix_artifacts_scope_sharing"}


def _sqlite(connection: Connection, statement: Any, table: str) -> None:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {_compiled(connection, statement)}")
    steps = [str(row[3]) for row in rows]
    branches = [step for step in steps if step.startswith(f"SEARCH {table} ") and "(id=?)" not in step]
    assert branches
    assert all(_INDEXES[table] in step for step in branches), steps
    assert not [step for step in steps if step.startswith("SCAN art")], steps
    assert len([step for step in steps if "TEMP B-TREE" in step]) == (len(branches) > 1), steps


def _postgresql(connection: Connection, statement: Any, table: str) -> None:
    [(found,)] = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {_compiled(connection, statement)}").all()
    document = json.loads(found) if isinstance(found, str) else found
    nodes = list(_nodes(document[0]["Plan"]))
    read = [node for node in nodes if node.get("Relation Name") == table and node.get("Index Name") != "pk_artifacts"]
    assert read
    assert all(str(node.get("Index Name")).startswith(_INDEXES[table]) for node in read), nodes
    limits = [list(_nodes(node)) for node in nodes if node["Node Type"] == "Limit"]
    # Those of the branches, without the one that merges them, nor what the planner knows to be empty.
    lowest = [within for within in limits if not any(one["Node Type"] == "Limit" for one in within[1:])]
    below = [
        one for within in lowest if not any(one.get("One-Time Filter") == "false" for one in within) for one in within
    ]
    assert below
    kinds = {one["Node Type"] for one in below}
    assert not kinds & {"Seq Scan", "Sort", "Hash Join", "Bitmap Heap Scan"}, kinds


def _nodes(plan_of: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan_of
    for part in plan_of.get("Plans", ()):
        yield from _nodes(part)


def _mariadb(connection: Connection, statement: Any, table: str) -> None:
    rows = connection.exec_driver_sql(f"EXPLAIN {_compiled(connection, statement)}").mappings().all()
    read = [row for row in rows if row["table"] == table and row["type"] != "eq_ref"]
    assert read
    looked_up = [row for row in rows if row["table"] == "artifacts" and row not in read]
    assert all((row["type"], row["key"]) == ("eq_ref", "PRIMARY") for row in looked_up), looked_up
    # What shares the marker's name or version is little here, and may be sorted.
    much = [(row["key"], row["rows"], row["Extra"]) for row in read if int(row["rows"]) > TIES]
    assert all(str(key).startswith(_INDEXES[table]) for key, *_ in much), much
    assert not [row for row in much if "filesort" in (row[-1] or "")], much


_EXPLAINED: Final = {"sqlite": _sqlite, "postgresql": _postgresql, "mariadb": _mariadb}


def test_the_page_is_right(filled: Connection) -> None:
    """The newest of what is shared, and all of it is counted."""
    found = list_page(filled, _query("limit=3"), SCOPE, [IMAGES])
    assert [artifact.created_at for artifact in found.artifacts] == [
        1_000_000 * number for number in (MANY - 1, MANY - 3, MANY - 5)
    ]
