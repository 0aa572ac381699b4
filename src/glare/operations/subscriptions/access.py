"""Finding the subscription that a request names, and deciding whether its caller may do with it what they ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from glare.db import subscriptions as rows
from glare.domain.actor import Actor
from glare.domain.events import Event
from glare.domain.subscription import Subscription
from glare.errors import Forbidden, NotFound
from glare.operations import audit
from glare.operations.services import Services


def require_project(actor: Actor) -> str:
    """The caller's project. Raises `Forbidden` for a caller without one: nobody owned the subscription."""
    if actor.anonymous or actor.project is None:
        raise Forbidden("Subscriptions belong to projects, and your request names none; use a token of a project.")
    return actor.project


def find(
    services: Services, connection: Connection, actor: Actor, subscription_id: str, rule: str, *, lock: bool = False
) -> Subscription:
    """The subscription, where `rule` lets the caller. Raises `Forbidden`, `PolicyException`, and `NotFound` for one of
    another project.
    """
    project = require_project(actor)
    found = rows.fetch(connection, subscription_id, lock=lock)
    if found is None or (found.project != project and not services.policy.is_admin(actor)):
        raise NotFound(f"There is no subscription '{subscription_id[:64]}' that you may see.")
    services.policy.require(rule, actor, {"id": found.id, "owner": found.project})
    return found


def noted(
    services: Services,
    connection: Connection,
    actor: Actor | None,
    action: str,
    subscription: Subscription,
    detail: Mapping[str, Any] = audit.NOTHING,
) -> None:
    """Record a change in the audit log: of the target its host only, of secrets nothing."""
    scope = subscription.scope
    event = Event(action, subscription.project, scope.type_name, scope.artifact_id, None, services.clock())
    host = subscription.target.partition("://")[2].partition("/")[0]
    audit.noted(connection, actor, [event], target=subscription.id, detail={"host": host, **detail})
