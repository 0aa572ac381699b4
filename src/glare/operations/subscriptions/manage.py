"""Subscriptions as their projects manage them: create, read, change, replace the secret, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection

from glare.db import deliveries
from glare.db import subscriptions as rows
from glare.db.counters import UNLIMITED
from glare.documents.subscriptions import (
    NewSecret,
    NewSubscription,
    SubscriptionChanges,
    SubscriptionQuery,
    SubscriptionState,
)
from glare.domain.actor import Actor
from glare.domain.artifact import Artifact
from glare.domain.moment import SECOND
from glare.domain.subscription import Scope, Subscription
from glare.domain.visibility import ListScope, visible
from glare.errors import ArtifactNotFound, Conflict, InvalidParameterValue
from glare.events.webhooks import new_secret
from glare.operations import access
from glare.operations.page import Page, page_of
from glare.operations.services import Services
from glare.operations.subscriptions import confirmations
from glare.operations.subscriptions.access import find, noted, require_project
from glare.operations.subscriptions.documents import values_of


def create_subscription(services: Services, actor: Actor, asked: NewSubscription) -> tuple[Subscription, str]:
    """A new subscription whose target is asked to confirm; and its secret, which is shown here and never again.

    Raises `BadRequest`, `PolicyException`, `Conflict` beyond the project's number, `TooManyRequests`.
    """
    project = require_project(actor)
    services.policy.require("subscription:create", actor, {"owner": project})
    wanted = {"description": "", "events": None, "scope": Scope(), **values_of(services, asked)}
    _require_visible(services, actor, project, wanted["scope"])
    secret = wanted.pop("secret", None) or new_secret()
    now = services.clock()
    subscription = Subscription(
        id=services.new_id(),
        project=project,
        user=actor.user,
        **wanted,
        state=SubscriptionState.PENDING,
        reason=None,
        created_at=now,
        updated_at=now,
        secret=services.secrets.seal(secret),
        old_secret=None,
        old_secret_until=None,
        token=None,
        confirm_until=None,
        failing_since=None,
        delivered_at=None,
        next_at=None,
    )

    def work(connection: Connection) -> Subscription:
        most = services.rules.subscriptions.most
        if rows.lock_project(connection, project) >= most != UNLIMITED:
            raise Conflict(
                f"Project '{project}' has its {most} subscriptions; delete one, or ask the operator for more."
            )
        rows.add(connection, subscription)
        confirmations.ask(services, connection, subscription)
        noted(services, connection, actor, "subscription.create", subscription, _detail(wanted))
        return _reread(connection, subscription)

    return services.db.transact(work), secret


def show_subscription(services: Services, actor: Actor, subscription_id: str) -> Subscription:
    """One subscription. Raises `NotFound`, `PolicyException`."""
    with services.db.read() as connection:
        return find(services, connection, actor, subscription_id, "subscription:get")


def list_subscriptions(services: Services, actor: Actor, query: SubscriptionQuery) -> Page[Subscription]:
    """One page of a project's subscriptions, of the caller's where the parameters name no other. Raises what they are
    wrong in.
    """
    project = query.project or require_project(actor)
    services.policy.require("subscription:list", actor, {"owner": project})
    limit = min(query.limit, services.rules.query.max_page)
    after = _place(query.marker)
    with services.db.read() as connection:
        found = rows.page(connection, project, query.state, after, limit)
    return page_of(found, limit, lambda one: f"{one.created_at}_{one.id}")


def change_subscription(
    services: Services, actor: Actor, subscription_id: str, asked: SubscriptionChanges
) -> Subscription:
    """Change what the document names. A new target has to confirm; `enabled` switches off, or on after whatever
    switched it off.

    Raises `NotFound`, `BadRequest`, `PolicyException`, `TooManyRequests`.
    """
    with services.db.read() as connection:
        seen = find(services, connection, actor, subscription_id, "subscription:update")
    wanted = values_of(services, asked)
    if "scope" in wanted:
        _require_visible(services, actor, seen.project, wanted["scope"])
    enabled = wanted.pop("enabled", None)

    def work(connection: Connection) -> Subscription:
        found = find(services, connection, actor, subscription_id, "subscription:update", lock=True)
        changed = {name: value for name, value in wanted.items() if getattr(found, name) != value}
        after = replace(found, **changed)
        rows.change(connection, found.id, {**changed, "updated_at": services.clock()})
        if "target" in changed and enabled is not False:
            confirmations.ask(services, connection, after)
        elif enabled is False:
            unproven = {"token": after.token or _UNPROVEN} if "target" in changed else {}
            rows.change(connection, found.id, {"state": SubscriptionState.DISABLED, "reason": None, **unproven})
        elif enabled is True:
            _enable(services, connection, after)
        detail = _detail(changed) | ({} if enabled is None else {"enabled": enabled})
        noted(services, connection, actor, "subscription.update", after, detail)
        return _reread(connection, found)

    return services.db.transact(work)


_UNPROVEN: Final = "-"
"""In the place of a token: the target is to be asked when the subscription is switched on."""


def _enable(services: Services, connection: Connection, subscription: Subscription) -> None:
    if subscription.state in (SubscriptionState.ACTIVE, SubscriptionState.PENDING):
        return
    if subscription.token is not None:
        confirmations.ask(services, connection, subscription)
        return
    deliveries.start_again(connection, subscription.id)
    again = {"state": SubscriptionState.ACTIVE, "reason": None, "failing_since": None, "next_at": services.clock()}
    rows.change(connection, subscription.id, again)


def replace_secret(
    services: Services, actor: Actor, subscription_id: str, asked: NewSecret
) -> tuple[Subscription, str]:
    """Sign with another secret, shown here and never again; for some time messages are signed with the one before as
    well.

    Raises `NotFound`, `BadRequest`, `PolicyException`.
    """
    with services.db.read() as connection:
        find(services, connection, actor, subscription_id, "subscription:update")
    secret = values_of(services, asked).get("secret") or new_secret()
    sealed = services.secrets.seal(secret)

    def work(connection: Connection) -> Subscription:
        found = find(services, connection, actor, subscription_id, "subscription:update", lock=True)
        now = services.clock()
        until = now + int(services.rules.subscriptions.secret_overlap * SECOND)
        values = {"secret": sealed, "old_secret": found.secret, "old_secret_until": until, "updated_at": now}
        rows.change(connection, found.id, values)
        noted(services, connection, actor, "subscription.secret", found)
        return _reread(connection, found)

    return services.db.transact(work), secret


def delete_subscription(services: Services, actor: Actor, subscription_id: str) -> None:
    """Delete a subscription with its messages, sent or not. Raises `NotFound`, `PolicyException`."""

    def work(connection: Connection) -> None:
        found = find(services, connection, actor, subscription_id, "subscription:delete", lock=True)
        rows.remove(connection, found.id)
        noted(services, connection, actor, "subscription.delete", found)

    services.db.transact(work)


def _sees(services: Services, project: str, artifact: Artifact) -> bool:
    if visible(ListScope.of_project(project), artifact.owner, artifact.visibility):
        return True
    with services.db.read() as connection:
        return access.is_member(connection, project, artifact)


def _require_visible(services: Services, actor: Actor, project: str, scope: Scope) -> None:
    """Raises `InvalidParameterValue` where the scope names what the caller, or the subscribed project, does not see."""
    artifact_id, member = scope.artifact_id, "artifact"
    if scope.location_id is not None:
        member = "location"
        with services.db.read() as connection:
            artifact_id = rows.artifact_of_location(connection, scope.location_id) or ""
    if artifact_id is None:
        return
    try:
        artifact = access.find_artifact(services, actor, services.types.all, artifact_id)
    except ArtifactNotFound:
        artifact = None
    if artifact is None or not _sees(services, project, artifact):
        named = scope.location_id or artifact_id
        raise InvalidParameterValue(
            f"Member 'scope.{member}' is '{named[:64]}', and there is none of this id that project '{project}' may see."
        )


def _detail(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit log says of them: names, and the events."""
    detail: dict[str, Any] = {"fields": sorted(values)}
    return detail | ({"events": values["events"]} if "events" in values else {})


def _reread(connection: Connection, subscription: Subscription) -> Subscription:
    return rows.fetch(connection, subscription.id) or subscription


def _place(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    time, _, last = text.partition("_")
    return int(time), last
