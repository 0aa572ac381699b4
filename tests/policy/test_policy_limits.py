"""Limited credentials: what they may do is within their limits, whatever rule is asked and whoever has them."""

from __future__ import annotations

import dataclasses
import re

from hypothesis import given
from hypothesis import strategies as st

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact, Status, Visibility
from glare.domain.limits import UNLIMITED, Limits, covers
from glare.domain.visibility import visible
from glare.policy.engine import PolicyEngine, target_of
from glare.policy.limits import CHANGES, DELEGATES
from glare.policy.rules import RULES
from glare.policy.scope import list_scope, may_see

DEFAULT = PolicyEngine()
ARTIFACT = Artifact(
    "1", "images", "n", "1.0.0", "p1", Status.ACTIVE, Visibility.PRIVATE, 0, 0, None, values={}, blobs={}, revision=1
)  # fmt: skip
ADMIN = Actor("root", "p1", frozenset({"admin"}))
RULE_NAMES = [rule.name for rule in RULES]

types = st.frozensets(st.sampled_from(["images", "secrets", "heat_templates"]), min_size=1) | st.none()
patterns = st.text(st.sampled_from("ab*"), max_size=5)
names = st.text(st.sampled_from("ab*"), max_size=6)
limits = st.builds(
    Limits, st.booleans(), types, st.lists(patterns, min_size=1, max_size=2).map(tuple) | st.none(), st.booleans()
)
actors = st.builds(
    lambda project, roles, limited: Actor("ann", project, roles, limits=limited),
    st.sampled_from(["p1", "p2", None]),
    st.frozensets(st.sampled_from(["admin", "member", "manager"])),
    limits,
)
artifacts = st.builds(
    lambda name, type_name, visibility: dataclasses.replace(
        ARTIFACT, name=name, type_name=type_name, visibility=visibility
    ),
    names,
    st.sampled_from(["images", "secrets", "heat_templates", "tosca_templates"]),
    st.sampled_from(Visibility),
)


@given(patterns, names)
def test_a_pattern_matches_as_regular_expressions_do(pattern: str, name: str) -> None:
    """``*`` is any characters, everything else itself."""
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert covers(pattern, name) == bool(re.fullmatch(expression, name, re.DOTALL))


@given(actors, artifacts)
def test_what_limited_callers_get_is_what_they_list(actor: Actor, artifact: Artifact) -> None:
    """For any credential the decision on one artifact equals the scope of the list, types included."""
    scope = list_scope(DEFAULT, actor)
    listed = scope.shows_type(artifact.type_name) and visible(scope, artifact.owner, artifact.visibility)
    assert may_see(DEFAULT, actor, artifact) == listed


@given(actors, artifacts, st.sampled_from(RULE_NAMES))
def test_no_rule_lets_a_credential_beyond_its_limits(actor: Actor, artifact: Artifact, rule: str) -> None:
    """Whatever a rule says: nothing is changed by who may only read, no other type is touched, no other name
    changed; and limits never allow what the rule does not.
    """
    allowed = DEFAULT.allows(rule, actor, target_of(artifact))
    unlimited = DEFAULT.allows(rule, dataclasses.replace(actor, limits=UNLIMITED), target_of(artifact))
    assert unlimited or not allowed
    if not allowed or rule in (
        "context_is_admin",
        "artifact:type_list",
        "artifact:list",
        "artifact:list_all_artifacts",
    ):
        return
    assert not (actor.limits.read_only and rule in CHANGES)
    assert actor.limits.delegates or rule not in DELEGATES
    assert actor.limits.allows_type(artifact.type_name)
    assert rule not in CHANGES or actor.limits.allows_name(artifact.name)


@given(limits, st.sampled_from(RULE_NAMES))
def test_what_is_about_no_artifact_is_not_for_some_types(limited: Limits, rule: str) -> None:
    """An administrator's credential for some types, or some names, changes nothing that is no artifact."""
    actor = dataclasses.replace(ADMIN, limits=limited)
    target = {"owner": "p1", "project_id": "p1"}
    allowed = DEFAULT.allows(rule, actor, target)
    assert not (allowed and rule in DELEGATES and not limited.delegates)
    if allowed and rule in CHANGES:
        assert (limited.read_only, limited.types, limited.names) == (False, None, None)


def test_reading_and_changing_are_told_by_the_operations() -> None:
    """Rules of GET only are for reading; every other one that governs an operation is for changes."""
    assert "artifact:get" not in CHANGES
    assert "audit:list" not in CHANGES
    assert {"artifact:create", "artifact:upload", "token:create", "subscription:update", "location:check"} <= CHANGES
