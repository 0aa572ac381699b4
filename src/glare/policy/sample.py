"""The sample policy file, generated from the table of rules."""

from __future__ import annotations

import json
import textwrap

from glare.policy.rules import RULES, Rule

_HEAD = """\
# Policy of Glare, in the language of oslo.policy. Every line that is commented out is a default.
# A file need hold only the rules that it changes. [oslo_policy] policy_file in the configuration names it.
"""


def sample() -> str:
    """A YAML policy file that changes nothing: each rule, explained, with its default commented out."""
    return "\n".join([_HEAD, *(_paragraph(rule) for rule in RULES)])


def _paragraph(rule: Rule) -> str:
    comments = [*textwrap.wrap(rule.description, 100), *rule.operations]
    # A JSON string is a YAML string, and needs no judgement about quotes.
    return "".join(f"# {line}\n" for line in comments) + f"#{json.dumps(rule.name)}: {json.dumps(rule.check)}\n"
