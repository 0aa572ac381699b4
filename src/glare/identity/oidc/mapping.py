"""From claims to user, projects and roles, by rules that the operator has written.

Every rule that matches counts. One with a `project` lets its caller into that project, with its `roles`; one without
gives its roles in every project that the others let into. Where no rule gives a role nobody gets in: the default policy
lets a caller without roles write, and a group that is misspelt must not do more than one that is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from glare.identity.base import MAX_PROJECT
from glare.identity.oidc.claims import ClaimError, Template, check_name, find, texts_of
from glare.identity.oidc.patterns import Pattern

MAX_RULES: Final = 256
MAX_PROJECTS: Final = 64
"""Projects that one token may lead to."""
MAX_ELEMENTS: Final = 512
"""Elements of one claim that are looked at."""

Wanted = str | bool | int | list[str]
"""What a claim must be: a pattern, one of several, or a plain value."""


class RuleDocument(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A rule as the file of issuers has it."""

    when: dict[str, Wanted] = {}
    each: dict[str, Wanted] = {}
    project: str | None = None
    roles: list[str] = []
    among: list[str] = []


@dataclass(frozen=True, slots=True)
class Condition:
    """One claim, and the patterns of which one of its values must match one."""

    claim: str
    patterns: tuple[Pattern, ...]

    @classmethod
    def of(cls, claim: str, wanted: Wanted) -> Condition:
        """Raises ValueError with a sentence's end for what is no claim or no pattern."""
        try:
            check_name(claim)
        except ValueError as why:
            raise ValueError(f"the claim {claim[:60]!r} {why}") from None
        texts = texts_of(wanted)
        if not texts:
            raise ValueError(f"the claim {claim!r} has no pattern to match")
        patterns = []
        for text in texts:
            try:
                patterns.append(Pattern.of(text))
            except ValueError as why:
                raise ValueError(f"the pattern {text[:60]!r} of the claim {claim!r} {why}") from None
        return cls(claim, tuple(patterns))

    def matches(self, claims: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The values that match, each with what its wildcards stand for."""
        for text in texts_of(find(claims, self.claim))[:MAX_ELEMENTS]:
            for pattern in self.patterns:
                found = pattern.match(text)
                if found is not None:
                    yield text, found
                    break

    def holds(self, claims: Mapping[str, Any]) -> bool:
        """Whether a value of the claim matches."""
        return next(self.matches(claims), None) is not None


@dataclass(frozen=True, slots=True)
class Step:
    """What one rule made of the claims, for people: whether it counted, and why."""

    what: str
    counted: bool
    why: str


@dataclass(slots=True)
class Outcome:
    """Who a token is: projects with at least one role each, in the order of the rules. `steps` say how that came
    about.
    """

    user: str
    projects: dict[str, frozenset[str]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled."""

    number: int
    when: tuple[Condition, ...]
    each: Condition | None
    project: Template | None
    roles: tuple[Template, ...]
    among: frozenset[str]

    @classmethod
    def of(cls, number: int, document: RuleDocument) -> Rule:
        """Raises ValueError with a sentence's end for a rule that cannot work."""
        if len(document.each) > 1:
            raise ValueError("'each' names more than one claim; write one")
        if document.project is None and not document.roles:
            raise ValueError("it has neither 'project' nor 'roles', so that it gives nothing")
        if not document.when and not document.each:
            raise ValueError("it has neither 'when' nor 'each', so that everybody with a token would match")
        when = tuple(Condition.of(claim, wanted) for claim, wanted in document.when.items())
        each = next((Condition.of(claim, wanted) for claim, wanted in document.each.items()), None)
        wildcards = 0 if each is None else min(_wildcards(pattern) for pattern in each.patterns)
        project = None if document.project is None else _template("project", document.project, wildcards)
        roles = tuple(_template("roles", role, wildcards) for role in document.roles)
        for role in roles:
            if not role.is_literal and not document.among:
                raise ValueError(
                    f"the role {role.text!r} is made of claims; say with 'among' which roles may come of it"
                )
        return cls(number, when, each, project, roles, frozenset(document.among))

    @property
    def title(self) -> str:
        return f"rule {self.number}"

    def bindings(self, claims: Mapping[str, Any]) -> tuple[list[tuple[str, ...]], str]:
        """What the wildcards of `each` stand for, once for each match; and why, in words."""
        for condition in self.when:
            if not condition.holds(claims):
                return [], f"the claim {condition.claim!r} is {shown(find(claims, condition.claim))}"
        if self.each is None:
            return [()], "its conditions hold"
        found = list(self.each.matches(claims))
        if not found:
            return [], f"the claim {self.each.claim!r} is {shown(find(claims, self.each.claim))}"
        return [binding for _, binding in found], f"matches {', '.join(repr(text) for text, _ in found[:5])}"

    def roles_of(self, claims: Mapping[str, Any], binding: tuple[str, ...]) -> tuple[frozenset[str], list[str]]:
        """The roles, and why others are not among them."""
        given, refused = set(), []
        for template in self.roles:
            try:
                role = template.fill(claims, binding)
            except ClaimError as why:
                refused.append(f"no role: {why}")
                continue
            if template.is_literal or role in self.among:
                given.add(role)
            else:
                refused.append(f"no role {role!r}: it is not in 'among'")
        return frozenset(given), refused


@dataclass(frozen=True, slots=True)
class ClaimMapping:
    """The rules of one issuer. `others` are prefixes of other issuers' projects, which these rules may not make."""

    user: Template
    user_prefix: str
    project_prefix: str
    rules: tuple[Rule, ...]
    others: tuple[str, ...] = ()

    def apply(self, claims: Mapping[str, Any]) -> Outcome:
        """Who these claims are. Raises `ClaimError` where they name no user."""
        outcome = Outcome(self.user_prefix + self.user.fill(claims))
        outcome.steps.append(Step("user", True, f"{self.user.text!r} is {outcome.user!r}"))
        everywhere: set[str] = set()
        for rule in self.rules:
            bindings, why = rule.bindings(claims)
            notes = [why]
            for binding in bindings:
                roles, refused = rule.roles_of(claims, binding)
                notes += refused
                if rule.project is None:
                    everywhere |= roles
                    notes.append(f"everywhere {_listed(roles)}")
                    continue
                try:
                    project = self._project(rule.project.fill(claims, binding))
                except ClaimError as refusal:
                    notes.append(f"no project: {refusal}")
                    continue
                if len(outcome.projects) >= MAX_PROJECTS and project not in outcome.projects:
                    notes.append(f"not {project!r}: a token may lead to {MAX_PROJECTS} projects")
                    continue
                outcome.projects[project] = outcome.projects.get(project, frozenset()) | roles
                notes.append(f"project {project!r} {_listed(roles)}")
            outcome.steps.append(Step(rule.title, bool(bindings), "; ".join(notes)))
        whole = {project: roles | everywhere for project, roles in outcome.projects.items()}
        outcome.projects = {project: roles for project, roles in whole.items() if roles}
        if len(outcome.projects) < len(whole):
            left_out = ", ".join(repr(project) for project in list(whole)[:5] if not whole[project])
            outcome.steps.append(Step("roles", False, f"no rule gives a role in {left_out or 'others'}, so not there"))
        return outcome

    def _project(self, name: str) -> str:
        project = self.project_prefix + name
        if len(project) > MAX_PROJECT:
            raise ClaimError(f"{project[:60]!r}… has {len(project)} characters, and may have {MAX_PROJECT}")
        # Where ours begins as another's does, ours is the longer one, and what has it is ours.
        foreign = next(
            (one for one in self.others if project.startswith(one) and not self.project_prefix.startswith(one)), None
        )
        if foreign is not None:
            raise ClaimError(f"{project!r} begins as the projects of another issuer do ({foreign!r})")
        return project


def compile_rules(documents: Iterable[RuleDocument]) -> tuple[Rule, ...]:
    """The rules in order. Raises ValueError, which names the rule."""
    documents = list(documents)
    everywhere = any(document.project is None for document in documents)
    rules = []
    for number, document in enumerate(documents, 1):
        try:
            rules.append(Rule.of(number, document))
            if not document.roles and not everywhere:
                raise ValueError(
                    "it has no 'roles', and no rule without 'project' gives any, so that it lets nobody in"
                )
        except ValueError as why:
            raise ValueError(f"rule {number}: {why}") from None
    if len(rules) > MAX_RULES:
        raise ValueError(f"there are {len(rules)} rules, and may be {MAX_RULES}")
    return tuple(rules)


def shown(value: Any) -> str:
    """A claim in words, shortened."""
    return "not there" if value is None else repr(value)[:120]


def _template(what: str, text: str, wildcards: int) -> Template:
    try:
        return Template.of(text, wildcards)
    except ValueError as why:
        raise ValueError(f"the text {text[:60]!r} of '{what}' {why}") from None


def _wildcards(pattern: Pattern) -> int:
    return sum(part.startswith("*") for part in pattern.parts)


def _listed(roles: frozenset[str]) -> str:
    return f"with the roles {', '.join(sorted(roles))}" if roles else "without a role"
