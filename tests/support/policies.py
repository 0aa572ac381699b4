"""Policy rules of a running service, replaced for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glare.policy.engine import PolicyEngine
from support.service import Glare


@contextmanager
def ruled(glare: Glare, directory: Path, rules: dict[str, str]) -> Iterator[None]:
    """The service with these rules on top of the default ones, for a while."""
    file = directory / "policy.json"
    file.write_text(json.dumps(rules))
    before = glare.services.policy
    object.__setattr__(glare.services, "policy", PolicyEngine(file))  # The services are frozen; only a test does this.
    try:
        yield
    finally:
        object.__setattr__(glare.services, "policy", before)
