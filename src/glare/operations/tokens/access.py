"""Whose tokens a caller may see and revoke: their own, and those of their project where they manage it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from glare.db.callers import tokens as rows
from glare.domain.actor import Actor
from glare.domain.callers.api_token import ApiToken
from glare.errors import Forbidden, NotFound
from glare.operations.services import Services

OF_OTHERS: Final = "token:manage"


def require_project(actor: Actor) -> str:
    """The caller's project. Raises `Forbidden` for a caller without one: nobody owned the token."""
    if actor.anonymous or actor.project is None:
        raise Forbidden("Tokens belong to projects, and your request names none; use a token of a project.")
    return actor.project


def may_manage(services: Services, actor: Actor, project: str) -> bool:
    """Whether the caller may see and revoke the tokens of everybody in this project."""
    return not actor.anonymous and services.policy.allows(OF_OTHERS, actor, {"owner": project})


def find(services: Services, connection: Connection, actor: Actor, token_id: str, rule: str) -> ApiToken:
    """The token, where `rule` lets the caller. Raises `Forbidden`, `PolicyException`, and `NotFound` for one that is
    somebody else's.
    """
    project = require_project(actor)
    found = rows.fetch(connection, token_id)
    if found is None:
        raise _missing(token_id)
    own = found.project == project and actor.user is not None and found.user == actor.user
    if not own and not may_manage(services, actor, found.project):
        raise _missing(token_id)
    services.policy.require(rule, actor, {"id": found.id, "owner": found.project})
    return found


def _missing(token_id: str) -> NotFound:
    return NotFound(f"There is no token '{token_id[:64]}' that you may see; list them at /tokens.")
