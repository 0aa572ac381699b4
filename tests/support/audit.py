"""The audit log as an admin reads it."""

from __future__ import annotations

from support.service import Glare, Json


def entries(glare: Glare, query: str = "limit=1000") -> list[Json]:
    """Newest first."""
    answer = glare.admin.request("GET", f"/audit?{query}")
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["audit"]
    return found


def actions(glare: Glare, query: str = "limit=1000") -> list[str]:
    """The actions, oldest first."""
    return [entry["action"] for entry in reversed(entries(glare, query))]


def refusals(glare: Glare) -> list[Json]:
    """The entries of refused requests, newest first."""
    return entries(glare, "outcome=refused")
