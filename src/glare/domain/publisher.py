"""Publishers: what a project lets builds do that show a token of their own platform."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Publisher:
    """Builds whose tokens come from `issuer` (its name here) and carry `claims` (patterns by the claim's name) may
    write into `project` with `roles`.

    `types` and `names` (patterns of names of artifacts) bound what they may write, None where nothing does. `anchor`
    names one exact claim, as `anchor_of` does. `created_at` is in microseconds since the epoch.
    """

    id: str
    project: str
    issuer: str
    claims: Mapping[str, str]
    anchor: str
    roles: tuple[str, ...]
    types: tuple[str, ...] | None
    names: tuple[str, ...] | None
    description: str
    created_at: int
    created_by: str | None


def anchor_of(issuer: str, claim: str, value: str) -> str:
    """A name for one value of one claim of an issuer's tokens, by which publishers are found."""
    text = "\0".join((issuer, claim, value))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
