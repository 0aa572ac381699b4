"""Both tables of the life cycle, cell by cell, for the owner and for an admin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.runs.clock import Clock
from support.service import Glare, Json, running

Unique = Callable[[], str]

STATUSES = ("drafted", "active", "deactivated", "deleted")
NO_STATUS: tuple[Any, ...] = (None, "queued", "ACTIVE", "", 5, True, [], {})


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glare]:
    """A service that deletes with delay, so that deleted artifacts can be asked for."""
    with running(tmp_path_factory.mktemp("later"), "[DEFAULT]\ndelayed_delete = true\n") as service:
        yield service


def artifact_in(later: Glare, name: str, status: str, visibility: str = "private") -> Json:
    """A complete artifact of alice's, brought to this state."""
    artifact = later.alice.create("sample_artifact", name=name, string_required="x")
    if status != "drafted":
        later.alice.activate(artifact)
    if visibility == "public":
        later.admin.publish(artifact)
    if status == "deactivated":
        later.admin.set(artifact, status="deactivated")
    if status == "deleted":
        later.admin.delete(artifact)
    document = later.admin.show(artifact)
    assert (document["status"], document["visibility"]) == (status, visibility)
    return document


# (from, to) → (owner, admin), of a private artifact. None stands for everything that is no status.
STATUS_TABLE: dict[tuple[str, str | None], tuple[int, int]] = {
    ("drafted", "drafted"): (200, 200),
    ("drafted", "active"): (200, 200),
    ("drafted", "deactivated"): (403, 403),
    ("drafted", "deleted"): (403, 403),
    ("drafted", None): (400, 400),
    ("active", "drafted"): (403, 403),
    ("active", "active"): (200, 200),
    ("active", "deactivated"): (403, 200),
    ("active", "deleted"): (403, 403),
    ("active", None): (400, 400),
    ("deactivated", "drafted"): (403, 403),
    ("deactivated", "active"): (403, 200),
    ("deactivated", "deactivated"): (403, 200),
    ("deactivated", "deleted"): (403, 403),
    ("deactivated", None): (400, 400),
    ("deleted", "drafted"): (403, 403),
    ("deleted", "active"): (403, 403),
    ("deleted", "deactivated"): (403, 403),
    ("deleted", "deleted"): (403, 403),
    ("deleted", None): (403, 403),
}


@pytest.mark.parametrize(
    ("start", "wanted", "expected"), [(start, wanted, both) for (start, wanted), both in STATUS_TABLE.items()]
)
@pytest.mark.parametrize("actor", ["alice", "admin"])
def test_status_transition(
    later: Glare, unique: Unique, start: str, wanted: str | None, expected: tuple[int, int], actor: str
) -> None:
    """Each cell of the status table answers as written; a refusal or a repetition changes nothing."""
    status = expected[actor == "admin"]
    values: tuple[Any, ...] = NO_STATUS if wanted is None else (wanted,)
    for value in values:
        artifact = artifact_in(later, unique(), start)
        answer = getattr(later, actor).set(artifact, status=value)
        assert answer.status_code == status
        after = later.admin.show(artifact)
        if status == 200 and start != wanted:
            assert after["status"] == wanted
            assert (after["activated_at"] is None) is (wanted == "drafted")
        else:
            assert after == artifact


# (visibility, status, wanted) → (owner, admin).
VISIBILITY_TABLE: dict[tuple[str, str, str | None], tuple[int, int]] = {
    ("private", "drafted", "private"): (200, 200),
    ("private", "drafted", "public"): (403, 403),
    ("private", "drafted", None): (400, 400),
    ("private", "active", "private"): (200, 200),
    ("private", "active", "public"): (403, 200),
    ("private", "active", None): (400, 400),
    ("private", "deactivated", "private"): (200, 200),
    ("private", "deactivated", "public"): (403, 403),
    ("private", "deactivated", None): (400, 400),
    ("private", "deleted", "private"): (403, 403),
    ("private", "deleted", "public"): (403, 403),
    ("public", "active", "private"): (403, 403),
    ("public", "active", "public"): (403, 200),
    ("public", "active", None): (403, 400),
    ("public", "deactivated", "private"): (403, 403),
    ("public", "deactivated", "public"): (403, 403),
    ("public", "deactivated", None): (403, 400),
}


@pytest.mark.parametrize(("cell", "expected"), list(VISIBILITY_TABLE.items()))
@pytest.mark.parametrize("actor", ["alice", "admin"])
def test_visibility_transition(
    later: Glare,
    unique: Unique,
    cell: tuple[str, str, str | None],
    expected: tuple[int, int],
    actor: str,
) -> None:
    """Each cell of the visibility table answers as written; there is no way back to private."""
    visibility, status, wanted = cell
    code = expected[actor == "admin"]
    values: tuple[Any, ...] = (None, "shared", "PUBLIC", 5, []) if wanted is None else (wanted,)
    for value in values:
        artifact = artifact_in(later, unique(), status, visibility)
        assert getattr(later, actor).set(artifact, visibility=value).status_code == code
        after = later.admin.show(artifact)
        if code == 200 and wanted != visibility:
            assert after["visibility"] == wanted
        else:
            assert after == artifact


@pytest.mark.parametrize("op", ["add", "replace"])
def test_life_cycle_by_either_operation(later: Glare, unique: Unique, op: str) -> None:
    """`add` and `replace` mean the same for status and visibility."""
    artifact = artifact_in(later, unique(), "drafted")
    assert later.alice.change(artifact, {"op": op, "path": "/status", "value": "active"})["status"] == "active"
    published = later.admin.change(artifact, {"op": op, "path": "/visibility", "value": "public"})
    assert published["visibility"] == "public"


@pytest.mark.parametrize("field", ["status", "visibility"])
def test_life_cycle_fields_are_not_removed(later: Glare, unique: Unique, field: str) -> None:
    """Neither can be removed or moved away, and both can be copied from."""
    artifact = artifact_in(later, unique(), "drafted")
    assert later.alice.patch(artifact, {"op": "remove", "path": f"/{field}"}).status_code == 400
    moved = {"op": "move", "from": f"/{field}", "path": "/string_mutable"}
    assert later.alice.patch(artifact, moved).status_code == 400
    copied = {"op": "copy", "from": f"/{field}", "path": "/string_mutable"}
    assert later.alice.change(artifact, copied)["string_mutable"] == artifact[field]


@pytest.mark.parametrize("status", ["active", "deactivated"])
def test_public_artifact_of_an_owner_is_fixed(later: Glare, unique: Unique, status: str) -> None:
    """Whatever the owner patches on a public artifact is 403 (quirk 10), also what would change nothing."""
    artifact = artifact_in(later, unique(), status, "public")
    changes: tuple[Json, ...] = ({"description": "x"}, {"status": status}, {"tags": []}, {"unknown": 1})
    for fields in changes:
        assert later.alice.set(artifact, **fields).status_code == 403
    assert later.alice.patch(artifact).status_code == 403
    assert later.alice.delete(artifact).status_code == 403
    assert later.admin.show(artifact) == artifact


def test_admin_toggles_a_public_artifact(later: Glare, unique: Unique) -> None:
    """An admin deactivates and reactivates what is public, and edits it while it is active."""
    artifact = artifact_in(later, unique(), "active", "public")
    assert later.admin.set(artifact, status="deactivated").status_code == 200
    assert later.bob.show(artifact)["status"] == "deactivated"
    assert later.admin.set(artifact, status="active").status_code == 200
    assert later.admin.set(artifact, description="edited").status_code == 200
    assert later.bob.show(artifact)["description"] == "edited"


def test_public_names_are_unique_everywhere(later: Glare, unique: Unique) -> None:
    """Two projects may hold a name privately; only one may publish it."""
    name = unique()
    for actor in (later.alice, later.bob):
        artifact = actor.create("sample_artifact", name=name, string_required="x")
        actor.activate(artifact)
        status = later.admin.set(artifact, visibility="public").status_code
        assert status == (200 if actor is later.alice else 409)


@pytest.mark.parametrize("operation", [{"op": "replace", "path": "/description", "value": "x"}])
def test_deleted_artifact_is_not_patched(later: Glare, unique: Unique, operation: Json) -> None:
    """A deleted artifact that is still there is fixed for everybody."""
    artifact = artifact_in(later, unique(), "deleted")
    for actor in (later.alice, later.admin):
        assert actor.patch(artifact, operation).status_code == 403


def test_activated_at_is_the_latest_activation(tmp_path: Path) -> None:
    """The time of activation is null at first, written by an activation, and rewritten by a reactivation only."""
    with running(tmp_path) as glare:
        clock = Clock(glare, "2030-01-01T00:00:00Z")
        artifact = glare.alice.create("sample_artifact", name="a", string_required="x")
        times = [artifact["activated_at"]]
        steps = (
            ("status", "active"),
            ("status", "active"),
            ("description", "x"),
            ("status", "deactivated"),
            ("status", "active"),
        )
        for field, value in steps:
            clock.forward(1)
            times.append(glare.admin.set(artifact, **{field: value}).json()["activated_at"])
        assert times == [None, *["2030-01-01T00:00:01Z"] * 4, "2030-01-01T00:00:05Z"]
