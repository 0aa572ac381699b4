"""Glare's rules for the tools of oslo.policy, which find them by the entry points of the installed distribution.

``oslopolicy-sample-generator --namespace glare`` and ``oslopolicy-policy-generator``, ``oslopolicy-list-redundant`` and
``oslopolicy-validator`` with the same namespace work as with other OpenStack services.
"""

from __future__ import annotations

from oslo_config import cfg
from oslo_policy import policy

from glare.policy.rules import RULES, Rule


def list_rules() -> list[policy.RuleDefault]:
    """Every rule, as the tools want it."""
    return [_documented(rule) if rule.operations else _plain(rule) for rule in RULES]


def enforcer() -> policy.Enforcer:
    """An enforcer with every rule, and with the file that ``[oslo_policy] policy_file`` of Glare's configuration names.

    The tools have read their own command line by then, and pass no configuration on.
    """
    conf = cfg.ConfigOpts()
    conf([], project="glare")
    found = policy.Enforcer(conf)
    found.register_defaults(list_rules())
    return found


def _plain(rule: Rule) -> policy.RuleDefault:
    return policy.RuleDefault(rule.name, rule.check, description=rule.description)


def _documented(rule: Rule) -> policy.RuleDefault:
    operations: list[policy.Operation] = [
        {"method": method, "path": path} for method, path in (operation.split(" ", 1) for operation in rule.operations)
    ]
    return policy.DocumentedRuleDefault(
        rule.name, rule.check, rule.description, operations, scope_types=["project", "system"]
    )
