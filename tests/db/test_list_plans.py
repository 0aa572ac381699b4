"""Guaranteed list shapes read an index from their first row to their last: no scan, no sorting of what is read."""

from __future__ import annotations

import uuid
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import Connection, Select

from glare.db.lists.pages import page_statement
from glare.db.lists.read import find_marker, plan
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.declared.artifact_type import TypeSpec
from glare.domain.declared.compile import compile_all, compile_type
from glare.domain.microversion import SHARING
from glare.domain.query import parse_query
from glare.domain.visibility import ListScope
from glare.types.images import Image
from glare.types.murano_packages import MuranoPackage
from support.catalogue import store

pytestmark = pytest.mark.sqlite

IMAGES, PACKAGES, ALL = compile_type(Image), compile_type(MuranoPackage), compile_all()
MARKER = Artifact(
    id=str(uuid.uuid4()),
    type_name="images",
    name="image",
    version="1.0.0",
    owner="me",
    status=Status.ACTIVE,
    visibility=Visibility.PUBLIC,
    created_at=5,
    updated_at=5,
    activated_at=5,
    values={"disk_format": "raw", "tags": ["t"], "metadata": {"rack": "1"}, "min_ram": 1},
    blobs={},
    revision=1,
)
SCOPES = {
    "everything": ListScope.everything(),
    "one project": ListScope.of_project("me"),
    "public": ListScope.public_only(),
}

FLAT = (
    "",
    "name=image",
    "name=image&sort=name",
    "name=image&sort=version:asc",
    "name=image&version=1.0.0",
    "name=image&version=latest",
    "version=1.0.0",
    "version=1.0.0&sort=version",
    "status=active",
    "status=active&sort=status",
    "owner=me",
    "owner=me&sort=owner",
    "visibility=public",
    "visibility=private",
    "sort=name:asc",
    "sort=name:asc,version:asc",
    "sort=version:asc",
    "sort=status:asc",
    "sort=owner:asc",
    "disk_format=raw",
    "min_ram=1",
    "tags=t",
    "metadata.rack=1",
    "metadata=rack",
)
NOTHING_TO_READ = ("visibility=private", "public")

FLAT_FOR_ALL = (
    "",
    "name=image",
    "name=image&sort=version:asc",
    "status=active",
    "owner=me",
    "tags=t",
    "metadata.rack=1",
)

TIES_ARE_SORTED = (
    "sort=created_at:asc",
    "sort=name",
    "sort=name,version",
    "sort=version",
    "sort=status",
    "name=image&sort=version",
    "sort=updated_at",
    "sort=updated_at:asc",
    "sort=activated_at",
    "disk_format=raw&sort=created_at:asc",
)
"""These read an index too, and sort what shares the first key: a handful, or as many as share the name."""

FLAT_AMONG_SHARED = (
    "",
    "name=image",
    "name=image&sort=version:asc",
    "name=image&version=1.0.0",
    "version=1.0.0",
    "owner=me",
    "status=active",
    "tags=t",
    "sort=name:asc",
    "sort=version:asc",
    "sort=owner:asc",
    "sort=name:asc,version:asc",
    "sort=status:asc",
    "sort=updated_at:desc",
    "sort=activated_at:desc",
    "status=active&sort=status",
)


def _steps(connection: Connection, statement: Select[tuple[str]]) -> list[tuple[int, str]]:
    compiled = statement.compile(connection.engine, compile_kwargs={"render_postcompile": True})
    values = tuple(compiled.params[name] for name in compiled.positiontup or ())
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)
    return [(parent, detail) for _, parent, _, detail in rows]


def _plan(
    connection: Connection, spec: TypeSpec, types: list[TypeSpec], scope: ListScope, text: str, *, paging: bool
) -> list[str]:
    """What the database does for the rows of the list; the merge of the branches' few rows is left out."""
    store(connection, IMAGES, [MARKER])
    query = parse_query(spec.face(SHARING), parse_qsl(text, keep_blank_values=True))
    marker = find_marker(connection, replace(query, marker=MARKER.id), scope, types) if paging else None
    listing = plan(connection, query, scope, types)
    if not listing.branches:
        return []
    statement = page_statement(listing, marker)
    steps = _steps(connection, statement)
    merged = any(detail.startswith("COMPOUND QUERY") for _, detail in steps)
    return [
        detail
        for parent, detail in steps
        if not (merged and parent == 0) and not detail.startswith(("SCAN (subquery", "SCAN anon_"))
    ]


@pytest.mark.parametrize("paging", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("text", FLAT)
def test_flat_shape_reads_an_index_in_order(connection: Connection, text: str, scope: str, paging: bool) -> None:
    """A guaranteed shape searches indexes only, and sorts nothing within a branch, at every page."""
    steps = _plan(connection, IMAGES, [IMAGES], SCOPES[scope], text, paging=paging)
    assert [step for step in steps if step.startswith("SEARCH")] or (text, scope) == NOTHING_TO_READ
    assert not [step for step in steps if step.startswith("SCAN")]
    assert len([step for step in steps if "TEMP B-TREE" in step]) <= _without_copies(steps), steps


@pytest.mark.parametrize("paging", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("text", FLAT_FOR_ALL)
def test_flat_shape_of_all_types_reads_an_index_in_order(
    connection: Connection, text: str, scope: str, paging: bool
) -> None:
    """The list of all types is as many flat branches as there are types and scopes."""
    steps = _plan(connection, ALL, [IMAGES, PACKAGES], SCOPES[scope], text, paging=paging)
    assert len([step for step in steps if step.startswith("SEARCH")]) >= 2
    assert not [step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step], steps


@pytest.mark.parametrize("paging", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("text", TIES_ARE_SORTED)
def test_other_direction_sorts_ties_only(connection: Connection, text: str, scope: str, paging: bool) -> None:
    """Against the direction of its index a shape still reads it in order, and sorts within equal first keys."""
    steps = _plan(connection, IMAGES, [IMAGES], SCOPES[scope], text, paging=paging)
    assert not [step for step in steps if step.startswith("SCAN")]
    assert len(_whole_sorts(steps)) <= _without_copies(steps), steps


def _without_copies(steps: list[str]) -> int:
    """How often members without copies are read, which only older releases add: they are few, and may be sorted."""
    return len([step for step in steps if step.startswith("SEARCH artifact_members ") and "activated_at=?" in step])


def _whole_sorts(steps: list[str]) -> list[str]:
    sorting = [step for step in steps if "TEMP B-TREE" in step]
    return [step for step in sorting if "LAST" not in step and "RIGHT PART" not in step]


@pytest.mark.parametrize("paging", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("text", FLAT_AMONG_SHARED)
def test_what_is_shared_with_a_project_is_read_in_order(connection: Connection, text: str, paging: bool) -> None:
    """Its members have an index for these shapes, and the artifacts are looked up by their ids."""
    query = f"visibility=shared&member_status=pending&{text}".rstrip("&")
    steps = _plan(connection, IMAGES, [IMAGES], SCOPES["one project"], query, paging=paging)
    assert [step for step in steps if step.startswith("SEARCH artifact_members ") and "ix_artifact_members_" in step]
    found = [step for step in steps if step.startswith("SEARCH artifacts ")]
    assert [step for step in found if "sqlite_autoindex_artifacts_1 (id=?)" in step]
    assert all("scope_sharing" in step or "_value" in step or "(id=?)" in step for step in found), steps
    assert not [step for step in steps if step.startswith("SCAN")], steps
    assert len(_whole_sorts(steps)) <= _without_copies(steps), steps


@pytest.mark.parametrize("paging", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("text", ["", "sort=name:asc", "sort=version:asc", "sort=status:asc"])
def test_all_that_may_be_got_is_read_in_order(connection: Connection, text: str, paging: bool) -> None:
    """What is everybody's and the caller's own comes in two branches, and is on the page once."""
    steps = _plan(connection, IMAGES, [IMAGES], SCOPES["one project"], f"visibility=all&{text}", paging=paging)
    assert [step for step in steps if "ix_artifacts_scope_" in step and "sharing" not in step]
    assert not [step for step in steps if step.startswith("SCAN")], steps


@pytest.mark.parametrize("paging", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("scope", SCOPES)
def test_community_is_read_in_order(connection: Connection, scope: str, paging: bool) -> None:
    """What is for everybody has an index of its own, newest first."""
    steps = _plan(connection, IMAGES, [IMAGES], SCOPES[scope], "visibility=community", paging=paging)
    assert [step for step in steps if "ix_artifacts_all_sharing" in step]
    assert not [step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step], steps


@pytest.mark.parametrize("paging", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize("text", ["", "status=active", "disk_format=raw"])
def test_later_pages_start_at_the_marker(connection: Connection, text: str, paging: bool) -> None:
    """The marker's time is a bound of the search, so that what comes before it is not read."""
    steps = _plan(connection, IMAGES, [IMAGES], SCOPES["everything"], text, paging=paging)
    assert any("created_at<?" in step for step in steps) is paging


@pytest.mark.parametrize("scope", ["everything", "one project"])
def test_bounded_shape_is_told_apart(connection: Connection, scope: str) -> None:
    """An order that no index has is sorted, and these tests would see it."""
    steps = _plan(connection, IMAGES, [IMAGES], SCOPES[scope], "sort=owner:asc,name:asc", paging=False)
    assert [step for step in steps if "TEMP B-TREE" in step]
