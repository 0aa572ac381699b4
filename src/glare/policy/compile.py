"""From oslo.policy's tree of checks to one Python function a rule.

The library walks its tree with an introspection at each step: 0.1–0.3 ms a decision. The tree does not change once it
is loaded, so it is compiled: the functions here decide as the library does, in a microsecond or two. A kind of check
that is not known here (an operator's plug-in) stays the library's.
"""

from __future__ import annotations

import ast
import inspect
import logging
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from oslo_policy import _checks, policy

from glare.domain.actor import Actor

LOG = logging.getLogger(__name__)

Decision = Callable[[Actor, Mapping[str, Any]], bool]

CREDENTIALS: Final[Mapping[str, Callable[[Actor], Any]]] = MappingProxyType(
    {
        "user_id": attrgetter("user"),
        "user": attrgetter("user"),
        "project_id": attrgetter("project"),
        "tenant": attrgetter("project"),
        "project_domain_id": attrgetter("domain"),
        "system_scope": lambda actor: "all" if actor.system else None,
    }
)
"""What a rule may compare of its caller, besides roles. One that is None (the anonymous reader's) equals nothing."""

ROLES: Final[Mapping[str, Callable[[Actor], frozenset[str]]]] = MappingProxyType(
    {"roles": attrgetter("roles"), "service_roles": attrgetter("service_roles")}
)
"""What a rule may look for something in: the caller's roles, and those of the service that acts for the caller."""


class RuleError(Exception):
    """Why a rule cannot be compiled, as the end of a sentence."""


def credentials_of(actor: Actor) -> dict[str, Any]:
    """The caller as the library wants to see it."""
    known = {name: value for name, get in CREDENTIALS.items() if (value := get(actor)) is not None}
    return {**known, **{name: sorted(get(actor)) for name, get in ROLES.items()}}


class Compiler:
    """Compiles the rules of one enforcer. `compile` raises `RuleError`."""

    def __init__(self, enforcer: policy.Enforcer) -> None:
        self._enforcer = enforcer
        self._done: dict[str, Decision] = {}
        self._under_way: list[str] = []

    def compile(self, name: str) -> Decision:
        """The decision of a rule. References to other rules are resolved here, once."""
        if name in self._done:
            return self._done[name]
        if name in self._under_way:
            raise RuleError(f"refers to itself: {' -> '.join([*self._under_way, name])}")
        try:
            check = self._enforcer.rules[name]
        except KeyError:
            raise RuleError(f"refers to rule {name!r}, which is not defined") from None
        self._under_way.append(name)
        self._done[name] = self._check(check, name)
        self._under_way.pop()
        return self._done[name]

    def _check(self, check: Any, rule: str) -> Decision:
        # Exact types: a subclass may decide otherwise, and is left to itself.
        match type(check):
            case _checks.TrueCheck:
                return _always
            case _checks.FalseCheck:
                return _never
            case _checks.NotCheck:
                return _not(self._check(check.rule, rule))
            case _checks.AndCheck:
                return _and([self._check(part, rule) for part in check.rules])
            case _checks.OrCheck:
                return _or([self._check(part, rule) for part in check.rules])
            case _checks.RuleCheck:
                return self.compile(check.match)
            case _checks.RoleCheck:
                return _role(_text(check.match))
            case _checks.GenericCheck:
                return _generic(check.kind, _text(check.match), rule)
        return _library(check, self._enforcer, rule)


Text = str | Callable[[Mapping[str, Any]], str]
"""The right side of a check: constant, or a function of the target that raises `KeyError` for what the target lacks."""


def _always(actor: Actor, target: Mapping[str, Any]) -> bool:
    return True


def _never(actor: Actor, target: Mapping[str, Any]) -> bool:
    return False


def _not(part: Decision) -> Decision:
    return lambda actor, target: not part(actor, target)


def _and(parts: list[Decision]) -> Decision:
    if len(parts) == 2:
        first, second = parts
        return lambda actor, target: first(actor, target) and second(actor, target)

    def decide(actor: Actor, target: Mapping[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110 - all() over a generator costs three times as much
            if not part(actor, target):
                return False
        return True

    return decide


def _or(parts: list[Decision]) -> Decision:
    if len(parts) == 2:
        first, second = parts
        return lambda actor, target: first(actor, target) or second(actor, target)

    def decide(actor: Actor, target: Mapping[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110 - any() over a generator costs three times as much
            if part(actor, target):
                return True
        return False

    return decide


class _AnyTarget(dict[str, str]):
    """A target that has everything, to try a template on."""

    def __missing__(self, key: str) -> str:
        return key


def _text(template: str) -> Text:
    if "%" not in template:
        return template
    try:
        template % _AnyTarget()
    except (ValueError, TypeError) as error:
        raise RuleError(f"has a template that cannot be filled in: {template!r} ({error})") from None
    key = template[2:-2]
    if template == f"%({key})s" and "(" not in key and ")" not in key:
        return lambda target: str(target[key])
    return lambda target: template % target


def _compare(left: str, right: Text) -> Decision:
    if isinstance(right, str):
        return _always if left == right else _never
    fill = right

    def decide(actor: Actor, target: Mapping[str, Any]) -> bool:
        try:
            return left == fill(target)
        except KeyError:
            return False

    return decide


def _role(wanted: Text) -> Decision:
    if isinstance(wanted, str):
        constant = wanted.lower()

        def has_role(actor: Actor, target: Mapping[str, Any]) -> bool:
            for role in actor.roles:  # noqa: SIM110 - any() over a generator costs three times as much
                if role.lower() == constant:
                    return True
            return False

        return has_role
    fill = wanted

    def decide(actor: Actor, target: Mapping[str, Any]) -> bool:
        try:
            filled = fill(target).lower()
        except KeyError:
            return False
        return filled in {role.lower() for role in actor.roles}

    return decide


def _generic(kind: str, right: Text, rule: str) -> Decision:
    try:
        return _compare(str(ast.literal_eval(kind)), right)
    except ValueError:
        pass  # Not a literal, but the name of a credential.
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        raise RuleError(f"compares {kind!r}, which is neither a quoted text nor something that a caller has") from None
    name, dot, _ = kind.partition(".")
    if dot and (name in ROLES or name in CREDENTIALS):
        raise RuleError(f"compares {kind!r}, but {name} of a caller has no parts")
    if name in ROLES:
        return _has_exact_role(ROLES[name], right)
    if name not in CREDENTIALS:
        LOG.warning(
            "Policy rule %s compares %r, which no caller has, so that this part of it never holds. A caller has: %s.",
            rule,
            kind,
            ", ".join((*CREDENTIALS, *ROLES)),
        )
        return _never
    get = CREDENTIALS[name]

    def decide(actor: Actor, target: Mapping[str, Any]) -> bool:
        have = get(actor)
        if have is None:
            return False
        try:
            return bool(have == (right if isinstance(right, str) else right(target)))
        except KeyError:
            return False

    return decide


def _has_exact_role(roles: Callable[[Actor], frozenset[str]], right: Text) -> Decision:
    def decide(actor: Actor, target: Mapping[str, Any]) -> bool:
        try:
            return (right if isinstance(right, str) else right(target)) in roles(actor)
        except KeyError:
            return False

    return decide


def _library(check: Any, enforcer: policy.Enforcer, rule: str) -> Decision:
    """A check of a plug-in, called as the library calls it: older ones do not take the rule's name."""
    takes_rule = len(inspect.getfullargspec(check.__call__).args) > 4

    def decide(actor: Actor, target: Mapping[str, Any]) -> bool:
        more = (rule,) if takes_rule else ()
        return bool(check(target, credentials_of(actor), enforcer, *more))

    return decide
