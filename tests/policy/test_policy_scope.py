"""What may be listed and what may be got are one rule."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glare.documents.members import MemberStatus
from glare.domain.actor import ANONYMOUS, Actor
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.visibility import ListScope, ScopeKind, Shown, listed, visible
from glare.errors import PolicyException
from glare.policy.engine import PolicyEngine, target_of
from glare.policy.scope import list_scope, may_see

DEFAULT = PolicyEngine()
PRIVATE = Artifact(
    "1", "images", "n", "1.0.0", "p1", Status.ACTIVE, Visibility.PRIVATE, 0, 0, None, values={}, blobs={}, revision=1
)  # fmt: skip
PUBLIC = dataclasses.replace(PRIVATE, visibility=Visibility.PUBLIC)
ADMIN = Actor("root", "ops", frozenset({"admin"}))
OWNER = Actor("ann", "p1", frozenset())
OTHER = Actor("bob", "p2", frozenset())

actors = st.just(ANONYMOUS) | st.builds(
    Actor,
    st.sampled_from(["ann", "bob", None]),
    st.sampled_from(["p1", "p2", None]),
    st.frozensets(st.sampled_from(["admin", "ADMIN", "member", "reader"])),
)
artifacts = st.builds(
    lambda owner, status, visibility: dataclasses.replace(PRIVATE, owner=owner, status=status, visibility=visibility),
    st.sampled_from(["p1", "p2", "None", ""]),
    st.sampled_from(Status),
    st.sampled_from(Visibility),
)
EVERYTHING_SHOWN = Shown(tuple(MemberStatus), community=True)


@given(actors, artifacts, st.dictionaries(st.sampled_from(["p1", "p2"]), st.sampled_from(MemberStatus)))
def test_by_default_what_is_got_is_what_is_listed(
    actor: Actor, artifact: Artifact, members: dict[str, MemberStatus]
) -> None:
    """For any caller, artifact and members, what may be got is what the widest list shows; no list shows more."""
    status = members.get(actor.project or "") if artifact.visibility is Visibility.SHARED else None
    read = dataclasses.replace(artifact, member=None if status is None else actor.project)
    scope = list_scope(DEFAULT, actor)
    got = may_see(DEFAULT, actor, read)
    assert got == listed(scope, artifact.owner, artifact.visibility, status, EVERYTHING_SHOWN)
    assert got == visible(scope, artifact.owner, artifact.visibility, member=status is not None)
    assert got or not listed(scope, artifact.owner, artifact.visibility, status)


@pytest.mark.parametrize("member", [None, "p3"])
def test_a_member_of_another_project_is_nobody(member: str | None) -> None:
    """An artifact that was read for one project is not seen by another."""
    shared = dataclasses.replace(PRIVATE, visibility=Visibility.SHARED, member=member)
    assert not may_see(DEFAULT, OTHER, shared)
    assert may_see(DEFAULT, OTHER, dataclasses.replace(shared, member="p2"))


def test_each_kind_of_caller_has_their_scope() -> None:
    """Admins list everything, projects their own and the public, and nobody's readers the public."""
    assert list_scope(DEFAULT, ADMIN) == ListScope.everything()
    assert list_scope(DEFAULT, OWNER) == ListScope(ScopeKind.PROJECT, "p1")
    assert list_scope(DEFAULT, ANONYMOUS) == ListScope.public_only()
    assert list_scope(DEFAULT, Actor("u", None, frozenset())) == ListScope.public_only()


def test_a_private_artifact_is_seen_by_its_project_and_admins() -> None:
    """Another project and the anonymous reader see only what is public."""
    assert [may_see(DEFAULT, who, PRIVATE) for who in (ADMIN, OWNER, OTHER, ANONYMOUS)] == [True, True, False, False]
    assert all(may_see(DEFAULT, who, PUBLIC) for who in (ADMIN, OWNER, OTHER, ANONYMOUS))


def engine(tmp_path: Path, **rules: str) -> PolicyEngine:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({f"artifact:{name}": rule for name, rule in rules.items()}))
    return PolicyEngine(path)


def test_overriding_get_any_artifact_widens_single_reads_only(tmp_path: Path) -> None:
    """Who may get any artifact sees it by its id, and not in lists."""
    auditor = Actor("eve", "p3", frozenset({"auditor"}))
    changed = engine(tmp_path, get_any_artifact="role:auditor")
    assert may_see(changed, auditor, PRIVATE)
    assert list_scope(changed, auditor) == ListScope.of_project("p3")
    assert not may_see(changed, ADMIN, PRIVATE)
    assert list_scope(changed, ADMIN) == ListScope.everything()


def test_overriding_list_all_artifacts_widens_lists_only(tmp_path: Path) -> None:
    """Who may list all artifacts does not get them by id."""
    auditor = Actor("eve", "p3", frozenset({"auditor"}))
    changed = engine(tmp_path, list_all_artifacts="role:auditor")
    assert list_scope(changed, auditor) == ListScope.everything()
    assert not may_see(changed, auditor, PRIVATE)
    assert may_see(changed, ADMIN, PRIVATE)
    assert list_scope(changed, ADMIN) == ListScope.of_project("ops")


def test_who_may_not_list_is_refused(tmp_path: Path) -> None:
    """The rule artifact:list closes lists, with its name."""
    with pytest.raises(PolicyException, match="artifact:list"):
        list_scope(engine(tmp_path, list="role:lister"), OWNER)


def test_a_target_shows_what_the_rules_document() -> None:
    """Rules see these seven attributes of an artifact, as plain text; an eighth where it was read for a member."""
    assert target_of(dataclasses.replace(PUBLIC, member="p2")) == {**target_of(PUBLIC), "member_id": "p2"}
    assert target_of(PUBLIC) == {
        "id": "1", "type_name": "images", "name": "n", "version": "1.0.0",
        "owner": "p1", "visibility": "public", "status": "active",
    }  # fmt: skip
    assert {type(value) for value in target_of(PUBLIC).values()} == {str}
