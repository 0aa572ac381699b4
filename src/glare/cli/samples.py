"""`glare-server config sample` and `glare-server policy sample`."""

from __future__ import annotations

from argparse import Namespace

from glare.policy.sample import sample as policy_rules
from glare.settings.sample import sample as options


def config(_: Namespace) -> int:
    """`glare-server config sample`."""
    print(options(), end="")
    return 0


def policy(_: Namespace) -> int:
    """`glare-server policy sample`."""
    print(policy_rules(), end="")
    return 0
