"""What a limited credential may do: asked with every rule, before the rule.

So an operation that asks the policy is within the limits, whatever the rules say; and one that is about no artifact is
refused to credentials for some types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from glare.domain.limits import Limits
from glare.policy.rules import RULES

CHANGES: Final = frozenset(
    rule.name for rule in RULES if any(not operation.startswith("GET ") for operation in rule.operations)
)
"""Rules that decide on more than reading."""

DELEGATES: Final = frozenset({"token:create", "publisher:create"})
"""Rules that decide on giving rights to a new credential."""

OF_LISTS: Final = frozenset({"context_is_admin", "artifact:type_list", "artifact:list", "artifact:list_all_artifacts"})
"""Rules without a target whose operations are limited by what they show: see `glare.policy.scope`."""


def within(limits: Limits, rule: str, target: Mapping[str, Any]) -> bool:
    """Whether a credential with these limits may do what the rule decides on to this target."""
    changes = rule in CHANGES
    if (limits.read_only and changes) or (rule in DELEGATES and not limits.delegates):
        return False
    if (limits.types is None and limits.names is None) or rule in OF_LISTS:
        return True
    type_name, name = target.get("type_name"), target.get("name")
    if not isinstance(type_name, str):
        return limits.types is None and not changes
    return limits.allows_type(type_name) and (not changes or (isinstance(name, str) and limits.allows_name(name)))
