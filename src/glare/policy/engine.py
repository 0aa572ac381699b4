"""The policy engine: loads rules and decides.

A policy file overrides defaults by name; what it does not name keeps its default. It is read once, at start, and
refused with file, rule and reason when a rule cannot mean anything: oslo.policy itself only logs such a rule, and
denies.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from oslo_config import cfg
from oslo_policy import policy

from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.errors import Forbidden, GlareError, PolicyException
from glare.policy.compile import Compiler, Decision, RuleError
from glare.policy.limits import within
from glare.policy.rules import RULES

_PREFIXES: Final = ("artifact:", "audit:", "link:", "member:", "subscription:", "publisher:", "token:")


class PolicyEngine:
    """Decides by the default rules, overridden by `policy_file` (YAML or JSON) where there is one.

    `default_rule` is the rule that references to undefined rules mean, if the file defines it. Raises `GlareError` when
    the file cannot be used.
    """

    def __init__(self, policy_file: Path | None = None, default_rule: str = "default") -> None:
        source = "the default policy" if policy_file is None else f"policy file {policy_file}"
        overrides = {} if policy_file is None else _read(policy_file, source)
        _refuse_unknown(overrides, source)
        checks = {rule.name: _parse(rule.name, rule.check, source) for rule in RULES}
        checks.update({name: _parse(name, text, source) for name, text in overrides.items()})
        compiler = Compiler(_enforcer(checks, default_rule))
        self._decisions: dict[str, Decision] = {}
        for name in checks:
            try:
                self._decisions[name] = compiler.compile(name)
            except RuleError as error:
                raise GlareError(f"Rule {name!r} of {source} {error}. Mend the rule.") from None

    def allows(self, rule: str, actor: Actor, target: Mapping[str, Any]) -> bool:
        """Whether the rule holds, and the caller's credential is not limited to less. `KeyError` for a rule that does
        not exist: that is a mistake in the program.
        """
        return self._decisions[rule](actor, target) and within(actor.limits, rule, target)

    def require(self, rule: str, actor: Actor, target: Mapping[str, Any]) -> None:
        """Raise `PolicyException` unless the rule holds, and the caller's credential is not limited to less."""
        if not self._decisions[rule](actor, target):
            raise PolicyException(
                f"Policy rule '{rule}' does not allow this; ask somebody with the rights that it wants, or the "
                "operator."
            )
        self.require_within(rule, actor, target)

    def require_within(self, rule: str, actor: Actor, target: Mapping[str, Any]) -> None:
        """Raise `Forbidden` where the caller's credential is limited to less than what the rule decides on."""
        if not within(actor.limits, rule, target):
            raise Forbidden(
                "Your credential is limited, to reading, to some types, or to names that match a pattern, and this is "
                "beyond it; use another one."
            )

    def is_admin(self, actor: Actor) -> bool:
        """Whether the caller is an administrator. The anonymous reader never is."""
        return not actor.anonymous and self._decisions["context_is_admin"](actor, {})


def target_of(artifact: Artifact) -> dict[str, Any]:
    """What rules may compare of an artifact. Where it was read for no member, it has no `member_id`."""
    member = {} if artifact.member is None else {"member_id": artifact.member}
    return member | {
        "id": artifact.id,
        "type_name": artifact.type_name,
        "name": artifact.name,
        "version": artifact.version,
        "owner": artifact.owner,
        "visibility": artifact.visibility.value,
        "status": artifact.status.value,
    }


def _read(path: Path, source: str) -> dict[str, Any]:
    try:
        rules = policy.parse_file_contents(path.read_bytes())
    except OSError as error:
        raise GlareError(f"The {source} cannot be read ({error.strerror}). Mend [oslo_policy] policy_file.") from error
    except ValueError as error:
        raise GlareError(f"The {source} is neither YAML nor JSON: {error}") from error
    if not isinstance(rules, dict):
        raise GlareError(f"The {source} must map names of rules to rules.")
    return rules


def _refuse_unknown(overrides: Mapping[Any, Any], source: str) -> None:
    """A rule that nothing asks for is a spelling mistake, unless another rule refers to it."""
    known = {rule.name for rule in RULES}
    referred = " ".join(str(text) for text in overrides.values()).replace("(", " ").replace(")", " ").split()
    for name in overrides:
        if not isinstance(name, str):
            raise GlareError(f"Rule {name!r} of {source} has a name that is no text. Quote it.")
        if name.startswith(_PREFIXES) and name not in known and f"rule:{name}" not in referred:
            near = difflib.get_close_matches(name, known, 1, cutoff=0.8)
            every = "glare-server policy sample prints the rules that there are."
            hint = f"did you mean {near[0]!r}?" if near else every
            raise GlareError(f"Rule {name!r} of {source} is not known: {hint}")


def _parse(name: str, text: Any, source: str) -> Any:
    """The library's check for a rule, or `GlareError` where the library would log and deny."""
    # The library also reads an old form, lists of lists. It takes an empty value for "everybody", which nobody means
    # who leaves one out.
    if not isinstance(text, str | list):
        raise GlareError(
            f"Rule {name!r} of {source} is {text!r}. Give a rule as text: '@' allows everybody, '!' nobody."
        )
    with _parse_errors() as errors:
        try:
            check = policy.RuleDefault(name, cast("str", text)).check
        except Exception as error:  # noqa: BLE001 - a plug-in's check, or a list of anything, may raise anything
            errors.append(str(error))
            check = None
    if errors or check is None:
        raise GlareError(
            f"Rule {name!r} of {source} cannot be read: {text!r}. Write checks such as role:admin, rule:NAME or "
            "project_id:%(owner)s, joined with and, or, not and parentheses."
        )
    return check


@contextmanager
def _parse_errors() -> Iterator[list[str]]:
    """What the library's parser would log meanwhile. It has no other way to tell."""
    heard: list[str] = []

    def listen(record: logging.LogRecord) -> bool:
        heard.append(record.getMessage())
        return False

    logger = logging.getLogger("oslo_policy._parser")
    logger.addFilter(listen)
    try:
        yield heard
    finally:
        logger.removeFilter(listen)


def _enforcer(checks: dict[str, Any], default_rule: str) -> policy.Enforcer:
    """An enforcer of the library with these rules and no file of its own. Plug-in checks may ask it for other rules."""
    conf = cfg.ConfigOpts()
    conf([], project="glare", default_config_files=[], default_config_dirs=[])
    rules = policy.Rules(checks, default_rule)
    return policy.Enforcer(conf, rules=rules, default_rule=default_rule, use_conf=False)
