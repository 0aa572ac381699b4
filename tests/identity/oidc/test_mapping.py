"""From claims to user, projects and roles."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from glare.identity.oidc.claims import ClaimError, Template, find
from glare.identity.oidc.mapping import MAX_PROJECTS, ClaimMapping, Outcome, RuleDocument, compile_rules

CLAIMS: dict[str, Any] = {
    "sub": "ann",
    "email_verified": True,
    "groups": ["/glare/imaging/member", "/glare/ops/admin", "/other"],
    "realm_access": {"roles": ["offline", "glare-reader"]},
    "kubernetes.io": {"namespace": "ci", "a/b": {"c~d": "deep"}},
    "count": 7,
    "empty": "",
}


def applied(*rules: RuleDocument, claims: dict[str, Any] | None = None, **changes: Any) -> Outcome:
    """What the rules make of the claims."""
    values: dict[str, Any] = {"user": Template.of("{sub}", 0), "user_prefix": "", "project_prefix": "", **changes}
    return ClaimMapping(rules=compile_rules(rules), **values).apply(claims or CLAIMS)


def projects(*rules: RuleDocument, **changes: Any) -> dict[str, set[str]]:
    return {project: set(roles) for project, roles in applied(*rules, **changes).projects.items()}


def test_a_rule_counts_where_all_of_its_conditions_hold() -> None:
    """Exact values, patterns, several patterns, booleans and numbers; a list matches by one of its elements."""
    good = RuleDocument(
        when={"sub": "ann", "groups": ["/glare/*/admin", "/x"], "email_verified": True, "count": 7},
        project="p",
        roles=["member"],
    )
    assert projects(good) == {"p": {"member"}}
    for wrong in ({"sub": "an"}, {"sub": "bob"}, {"groups": "/glare/*"}, {"email_verified": False}, {"none": "*"}):
        assert projects(RuleDocument(when={**good.when, **wrong}, project="p", roles=["member"])) == {}


def test_a_rule_applies_for_each_element_that_matches() -> None:
    """Wildcards become projects and roles; roles that are not among the allowed ones are left out."""
    rule = RuleDocument(each={"groups": "/glare/*/*"}, project="team-{1}", roles=["{2}"], among=["member", "reader"])
    outcome = applied(rule)
    assert outcome.projects == {"team-imaging": frozenset({"member"})}
    assert "no role 'admin': it is not in 'among'" in outcome.steps[-2].why


@pytest.mark.parametrize("group", ["/glare/imaging/viewer", "/glare/imaging/Reader", "/glare/imaging/reader "])
def test_who_has_no_role_in_a_project_is_not_in_it(group: str) -> None:
    """A role that is not among the allowed ones lets nobody in: without any role the default policy lets write."""
    rule = RuleDocument(each={"groups": "/glare/*/*"}, project="{1}", roles=["{2}"], among=["member", "reader"])
    outcome = applied(rule, claims={"sub": "ann", "groups": [group, "/glare/ops/reader"]})
    assert outcome.projects == {"ops": frozenset({"reader"})}
    assert "no rule gives a role in 'imaging'" in outcome.steps[-1].why
    entry = RuleDocument(when={"groups": "**"}, project="p")
    roles = RuleDocument(each={"groups": "/glare/*/*"}, roles=["{2}"], among=["reader"])
    assert projects(entry, roles, claims={"sub": "ann", "groups": group}) == {}
    assert projects(entry, roles, claims={"sub": "ann", "groups": "/glare/x/reader"}) == {"p": {"reader"}}


def test_rules_without_a_project_give_roles_in_all_projects_and_let_nobody_in() -> None:
    """Whoever matches only such a rule comes nowhere."""
    everywhere = RuleDocument(
        each={"/realm_access/roles": "glare-*"}, roles=["{1}"], among=["reader", "member", "manager"]
    )
    entry = RuleDocument(when={"sub": "ann"}, project="p", roles=["member"])
    assert projects(everywhere, entry) == {"p": {"member", "reader"}}
    assert projects(everywhere) == {}


def test_rules_of_one_project_add_up_and_order_decides_which_is_first() -> None:
    """The first project is the one that the first rule names."""
    rules = [RuleDocument(when={"sub": "*"}, project=name, roles=[role]) for name, role in ("ba", "ab", "bc")]
    assert list(projects(*rules)) == ["b", "a"]
    assert projects(*rules)["b"] == {"a", "c"}


def test_claims_are_named_by_key_or_by_json_pointer() -> None:
    """A key with dots is one key, and a pointer spells slashes as ~1."""
    assert find(CLAIMS, "/kubernetes.io/namespace") == "ci"
    assert find(CLAIMS, "/kubernetes.io/a~1b/c~0d") == "deep"
    assert find(CLAIMS, "kubernetes.io.namespace") is None
    assert find(CLAIMS, "/sub/0") is None
    assert projects(RuleDocument(when={"sub": "ann"}, project="ns-{/kubernetes.io/namespace}", roles=["member"])) == {
        "ns-ci": {"member"}
    }


@pytest.mark.parametrize("text", ["{missing}", "{groups}", "{realm_access}", "{empty}"])
def test_a_project_of_claims_that_are_not_there_is_none(text: str) -> None:
    """Nobody gets into a project that is made of nothing."""
    assert projects(RuleDocument(when={"sub": "ann"}, project=f"p-{text}", roles=["member"])) == {}


@pytest.mark.parametrize("value", ["a,b", "a\nb", " ", "a\0", "\ud800", "x" * 256])
def test_values_that_cannot_name_a_project_or_a_user_do_not(value: str) -> None:
    """Commas, controls, halves of characters, blanks and long texts."""
    claims = {"sub": value}
    with pytest.raises(ClaimError):
        applied(RuleDocument(when={"sub": "**"}, project="p", roles=["member"]), claims=claims)
    rule = RuleDocument(when={"sub": "**"}, project="{sub}", roles=["member"])
    assert projects(rule, claims=claims, user=Template.of("ann", 0)) == {}


def test_projects_of_another_issuer_cannot_be_named() -> None:
    """An issuer whose projects have no prefix cannot lead into those of one that has."""
    rule = RuleDocument(when={"sub": "*:*"}, project="{sub}", roles=["member"])
    claims = {"sub": "corp:secret"}
    assert projects(rule, claims=claims, others=("corp:",)) == {}
    assert projects(rule, claims=claims, others=("other:", "")) == {"corp:secret": {"member"}}
    assert projects(rule, claims={"sub": "a:b"}, others=("corp:",), project_prefix="mine:") == {"mine:a:b": {"member"}}


@pytest.mark.parametrize("others", list(itertools.permutations(("c:", "c:d:e:", ""))))
def test_prefixes_that_begin_alike_keep_projects_apart(others: tuple[str, ...]) -> None:
    """Whichever issuer stands first in the file: each project belongs to the longest prefix that it has."""
    rule = RuleDocument(when={"sub": "**"}, project="{sub}", roles=["member"])
    assert projects(rule, claims={"sub": "e:x"}, others=others, project_prefix="c:d:") == {}
    assert projects(rule, claims={"sub": "f:x"}, others=others, project_prefix="c:d:") == {"c:d:f:x": {"member"}}
    assert projects(rule, claims={"sub": "d:x"}, others=("c:d:", "c:d:e:", ""), project_prefix="c:") == {}


def test_a_token_leads_to_a_bounded_number_of_projects() -> None:
    """However many groups it has."""
    claims = {"sub": "ann", "groups": [f"g{number}" for number in range(500)]}
    assert len(projects(RuleDocument(each={"groups": "g*"}, project="{1}", roles=["r"]), claims=claims)) == MAX_PROJECTS


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (RuleDocument(project="p"), "neither 'when' nor 'each'"),
        (RuleDocument(when={"sub": "a"}), "neither 'project' nor 'roles'"),
        (RuleDocument(each={"a": "*", "b": "*"}, project="{1}"), "more than one claim"),
        (RuleDocument(when={"sub": "***"}, project="p"), "three stars"),
        (RuleDocument(when={"sub": ""}, project="p"), "has 0 characters"),
        (RuleDocument(when={"sub": []}, project="p"), "no pattern"),
        (RuleDocument(when={"": "a"}, project="p"), "the claim ''"),
        (RuleDocument(when={"/a~2": "a"}, project="p"), "JSON pointer"),
        (RuleDocument(when={"sub": "a"}, project=""), "'project' must have"),
        (RuleDocument(when={"sub": "a"}, project="{sub"), "brace"),
        (RuleDocument(when={"sub": "a"}, project="{1}"), "0 wildcards"),
        (RuleDocument(each={"sub": "*"}, project="{2}"), "1 wildcards"),
        (RuleDocument(each={"sub": ["*", "a"]}, project="{1}"), "0 wildcards"),
        (RuleDocument(each={"sub": "*"}, project="p", roles=["{1}"]), "'among'"),
        (RuleDocument(when={"sub": "a"}, project="p", roles=["{}"]), "names no claim"),
        (RuleDocument(when={"sub": "a"}, project="p"), "it has no 'roles', and no rule"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_number(rule: RuleDocument, reason: str) -> None:
    """The message says which rule, and what is wrong with it."""
    fine = RuleDocument(when={"sub": "a"}, project="p", roles=["member"])
    with pytest.raises(ValueError, match=f"rule 2: .*{reason}"):
        compile_rules([fine, rule])
